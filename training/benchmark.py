"""Which family forecasts best, how far ahead, at which step, and at what cost? All of them on one public trace.

Each family at each step is a cell, in a process of its own: what it needs is measured, and what breaks it costs only
itself. Baselines answer once a step. Must not choose anything by what it finds.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from controller.forecaster import Model
from controller.ports import ModelError
from training import export
from training.backtest import MODEL, Answers, BacktestError, Report, ask, report_of, together
from training.cleaning.flags import How
from training.datasets import Dataset
from training.export import ExportError
from training.families.catalogue import family_of
from training.families.family import FitError, Fitted
from training.job import Job
from training.open_loop import OpenLoop, open_loop
from training.windows import Window, histories, origins
from training.workers import BrokenError, each

NAIVE = ("persistence", "seasonal-naive")  # what skill is measured against
LONGEST = timedelta(minutes=20)  # for one cell
_DAY = timedelta(days=1)
_BATCH = 1000  # rows whose inference is timed at once
_ROUNDS = 3
_MICRO, _MEGA = 1e6, 2**20 / 1024  # of a second; kilobytes of resident memory in a megabyte


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How one trace is judged at one step. The test begins at `since`, or else is the last `share` of the series.

    `alone`: how long the open loop is, None for none.
    """

    step: timedelta
    horizon: timedelta
    since: datetime | None = None
    share: float = 0.3
    alone: timedelta | None = None

    @property
    def window(self) -> Window:
        """What models see and answer."""
        return Window.fitting(step=self.step, season=_DAY, horizon=self.horizon)

    def job(self, dataset: Dataset, how: How) -> Job:
        """The dataset cut in two, its past cleaned."""
        series = dataset.series
        cut = self.since or series.end - round(self.share * len(series)) * series.step
        return Job.of(dataset, self.window, cut, how=how)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A public trace, and how it is judged."""

    data: str
    settings: Sequence[Setting]


_NASA_TEST = datetime(1995, 8, 23, tzinfo=timezone(timedelta(hours=-4)))
TRACES = {
    "nasa": Trace(
        data="public:nasa",
        settings=(
            Setting(step=timedelta(minutes=1), horizon=timedelta(hours=1)),
            Setting(step=timedelta(minutes=5), horizon=timedelta(hours=6), since=_NASA_TEST, alone=9 * _DAY),
            Setting(step=timedelta(minutes=15), horizon=timedelta(hours=6), since=_NASA_TEST),
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One cell to be: a family on a job."""

    family: str
    job: Job
    alone: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What the process of a cell sends back. `megabytes`: the most that it held; `size`: bytes of the model file."""

    answers: Answers
    open_loop: OpenLoop | None
    fit_seconds: float
    row_microseconds: float
    megabytes: float
    size: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """One family at one step: `report` and `outcome`, or the `failure` in words."""

    family: str
    step: timedelta
    report: Report | None = None
    outcome: Outcome | None = None
    failure: str | None = None

    def rmse(self) -> Mapping[timedelta, float]:
        """By how far ahead, at the shown steps."""
        if self.report is None:
            return {}
        return {step * self.step: float(self.report.model.rmse[step - 1]) for step in self.report.steps()}

    def off(self) -> Mapping[str, float]:
        """By how much a level is off, at most, over the shown steps: as forecast, and after calibration."""
        if self.report is None:
            return {}
        levels = np.array(self.report.model.levels)
        raw = self.report.model.coverage[np.array(self.report.steps()) - 1]
        told = {"forecast": raw, "calibrated": self.report.calibrated.coverage}
        return {name: float(np.abs(coverage - levels).max()) for name, coverage in told.items()}

    def alone(self) -> float | None:
        """RMSE of the open loop."""
        loop = None if self.outcome is None else self.outcome.open_loop
        return None if loop is None else float(loop.to_dict()["scores"][self.family]["rmse"])

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        found: dict[str, Any] = {"family": self.family, "step_seconds": self.step.total_seconds()}
        if self.report is None or self.outcome is None:
            return {**found, "failure": self.failure}
        return {
            **found,
            "skill": self.report.skill,
            "pinball": self.report.model.loss,
            "levels_off": self.off(),
            "open_loop_rmse": self.alone(),
            "fit_seconds": self.outcome.fit_seconds,
            "row_microseconds": self.outcome.row_microseconds,
            "megabytes": self.outcome.megabytes,
            "file_bytes": self.outcome.size,
            "horizons": self.report.to_dict(),
        }


def run(tasks: Sequence[Task], *, longest: timedelta = LONGEST) -> Iterator[Cell]:
    """A cell for each task, in their order; those of NAIVE must come first at their step."""
    naive: dict[timedelta, list[Answers]] = {}
    # One at a time: cells that share the machine would be charged for one another.
    for task, outcome in each(_work, tasks, workers=1, longest=longest):
        if isinstance(outcome, Outcome) and task.family in NAIVE:
            naive.setdefault(task.job.window.step, []).append(_named(outcome.answers, task.family))
        yield _cell(task, outcome, naive.get(task.job.window.step, []))


def _named(answers: Answers, name: str) -> Answers:
    return replace(answers, said={name: answers.said[MODEL]}, scores={name: answers.scores[MODEL]})


def _cell(task: Task, outcome: Outcome | str | BrokenError, naive: Sequence[Answers]) -> Cell:
    step = task.job.window.step
    if not isinstance(outcome, Outcome):
        return Cell(family=task.family, step=step, failure=str(outcome))
    try:
        answers = outcome.answers
        for each_naive in naive:
            answers = together(answers, each_naive, task.family)
        report = report_of(answers, task.job.window, task.job.dataset.series, task.job.since)
        export.refuse_too_good(report)
    except (BacktestError, ExportError) as error:
        return Cell(family=task.family, step=step, failure=str(error))
    return Cell(family=task.family, step=step, report=report, outcome=outcome)


def _work(task: Task) -> Outcome | str:
    """In a process of its own: fit, export, answer every origin; or why not."""
    try:
        return _judged(task)
    except (FitError, ExportError, BacktestError, ModelError) as error:
        return str(error)


def _judged(task: Task) -> Outcome:
    job, series, zone = task.job, task.job.dataset.series, task.job.dataset.zone
    begin = perf_counter()
    fitted = job.fit(family_of(task.family))
    model = export.draft(fitted, job.lessons, job.window, name=task.family, unit="load")
    seconds = perf_counter() - begin
    loop = None
    if task.alone is not None:
        loop = open_loop({task.family: model}, series, zone, job.since, task.alone)
    return Outcome(
        answers=ask({MODEL: model}, series, zone, job.since, lambda _done, _all: None),
        open_loop=loop,
        fit_seconds=seconds,
        row_microseconds=_row_microseconds(model, job),
        megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MEGA,
        size=_size(fitted, model),
    )


def _row_microseconds(model: Model, job: Job) -> float:
    """The median time of a row in a batch, on the last of the past."""
    past = job.past.tail(_BATCH + job.window.context)
    seen, clock = histories(past, job.window)[-_BATCH:].copy(), origins(past.tail(_BATCH), job.dataset.zone)
    times = []
    for _ in range(_ROUNDS):
        begin = perf_counter()
        model.predict(seen, clock)
        times.append(perf_counter() - begin)
    return median(times) / len(seen) * _MICRO


def _size(fitted: Fitted, model: Model) -> int:
    return len(export.encode(fitted, model.card))
