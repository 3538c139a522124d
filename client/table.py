"""How do scalers look in a table? What needs attention comes first, in columns that fit the terminal.

Pure: text in, text out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from client.glance import Glance, Level, age, short

NONE = "-"
_APART = 2
_LONGEST_NAME = 40

Cell = Callable[[Glance], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Lines of text without their ends. `levels`: of each row. `left_out`: columns that had no room."""

    header: str
    rows: tuple[str, ...]
    levels: tuple[Level, ...]
    left_out: tuple[str, ...]


def ordered(glances: Iterable[Glance], *, by_name: bool = False) -> list[Glance]:
    """What needs attention first; among equals, or if asked for among all, by namespace and name."""
    return sorted(glances, key=lambda one: (Level.WELL if by_name else one.concern.level, one.namespace, one.name))


def table(
    glances: Sequence[Glance], *, has_namespace: bool = False, is_wide: bool = False, width: int | None = None
) -> Table:
    """In the order given. `width`: columns of the terminal, for which the least important are left out."""
    columns = _columns(has_namespace=has_namespace, is_wide=is_wide)
    texts = {name: [name, *(cell(one) for one in glances)] for name, cell in columns.items()}
    widths = {name: max(map(len, column)) for name, column in texts.items()}
    left_out = [] if is_wide or width is None else _left_out(widths, width)
    kept = [name for name in texts if name not in left_out]
    lines = [
        "".join(texts[name][row].ljust(widths[name] + _APART) for name in kept).rstrip()
        for row in range(len(glances) + 1)
    ]
    return Table(
        header=lines[0],
        rows=tuple(lines[1:]),
        levels=tuple(one.concern.level for one in glances),
        left_out=tuple(name for name in texts if name in left_out),
    )


def _left_out(widths: dict[str, int], room: int) -> list[str]:
    """The first of _DISPENSABLE, as many as it takes."""
    needed = sum(widths.values()) + _APART * (len(widths) - 1)
    found: list[str] = []
    for name in _DISPENSABLE:
        if needed <= room:
            break
        found.append(name)
        needed -= widths[name] + _APART
    return found


def _columns(*, has_namespace: bool, is_wide: bool) -> dict[str, Cell]:
    first: dict[str, Cell] = {"NAMESPACE": lambda one: one.namespace} if has_namespace else {}
    return first | _ALWAYS | (_WIDE if is_wide else {})


def _sizes(one: Glance) -> str:
    return "/".join(_known(size) for size in (one.current, one.ready, one.desired))


def _known(count: int | None) -> str:
    return NONE if count is None else str(count)


def _load(load: float | None) -> str:
    return NONE if load is None else short(load)


def _trust(one: Glance) -> str:
    return NONE if one.trust is None else f"{one.trust:.0%}"


def _coverage(one: Glance) -> str:
    if one.coverage is None:
        return NONE
    measured, nominal = one.coverage
    return f"{NONE if measured is None else f'{100 * measured:.0f}'}/{100 * nominal:.3g}%"


def _age(one: Glance) -> str:
    return NONE if one.age is None else age(one.age)


def _lead(one: Glance) -> str:
    return NONE if one.lead_time is None else age(timedelta(seconds=one.lead_time))


def _objective(one: Glance) -> str:
    return NONE if one.objective is None else "/".join(one.objective)


def _bounds(one: Glance) -> str:
    return "-".join("?" if bound is None else str(bound) for bound in one.bounds)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"


_ALWAYS: dict[str, Cell] = {
    "NAME": lambda one: one.name,
    "MODE": lambda one: one.mode,
    "TARGET": lambda one: _cut(one.target),
    "NOW/READY/WANT": _sizes,
    "SEEN": lambda one: _load(one.seen),
    "FORECAST": lambda one: _load(one.forecast),
    "TRUST": _trust,
    "COVERAGE": _coverage,
    "WHY": lambda one: one.why or NONE,
    "REASON": lambda one: one.concern.reason or NONE,
    "AGE": _age,
}
_WIDE: dict[str, Cell] = {
    "BOUNDS": _bounds,
    "LEAD": _lead,
    "OBJECTIVE": _objective,
    "MODEL": lambda one: one.model or NONE,
}
_DISPENSABLE = ("COVERAGE", "TARGET", "WHY", "TRUST", "AGE", "SEEN", "FORECAST", "MODE")
"""What is left out first where there is no room."""
