"""Which HPAs meet which loads in the golden cases, and where are their answers?

Seeded data only: the answers are those of Kubernetes, which `real` asks.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from sandbox.toolchain import KUBERNETES

FILE = Path(__file__).with_name("cases.json")
SYNC_SECONDS = 15

Loads = tuple[float | None, ...]
Behavior = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One HPA and what happens around it, sync by sync.

    `behavior`, `loads`: names; a load is the total in the metric's unit, None where nothing is known. `average`: the
    target's averageValue. `kind`: External or Object. `outside`: (sync, size that somebody else sets just before it).
    `surge`: (sync, pods that the target's status then counts beyond its size).
    """

    name: str
    behavior: str
    loads: str
    initial: int
    low: int = 1
    high: int = 100
    average: float = 10
    kind: str = "External"
    outside: tuple[tuple[int, int], ...] = ()
    surge: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """The cases, what they name, and for each the sizes that the HPA of `kubernetes` left after every sync."""

    kubernetes: str
    behaviors: Mapping[str, Behavior | None]
    loads: Mapping[str, Loads]
    cases: tuple[Case, ...]
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def made() -> Golden:
    """All cases, without answers; the same on every machine."""
    return Golden(kubernetes=KUBERNETES, behaviors=BEHAVIORS, loads=_loads(), cases=tuple(_cases()))


def read() -> Golden:
    """What FILE holds."""
    raw = json.loads(FILE.read_text(encoding="utf-8"))
    return Golden(
        kubernetes=raw["kubernetes"],
        behaviors=raw["behaviors"],
        loads={name: tuple(loads) for name, loads in raw["loads"].items()},
        cases=tuple(_case(one) for one in raw["cases"]),
        sizes={one["name"]: tuple(one["sizes"]) for one in raw["cases"]},
    )


def written(golden: Golden) -> str:
    """The text of FILE: a line for each behavior, load and case, so that a change shows as what it is."""
    cases = ({**_without_defaults(case), "sizes": golden.sizes[case.name]} for case in golden.cases)
    return "\n".join(
        (
            f'{{"kubernetes":{_compact(golden.kubernetes)},',
            '"behaviors":{',
            _members(golden.behaviors),
            '},"loads":{',
            _members({name: tuple(map(_shortest, loads)) for name, loads in golden.loads.items()}),
            '},"cases":[',
            ",\n".join(_compact(case) for case in cases),
            "]}\n",
        )
    )


def _case(raw: Mapping[str, Any]) -> Case:
    pairs = {name: tuple((sync, size) for sync, size in raw.get(name, ())) for name in ("outside", "surge")}
    return Case(**{**{name: value for name, value in raw.items() if name != "sizes"}, **pairs})


def _without_defaults(case: Case) -> dict[str, Any]:
    defaults = {one.name: one.default for one in fields(Case)}
    return {name: value for name, value in asdict(case).items() if value != defaults[name]}


def _members(values: Mapping[str, Any]) -> str:
    return ",\n".join(f"{_compact(name)}:{_compact(value)}" for name, value in values.items())


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _shortest(load: float | None) -> float | None:
    return int(load) if load is not None and load == int(load) else load


def _rules(*policies: tuple[str, int, int], **others: Any) -> Behavior:
    named = [{"type": kind, "value": value, "periodSeconds": period} for kind, value, period in policies]
    return {**others, **({"policies": named} if named else {})}


def _window(seconds: int) -> Behavior:
    return {"stabilizationWindowSeconds": seconds}


def _both(up: Behavior, down: Behavior) -> Behavior:
    return {"scaleUp": up, "scaleDown": down}


_AT_ONCE = _window(0)

_EQUAL_PERIODS: Mapping[str, Behavior | None] = {
    "default": {},
    "at once": {"scaleDown": _AT_ONCE},
    "a minute down": {"scaleDown": _window(60)},
    "an hour down": {"scaleDown": _window(3600)},
    "a minute up": _both(_window(60), _AT_ONCE),
    "two windows": _both(_window(45), _window(120)),
    "odd windows": _both(_window(37), _window(101)),
    "2 pods up": _both(_rules(("Pods", 2, 15)), _AT_ONCE),
    "4 pods a minute": _both(_rules(("Pods", 4, 60)), _rules(("Pods", 4, 60), **_AT_ONCE)),
    "10% a minute": _both(_rules(("Percent", 10, 60)), _rules(("Percent", 10, 60), **_AT_ONCE)),
    "1%": _both(_rules(("Percent", 1, 15)), _rules(("Percent", 1, 15), **_AT_ONCE)),
    "300% up, 99% down": _both(_rules(("Percent", 300, 30)), _rules(("Percent", 99, 30), **_AT_ONCE)),
    "least of two": _both(
        _rules(("Pods", 3, 30), ("Percent", 50, 30), selectPolicy="Min"),
        _rules(("Pods", 3, 30), ("Percent", 20, 30), selectPolicy="Min", **_AT_ONCE),
    ),
    "most of two": _both(
        _rules(("Pods", 3, 30), ("Percent", 50, 30)), _rules(("Pods", 3, 30), ("Percent", 20, 30), **_AT_ONCE)
    ),
    "three periods, least": _both(
        _rules(("Pods", 4, 15), ("Pods", 9, 60), ("Percent", 80, 120), selectPolicy="Min"),
        _rules(("Pods", 4, 15), ("Percent", 40, 60), ("Pods", 10, 120), selectPolicy="Min", **_AT_ONCE),
    ),
    "three periods, most": _both(
        _rules(("Pods", 1, 15), ("Pods", 6, 90), ("Percent", 60, 120)),
        _rules(("Pods", 1, 15), ("Percent", 30, 60), ("Pods", 8, 120), **_AT_ONCE),
    ),
    "odd periods": _both(_rules(("Pods", 3, 22)), _rules(("Percent", 25, 22), **_window(50))),
    "half an hour": _both(_rules(("Percent", 50, 1800)), _rules(("Percent", 20, 1800), **_AT_ONCE)),
    "never down": {"scaleDown": {"selectPolicy": "Disabled"}},
    "never up": _both({"selectPolicy": "Disabled"}, _AT_ONCE),
    "never": _both({"selectPolicy": "Disabled"}, {"selectPolicy": "Disabled"}),
    "no tolerance": _both({"tolerance": "0"}, {"tolerance": "0", **_AT_ONCE}),
    "two tolerances": _both({"tolerance": "0.05"}, {"tolerance": "0.2", **_AT_ONCE}),
    "tolerance in thousandths": _both({"tolerance": "15m"}, {"tolerance": "333m", **_AT_ONCE}),
    "tolerance of 1": _both({"tolerance": "1"}, {"tolerance": "1", **_AT_ONCE}),
}
BEHAVIORS: Mapping[str, Behavior | None] = {
    **_EQUAL_PERIODS,
    "absent": None,
    "10% a minute down": {"scaleDown": _rules(("Percent", 10, 60))},
    "slow down, fast up": {"scaleDown": _rules(("Percent", 10, 600), **_AT_ONCE)},
    "slow up, fast down": _both(_rules(("Pods", 4, 600)), _AT_ONCE),
}


def _runs(*runs: tuple[float | None, int]) -> Loads:
    return tuple(itertools.chain.from_iterable([value] * count for value, count in runs))


_SHAPES: Mapping[str, Loads] = {
    "constant": _runs((50, 12)),
    "a step up": _runs((50, 3), (400, 30)),
    "a step down": _runs((400, 3), (50, 40)),
    "up and down": _runs((30, 4), (600, 14), (30, 36)),
    "a needle": _runs((50, 8), (300, 1), (50, 30)),
    "a dip": _runs((300, 8), (20, 1), (300, 12)),
    "a ramp": tuple(float(20 + 7 * sync) for sync in range(45)),
    "a fall": tuple(float(340 - 8 * sync) for sync in range(42)),
    "a saw": tuple(float(60 + 45 * (sync % 7)) for sync in range(56)),
    "blinking": tuple(180.0 if sync % 2 else 60.0 for sync in range(40)),
    "nothing at all": _runs((80, 4), (0, 30), (80, 6)),
    "edges of a replica": (
        *(100, 109, 120, 120.001, 119.999, 121, 130, 140.5, 150, 160, 199.999, 200, 200.001, 221),
        *(99.9, 1, 0.001),
    ),
    "edges of tolerance": (
        *(100, 110, 110.001, 109.999, 121, 121.001, 90, 89.999, 81, 80.999, 99, 98.999, 105, 105.001),
        *(95, 50, 33, 33.001, 29.7, 27, 26.999, 20, 22, 22.001, 18, 17.999, 11, 11.001),
    ),
}
_QUIRKS: Mapping[str, Loads] = {
    "tiny": (0.001, 0.01, 0.5, 1, 9.999, 10, 10.001, 11, 11.001, 12, 0, 0, 3),
    "huge": (0.005, 1e15, 2e6, 2147483.647, 2147484, 0.004),
    "negative": (50, 80, -5, 80, -0.001, 50, 50),
    "fractions": (0.0625, 0.063, 0.1, 0.125, 0.13, 1.25, 0.5),
    "billionths": (50, 50.000000001, 50.0000000001, 60, 60.0005, 59.9995),
    "a hundred": _runs((100, 10)),
    "a thing of a moment": _runs((100, 2), (400, 1), (100, 6)),
    "up for a while": (50, 90, 130, 170, 210, 250, 40, 40, 40, 40),
    "down for a while": (250, 210, 170, 130, 90, 50, 400, 400, 400, 400),
    "unknown at first": _runs((None, 4), (200, 10), (40, 30)),
    "a gap in a calm": _runs((100, 6), (None, 4), (100, 6)),
    "a gap before a fall": _runs((100, 3), (None, 4), (40, 6)),
    "a gap before a rise": _runs((100, 3), (None, 4), (200, 6)),
    "a long gap": _runs((100, 3), (None, 16), (40, 6)),
}


PARTS_OF_A_DAY = {"night": (2.0, 40), "morning": (7.0, 60), "noon": (12.5, 60), "evening": (20.0, 75)}
"""The hour at which each begins, and its minutes."""


def _noise(rng: random.Random) -> float:
    """Nearly normal, of variance 1, made of `random()` alone: the one stream that Python promises to keep."""
    return sum(rng.random() for _ in range(12)) - 6.0


def _day() -> Loads:
    """A made-up day of web traffic: night and day, a dip at lunch, noise that grows with the load, five bursts."""
    rng = random.Random(20260302)
    bursts = [(rng.random() * 24, rng.random() * 0.2 + 0.05, rng.random() * 200) for _ in range(5)]
    day, wander = list[float](), 0.0
    for sync in range(86_400 // SYNC_SECONDS):
        hour = sync * SYNC_SECONDS / 3600
        level = 150 - 120 * math.cos((hour - 3) * math.tau / 24) - 40 * math.exp(-((hour - 13) ** 2))
        wander = 0.97 * wander + 0.03 * _noise(rng)
        burst = sum(height for start, length, height in bursts if start <= hour < start + length)
        day.append(round(max(0.0, level * (1 + wander + 0.06 * _noise(rng)) + burst), 1))
    return tuple(day)


def _part(day: Loads, hour: float, minutes: int) -> Loads:
    """At the first sync nothing is known, as in the first step of a replay."""
    start = int(hour * 3600 / SYNC_SECONDS)
    return (None, *day[start : start + minutes * 60 // SYNC_SECONDS - 1])


def _parts() -> dict[str, Loads]:
    day = _day()
    return {name: _part(day, hour, minutes) for name, (hour, minutes) in PARTS_OF_A_DAY.items()}


def _walks() -> Iterator[tuple[str, Loads]]:
    """Loads that leap and stagger; each a second time with gaps."""
    rng = random.Random(15)
    for number in range(8):
        level, walk = 100.0, list[float]()
        for _ in range(60):
            level = max(0.0, level * (1 + 0.25 * _noise(rng)) + 4 * _noise(rng))
            level = level if rng.random() < 0.93 else rng.choice((0.0, 10.0, 250.0, 900.0))
            walk.append(round(level, 3))
        yield f"walk {number}", tuple(walk)
        yield f"walk {number} with gaps", tuple(None if rng.random() < 0.2 else load for load in walk)


def _loads() -> dict[str, Loads]:
    return {**_SHAPES, **_QUIRKS, **_parts(), **dict(_walks())}


def _cases() -> Iterator[Case]:
    for behavior, loads in itertools.product((*_EQUAL_PERIODS, "10% a minute down"), _SHAPES):
        yield Case(name=f"{behavior} / {loads}", behavior=behavior, loads=loads, initial=5)
    yield from _of_a_day()
    yield from _at_random()
    yield from _odd_metrics()
    yield from _unknown()
    yield from _resized()
    yield from _without_behavior()
    yield from _of_two_memories()


def _of_a_day() -> Iterator[Case]:
    behaviors = (
        *("default", "at once", "an hour down", "odd windows", "least of two", "three periods, most"),
        *("half an hour", "10% a minute down"),
    )
    for behavior, loads in itertools.product(behaviors, PARTS_OF_A_DAY):
        yield Case(name=f"{behavior} / {loads}", behavior=behavior, loads=loads, initial=8, low=2, high=60)


def _at_random() -> Iterator[Case]:
    """Any bounds, start and target. Gaps only where no window is open: else the HPA forgets during the gap."""
    rng = random.Random(8)
    windowless = (
        "at once",
        "2 pods up",
        "4 pods a minute",
        "1%",
        "least of two",
        "three periods, least",
        "half an hour",
    )
    steady = [(behavior, "") for behavior in (*_EQUAL_PERIODS, *_EQUAL_PERIODS)]
    for number, (behavior, gaps) in enumerate((*steady, *((one, " with gaps") for one in windowless))):
        loads = f"walk {number % 8}{gaps}"
        low = rng.choice((1, 1, 2, 5))
        high = low + rng.choice((0, 3, 20, 200))
        yield Case(
            name=f"{behavior} / {loads}, {low} to {high}",
            behavior=behavior,
            loads=loads,
            initial=rng.randint(low, high),
            low=low,
            high=high,
            average=rng.choice((0.5, 1, 3, 7.5, 10, 33.333, 250)),
            kind=rng.choice(("External", "Object")),
        )


def _odd_metrics() -> Iterator[Case]:
    for kind in ("External", "Object"):
        yield Case(name=f"tiny, {kind}", behavior="at once", loads="tiny", initial=1, kind=kind)
        yield Case(name=f"negative, {kind}", behavior="at once", loads="negative", initial=5, kind=kind)
    yield Case(name="more than an int32", behavior="at once", loads="huge", initial=3, average=0.001)
    yield Case(name="one size only", behavior="default", loads="a saw", initial=7, low=7, high=7)
    yield Case(name="12.5 thousandths each", behavior="no tolerance", loads="fractions", initial=5, average=0.0125)
    yield Case(name="billionths", behavior="no tolerance", loads="billionths", initial=5)


def _unknown() -> Iterator[Case]:
    """The metric is missing for a while."""
    for behavior in ("default", "at once", "a minute down", "a minute up", "2 pods up"):
        yield Case(name=f"{behavior} / unknown at first", behavior=behavior, loads="unknown at first", initial=4)
        yield Case(name=f"{behavior} / a gap in a calm", behavior=behavior, loads="a gap in a calm", initial=8)
    for behavior, loads in itertools.product(
        ("at once", "a minute down", "a minute up", "2 pods up"),
        ("a gap before a fall", "a gap before a rise", "a long gap"),
    ):
        yield Case(name=f"{behavior} / {loads}", behavior=behavior, loads=loads, initial=10)


def _resized() -> Iterator[Case]:
    """Somebody else sets the size, within the bounds and beyond them, and sets it to 6 later."""
    behaviors = ("default", "at once", "a minute up", "4 pods a minute", "10% a minute", "never down", "never up")
    for behavior, size in itertools.product(behaviors, (0, 1, 2, 9, 30)):
        yield Case(
            name=f"{behavior}, set to {size}",
            behavior=behavior,
            loads="constant",
            initial=5,
            low=2,
            high=20,
            outside=((3, size), (8, 6)),
        )
    for initial in (0, 1, 30):
        yield Case(name=f"from {initial}", behavior="default", loads="constant", initial=initial, low=3, high=20)
    for surge in (1, 3):
        surging = tuple((sync, surge) for sync in (3, 4, 5))
        yield Case(name=f"surge of {surge}", behavior="default", loads="a hundred", initial=10, surge=surging)


def _without_behavior() -> Iterator[Case]:
    """Such an HPA is carried out by older code, with a memory and limits of its own."""
    shapes = ("constant", "a step up", "a step down", "a dip", "a ramp", "up and down", "a saw")
    for loads in (*shapes, "morning", "noon", "unknown at first", "a thing of a moment"):
        yield Case(name=f"absent / {loads}", behavior="absent", loads=loads, initial=5)
    yield Case(name="absent / from 1", behavior="absent", loads="a hundred", initial=1)


def _of_two_memories() -> Iterator[Case]:
    """The periods of the two directions differ, and no window hides it."""
    for behavior, loads, initial in (
        *(("slow down, fast up", "up for a while", size) for size in (5, 40)),
        *(("slow up, fast down", "down for a while", size) for size in (1, 25)),
        *itertools.product(("slow down, fast up", "slow up, fast down"), ("constant", "a ramp"), (5, 25)),
    ):
        yield Case(name=f"{behavior} / {loads} from {initial}", behavior=behavior, loads=loads, initial=initial)


def named(cases: Iterable[Case]) -> dict[str, Case]:
    """By name; a name that is there twice would hide a case."""
    found = list(cases)
    by_name = {case.name: case for case in found}
    if len(by_name) != len(found):
        raise ValueError("two golden cases have one name")
    return by_name
