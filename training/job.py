"""How does a series become a model file? Fit on its past, judge on its last part, write what is worth it.

The order of the steps and nothing else: each is in a file of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from controller.core.series import Series
from controller.forecaster import Model
from training import export
from training.backtest import Answers, BacktestError, Report, ask, beside, hold_out
from training.calendars.applying import applied
from training.calendars.effects import learned, without_events
from training.calendars.event import Calendar
from training.cleaning.flags import Flags, How, flag
from training.datasets import Dataset
from training.export import ExportError
from training.families.family import Family, Fitted
from training.families.seasonal import PERSISTENCE, SEASONAL_NAIVE
from training.open_loop import OpenLoop, open_loop
from training.windows import Window

Tell = Callable[[int, int], None]  # how much is done, of how much
Show = Callable[[str], Tell]  # a piece of work gets a name; what tells how far it is

_TEST_SHARE = 0.15  # of the series is kept for the test when nobody says where it begins
_BASELINES = (PERSISTENCE, SEASONAL_NAIVE)


def quiet(_title: str) -> Tell:
    """Shows nothing."""
    return lambda _done, _all: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A fitted model and how it did on the test; not yet a file."""

    fitted: Fitted
    model: Model
    report: Report

    def write(self, out: Path, *, may_lose: bool = False, because: str | None = None) -> Model:
        """Write the model file; the model as read back.

        Raises ExportError, also when it loses to naive and may not, and when it is too good and nobody says why.
        """
        if not may_lose:
            export.refuse_losers(self.report, self.fitted.family)
        if because is None:
            export.refuse_too_good(self.report)
        return export.write(self.fitted, export.with_scores(self.model.card, self.report, because), out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A series cut in two: what may be learned from, and from `since` (aware) on what it is tested on.

    `how`: by which signs the past is cleaned. `calendar`: what is planned. `_baselines`, `_answers`, `_flags`: what is
    the same for every model, once it was needed.
    """

    dataset: Dataset
    window: Window
    since: datetime
    how: How = "off"
    calendar: Calendar | None = None
    _baselines: dict[str, Model] = field(default_factory=dict, init=False, repr=False, compare=False)
    _answers: list[Answers] = field(default_factory=list, init=False, repr=False, compare=False)
    _flags: list[Flags] = field(default_factory=list, init=False, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        window: Window,
        since: datetime | None = None,
        *,
        how: How = "off",
        calendar: Calendar | None = None,
    ) -> Job:
        """Cut at `since`, or else before the last whole seasons. Raises BacktestError."""
        series = dataset.series
        cut = since or hold_out(series, share=_TEST_SHARE, season=window.season)
        if not series.start < cut < series.end:
            raise BacktestError(f"the test cannot begin at {cut}: the series goes from {series.start} to {series.end}")
        return cls(dataset=dataset, window=window, since=cut, how=how, calendar=calendar)

    def rehearsal(self) -> Job:
        """The same with its past only, cut once more. Raises BacktestError, CalendarError.

        What events do is what all of the past shows: the same for every family, and none may be left to the first part.
        """
        dataset = replace(self.dataset, series=self.past)
        calendar = None if self.calendar is None else learned(self.calendar, self.past, self.window)
        return Job.of(dataset, self.window, how=self.how, calendar=calendar)

    @property
    def past(self) -> Series:
        """What came before the test."""
        return self.dataset.series.until(self.since)

    @property
    def flags(self) -> Flags:
        """What of the past is no example, events aside."""
        if not self._flags:
            quiet = self.past if self.calendar is None else without_events(self.past, self.calendar)
            self._flags.append(flag(quiet, self.window, self.dataset.zone, self.how))
        return self._flags[0]

    @property
    def lessons(self) -> Series:
        """What may be learned from: the past without events and flagged spans."""
        past = self.flags.removed_from(self.past)
        return past if self.calendar is None else without_events(past, self.calendar)

    def excluded(self) -> list[tuple[datetime, datetime, str]]:
        """What of the past was not learned from: from, until, both in the data's zone, and why."""
        events = () if self.calendar is None else self.calendar.events
        found = [(span.start, span.end, span.why) for span in self.flags.spans]
        found += [(span.start, span.end, f"planned: {event.name}") for event in events for span in event.spans]
        zone = self.dataset.zone
        return [
            (start.astimezone(zone), end.astimezone(zone), why)
            for start, end, why in sorted(found)
            if start < self.since
        ]

    def fit(self, family: Family) -> Fitted:
        """Learn from the past, with the calendar around what was learned. Raises FitError, CalendarError."""
        zone = self.dataset.zone
        fitted = family.fit(self.lessons, self.window, zone)
        if self.calendar is None:
            return fitted
        return applied(fitted, learned(self.calendar, self.past, self.window), self.past, self.window, zone)

    def try_out(self, family: Family, *, name: str, unit: str = "load", show: Show = quiet) -> Candidate:
        """Fit on the past and judge on the rest. Raises FitError, ExportError, BacktestError, CalendarError."""
        fitted = self.fit(family)
        model = export.draft(fitted, self.lessons, self.window, name=name, unit=unit)
        return Candidate(fitted=fitted, model=model, report=self.judge(model, show))

    def judge(self, model: Model, show: Show = quiet) -> Report:
        """Beside baselines whose bands come from the same past. Raises BacktestError."""
        series, zone = self.dataset.series, self.dataset.zone
        if not self._answers:
            tell = show("testing the naive forecasts")
            self._answers.append(ask(self.baselines(), series, zone, self.since, tell))
        return beside(model, self._answers[0], series, zone, self.since, show("testing"))

    def let_go(self, model: Model, length: timedelta) -> OpenLoop:
        """All of `length` after the past at once, beside the baselines. Raises BacktestError."""
        rivals = {model.card.name: model, **self.baselines()}
        return open_loop(rivals, self.dataset.series, self.dataset.zone, self.since, length)

    def baselines(self) -> Mapping[str, Model]:
        """The naive forecasts, whose bands come from the same past."""
        for family in _BASELINES:
            if family.name not in self._baselines:
                self._baselines[family.name] = self._baseline(family)
        return self._baselines

    def _baseline(self, family: Family) -> Model:
        window = self.window.whole  # not that of a model from elsewhere, which may see no season
        fitted = family.fit(self.past, window, self.dataset.zone)
        return export.draft(fitted, self.past, window, name=family.name, unit="load")


def check_writable(out: Path) -> None:
    """Before minutes are spent on what cannot be kept. Raises ExportError."""
    if out.suffix != ".onnx":
        raise ExportError(f"{out} must end in .onnx, or the controller will not find it")
    check_folder(out)


def check_folder(out: Path | None) -> None:
    """That something can be written at `out`, where anything shall be. Raises ExportError."""
    if out is None:
        return
    if out.is_dir():
        raise ExportError(f"{out} is a directory; name a file in it")
    if not out.parent.is_dir():
        raise ExportError(f"there is no directory {out.parent}")
    if not os.access(out.parent, os.W_OK):
        raise ExportError(f"nothing can be written in {out.parent}")
