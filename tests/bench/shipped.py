"""How good are the shipped models, also where they have seen little, or nothing of the kind? Needs the public traces.

`python -m tests.bench.shipped [STEP…]`, with steps in seconds (300, 60, 15). Pinball skill against the better of
persistence and seasonal naive: on the test spans, and once more for a stranger, a model that has learned from made-up
workloads alone. Where only a day or an hour is shown, the naive bands are those of a made-up trace, as nobody could
have measured others. Not a test; takes minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from controller.core.series import Series
from controller.forecaster import FloatArray, IntArray, Model, load_model
from training import export, shipped
from training.families.family import Past
from training.families.seasonal import PERSISTENCE, SEASONAL_NAIVE
from training.generated import generate, sample
from training.measures import Tally
from training.shipped import DAY, SHIPPED, Shipped
from training.windows import Window, futures, histories, origins

_MODELS = Path(__file__).parents[2] / "models"
_MOST_ORIGINS = 600  # of a trace, evenly spread over its test span
_PART = 256
_UNSEEN = range(1000, 1030)  # seeds of made-up workloads
_UNSEEN_SEASONS = 9
_HOUR = timedelta(hours=1)
_SHOWN: Mapping[str, timedelta | None] = {"all": None, "1 day": DAY, "1 hour": _HOUR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A trace with its test span."""

    name: str
    past: Past
    since: datetime

    @property
    def before(self) -> Series:
        return self.past.series.until(self.since)


def _naive(window: Window, past: Past) -> list[Model]:
    return [
        export.draft(family.fit(past.series, window, past.zone), past.series, window, name=family.name, unit="load")
        for family in (PERSISTENCE, SEASONAL_NAIVE)
    ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Questions:
    """What is asked of every model, and what came: [n, context], [n], [n, horizon]."""

    history: FloatArray
    origin: IntArray
    came: np.ndarray[tuple[int, ...], np.dtype[np.float64]]

    @classmethod
    def of(cls, case: Case, window: Window, shown: timedelta | None) -> Questions:
        series, first = case.past.series, len(case.before) - 1
        places = np.unique(np.linspace(first, len(series) - 2, _MOST_ORIGINS).astype(np.int64))
        history = histories(series, window)[places].copy()
        if shown is not None:
            history[:, : -(shown // window.step)] = np.nan
        return cls(
            history=history, origin=origins(series, case.past.zone)[places], came=futures(series, window)[places]
        )

    def losses(self, models: Sequence[Model]) -> list[float]:
        """Pinball losses over all steps and levels, where all models answer."""
        answers = [model.predict(self.history, self.origin) for model in models]
        known = np.isfinite(self.came) & np.all([np.isfinite(answer).all(axis=-1) for answer in answers], axis=0)
        tallies = [Tally.empty(self.came.shape[1], model.card.levels) for model in models]
        for tally, answer in zip(tallies, answers, strict=True):
            tally.add(self.came, answer, known)
        return [float(tally.pinball.sum() / max(1.0, tally.count.sum()) / len(tally.levels)) for tally in tallies]


def _skills(model: Model, cases: Iterable[Case], window: Window, shown: timedelta | None) -> dict[str, float]:
    """By trace; of those where there is a naive loss at all."""
    strangers = _naive(window, Past(series=generate(1, step=window.step, season=DAY, seasons=4), zone=UTC))
    found = {}
    for case in cases:
        rivals = _naive(window, Past(series=case.before, zone=case.past.zone)) if shown is None else strangers
        loss, *naive = Questions.of(case, window, shown).losses([model, *rivals])
        if min(naive) > 0:
            found[case.name] = 1 - loss / min(naive)
    return found


def _recorded(each: Shipped, now: datetime) -> list[Case]:
    read = [(trace, trace.read(each.step, now)) for trace in shipped.traces(each.step)]
    return [
        Case(name=trace.name, past=Past(series=data.series, zone=data.zone), since=trace.test(data))
        for trace, data in read
    ]


def _made_up(each: Shipped) -> list[Case]:
    series = (sample(seed).series(seed, step=each.step, season=DAY, seasons=_UNSEEN_SEASONS) for seed in _UNSEEN)
    return [
        Case(name=f"sample {seed}", past=Past(series=load, zone=UTC), since=load.end - 2 * DAY)
        for seed, load in zip(_UNSEEN, series, strict=True)
    ]


def _stranger(each: Shipped, now: datetime) -> Model:
    """A model that has learned from made-up workloads alone: it is judged on traces of which it has seen nothing."""
    learned = shipped.lessons(each, (), now)
    return shipped.drafted(each, shipped.fitted(each, learned), learned)


def _print(
    each: Shipped, columns: Mapping[str, Mapping[str, float]], made_up: Mapping[str, Mapping[str, float]]
) -> None:
    table = Table(title=f"{each.name}: skill against the better naive forecast, up to {each.horizon} ahead")
    for heading in ("trace", *columns):
        table.add_column(heading, justify="left" if heading == "trace" else "right")
    for trace in next(iter(columns.values())):
        table.add_row(trace, *(f"{column[trace]:+.1%}" if trace in column else "" for column in columns.values()))
    table.add_section()
    for name, column in made_up.items():
        losing = sum(skill < 0 for skill in column.values())
        median = float(np.median(list(column.values())))
        table.add_row(f"{len(column)} made-up, shown {name}", f"median {median:+.1%}, {losing} lose")
    Console(width=150).print(table)


def main(steps: Sequence[int]) -> None:
    now = datetime.now(UTC)
    for each in SHIPPED:
        if steps and each.step.total_seconds() not in steps:
            continue
        model, cases = load_model(_MODELS / f"{each.name}.onnx"), _recorded(each, now)
        stranger = _stranger(each, now)
        columns = {
            f"{kind}, {name}": _skills(judged, cases, each.window, shown)
            for kind, judged in (("shipped", model), ("stranger", stranger))
            for name, shown in _SHOWN.items()
        }
        made_up = {name: _skills(model, _made_up(each), each.window, shown) for name, shown in _SHOWN.items()}
        _print(each, columns, made_up)


if __name__ == "__main__":
    main([int(step) for step in sys.argv[1:]])
