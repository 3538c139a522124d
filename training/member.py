"""What is one series of a fleet? Where its past is, which window and family it gets, and the model it ends up with.

A model that loses to the naive forecasts is not kept: the better of these is, so that every member has a model. Must
not know of the other members, nor write any file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from controller.core.series import floor_to_step
from controller.ports import ModelError
from training import datasets, export
from training.backtest import BacktestError, Report
from training.calendars import reading as calendars
from training.calendars.event import Calendar
from training.calendars.reading import Reach
from training.champion import choose
from training.cleaning.flags import How
from training.datasets import Aggregate, DataError, Dataset
from training.export import ExportError
from training.families.catalogue import FAMILIES, family_of, libraries_of
from training.families.family import FitError
from training.job import Candidate, Job
from training.windows import Window, WindowError

MENDABLE = (DataError, WindowError, FitError, BacktestError, ExportError, ModelError, OSError)
"""What can be wrong with one series; anything else is wrong with the program, and ends its process."""

AUTO = "auto"  # as a family: the best of all
_YEAR = timedelta(days=365)  # how far the rules of a calendar are followed


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One series. Its fields are the options of `fit`; `budget`: how long `auto` may take to fit one family."""

    name: str
    data: str
    step: timedelta = timedelta(minutes=5)
    season: timedelta = timedelta(days=1)
    horizon: timedelta = timedelta(hours=6)
    family: str = "lightgbm"
    unit: str = "load"
    query: str | None = None
    column: str | None = None
    aggregate: Aggregate | None = None
    zone: tzinfo | None = None
    start: datetime | None = None
    every: timedelta | None = None
    since: datetime | None = None
    until: datetime | None = None
    test_from: datetime | None = None
    clean: How = "both"
    calendar: str | None = None
    budget: timedelta | None = None
    because: str | None = None

    @property
    def window(self) -> Window:
        """What its model sees and answers. Raises WindowError."""
        return Window.fitting(step=self.step, season=self.season, horizon=self.horizon)

    def load(self, now: datetime) -> Dataset:
        """Read its past up to the last whole season: a run that goes on later sees the same. Raises DataError."""
        same = ("query", "column", "aggregate", "zone", "start", "every", "since", "until")
        fields = {name: getattr(self, name) for name in same}
        return datasets.load(
            datasets.Request(
                data=self.data, step=self.step, season=self.season, now=floor_to_step(now, self.season), **fields
            )
        )

    def job(self, dataset: Dataset, since: datetime | None) -> Job:
        """Cut at `since`, or else before the last whole seasons. Raises BacktestError, CalendarError."""
        return Job.of(dataset, self.window, since, how=self.clean, calendar=self._planned(dataset))

    def _planned(self, dataset: Dataset) -> Calendar | None:
        series = dataset.series
        reach = Reach(zone=dataset.zone, since=series.start, until=series.end + _YEAR)
        return None if self.calendar is None else calendars.read(Path(self.calendar), reach)

    def best(self, job: Job) -> Candidate:
        """The family's model, or the better of the naive ones where that loses. Raises FitError, ExportError."""
        is_open = self.family == AUTO
        name = choose(job, tuple(FAMILIES), family_of, budget=self.budget).champion if is_open else self.family
        candidate = self._try(name, job)
        if _is_worth_it(candidate.report, candidate.fitted.family):
            return candidate
        return self._try(candidate.report.best_baseline, job)

    def _try(self, family: str, job: Job) -> Candidate:
        return job.try_out(family_of(family), name=self.name, unit=self.unit)

    def inputs(self, dataset: Dataset) -> str:
        """A digest of all that its model depends on: the series, these settings, and the libraries."""
        series = dataset.series
        settings = {
            "name": self.name,
            "window": [each.total_seconds() for each in (self.step, self.season, self.horizon)],
            "family": self.family,
            "unit": self.unit,
            "zone": str(dataset.zone),
            "clean": self.clean,
            "calendar": None if self.calendar is None else _digest(Path(self.calendar)),
            "test": None if self.test_from is None else self.test_from.timestamp(),
            "end": series.end.timestamp(),
            "start": series.start.timestamp(),
            "values": hashlib.sha256(series.values.astype("<f8").tobytes()).hexdigest(),
            "libraries": {name: libraries_of(name) for name in (FAMILIES if self.family == AUTO else [self.family])},
        }
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def signed(candidate: Candidate, inputs: str) -> Candidate:
    """The candidate, whose card says what it was made from."""
    noted = replace(candidate.model.card, inputs=inputs)
    return replace(candidate, model=replace(candidate.model, card=noted))


def _is_worth_it(report: Report, family: str) -> bool:
    try:
        export.refuse_losers(report, family)
    except ExportError:
        return False
    return True
