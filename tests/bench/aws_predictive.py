"""What are AWS's own rules worth on public traces? `python -m tests.bench.aws_predictive [nasa] [twitter]`.

AWS's published rules with a seasonal hourly forecast of ours, which is not AWS's model: so the same rules stand beside
it with each hour's mean known beforehand, and what AWS says only in words read in the other ways. All are read where
they are short equally often; what the forecast has there is told by `tests.bench.decisions`. Not a test.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.bench.decisions import NASA_TEST, RISKS, STARTUPS, TICK, TWITTER_TEST, Stage, request, rivals, stage
from training.simulate import aws
from training.simulate.capacity import Capacity, lag_of
from training.simulate.frontier import Frontier
from training.simulate.hourly import Floats, Habits, Hours, predicted
from training.simulate.log import Run
from training.simulate.material import Material, gather
from training.simulate.study import AWS_PREDICTIVE, AWS_TRACKING, HPA

SHOWN = RISKS[1:]
TARGETS = tuple(percent / 100 for percent in (*range(2, 20), *range(20, 121, 4)))
TESTS = {"nasa": NASA_TEST, "twitter": TWITTER_TEST}
FIRST = {"nasa": timedelta(days=14), "twitter": timedelta(days=7)}  # of the data are not judged, only looked at
BELIEFS = tuple(
    Habits(usual=usual, recent=recent, carried=carried)
    for usual, recent, carried in product((0.0, 1.0, 2.0, 4.0, 8.0), (3, 6, 12, 24), (0.0, 0.25, 0.5, 0.75, 1.0))
)
HASTY, LATE = aws.Tracking(is_hasty=True), aws.Tracking(low=0.7)


def trace(console: Console, name: str, since: datetime) -> None:
    """Both start-up times, and how the forecast was chosen."""
    material = gather(request(name, TICK), since)
    _tell_choice(console, material, FIRST[name])
    for startup in STARTUPS:
        each = stage(material, startup, {})
        _tell(console, name, each, dict(_frontiers(each)))


def _frontiers(each: Stage) -> Iterator[tuple[str, Frontier]]:
    """The HPA, and AWS's rules with all that might be meant by them."""
    material, load = each.material, each.scene.load
    yield HPA, rivals(each.scene)
    floor, known = aws.floor_of(material.before, load), aws.known_floor(load)
    yield AWS_PREDICTIVE, _swept(each, floor)
    yield "with each hour's mean known", _swept(each, known)
    yield "low alarm at 70 %", _swept(each, floor, LATE)
    yield "low alarm at 70 %, hours known", _swept(each, known, LATE)
    yield "in to the last minute's load", _swept(each, floor, HASTY)
    yield AWS_TRACKING, _swept(each, None)
    yield f"{AWS_TRACKING}, low alarm at 70 %", _swept(each, None, LATE)
    yield f"{AWS_TRACKING}, in to the last minute's load", _swept(each, None, HASTY)


def _swept(each: Stage, floor: Floats | None, tracking: aws.Tracking | None = None) -> Frontier:
    scene = each.scene
    asked = aws.sizes(
        scene.load,
        np.array([scene.target(utilisation) for utilisation in TARGETS]),
        startup=scene.startup,
        initial=scene.initial,
        lowest=scene.lowest,
        highest=scene.highest,
        floor=floor,
        tracking=tracking,
    )
    lag = lag_of(scene.startup, scene.load.step)
    runs = (
        Run(
            name="aws",
            setting=utilisation,
            capacity=Capacity.of(asked.sizes[:, place], initial=scene.initial, lag=lag),
        )
        for place, utilisation in enumerate(TARGETS)
    )
    return Frontier(knob="target utilisation", points=tuple(scene.point(run) for run in runs))


def _tell(console: Console, name: str, each: Stage, found: dict[str, Frontier]) -> None:
    table = Table("short", *(f"{risk * 100:g} %" for risk in SHOWN), "changes at 1 %")
    table.title = f"{name}, start-up {each.scene.startup.total_seconds():.0f} s: replica-hours at equal risk"
    for who, frontier in found.items():
        table.add_row(who, *(_count(frontier.hours_at(risk)) for risk in SHOWN), _count(frontier.changes_at(0.01)))
    console.print(table)


def _tell_choice(console: Console, material: Material, first: timedelta) -> None:
    """How far off the forecasts were on the days before the test, of which one is used for all traces."""
    before = Hours.of(material.before)
    begin = first // timedelta(hours=1)
    errors = {}
    for habits in BELIEFS:
        missed = (before.values - predicted(before, aws.BUFFER, habits))[begin:]
        errors[habits] = float(np.sqrt(np.nanmean(missed**2)))
    best = min(errors, key=lambda habits: errors[habits])
    console.print(
        f"hourly forecast, root mean square error before the test: {errors[Habits()]:.4g} of {Habits()}; "
        f"the best of {len(errors)} had {errors[best]:.4g}, {best}"
    )


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("traces", nargs="*", metavar="TRACE", help=f"of {', '.join(TESTS)}; by default both")
    options = parser.parse_args()
    unknown = sorted(set(options.traces) - set(TESTS))
    if unknown:
        parser.error(f"there is no trace {unknown[0]!r}; there are {', '.join(TESTS)}")
    console = Console(width=150)
    for name in options.traces or TESTS:
        trace(console, name, TESTS[name])


if __name__ == "__main__":
    main()
