"""Which family forecasts a series best? All are fitted on the early past and compared on the last seasons of it.

The test span stays unseen: who asks refits the champion on all of the past and judges it there. One model at a time is
held, so that memory does not grow with the number of families. Must not write files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter

import numpy as np

from controller.forecaster import Model
from training import export
from training.backtest import BacktestError
from training.export import ExportError
from training.families.family import Family, FitError, Progress
from training.job import Job, Show, quiet
from training.windows import histories, origins

Find = Callable[[str, Progress], Family]

_TIMED_ROWS = 256
_TIMED_RUNS = 3


class OverBudgetError(Exception):
    """A fit takes longer than it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How one family did. `took`: its fit. `loss`: pinball; `skill`: against naive; `row`: the time of a forecast.

    `problem`: why there is none of these, and the loss is infinite.
    """

    family: str
    took: timedelta
    loss: float = float("inf")
    skill: float = float("nan")
    row: timedelta = timedelta(0)
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """All trials on the span from `since` to `until` (aware), best first; those that failed last."""

    since: datetime
    until: datetime
    trials: Sequence[Trial]

    @property
    def champion(self) -> str:
        """The name of the best family."""
        return self.trials[0].family

    @property
    def because(self) -> str:
        """Why it is the champion."""
        best, *others = (trial for trial in self.trials if trial.problem is None)
        lead = f"{best.family} is the champion: its pinball loss {best.loss:.4g}"
        if not others:
            return f"{lead} is the only one"
        ahead = 1 - best.loss / others[0].loss if others[0].loss > 0 else 0.0
        return f"{lead} is {ahead:.1%} less than that of the next best, {others[0].family}"


def choose(
    job: Job, families: Sequence[str], find: Find, *, budget: timedelta | None = None, show: Show = quiet
) -> Choice:
    """Try each family for at most `budget`. Raises FitError where none can be fitted, BacktestError on a short past."""
    rehearsal = job.rehearsal()
    trials = [_trial(rehearsal, name, find, budget, show) for name in families]
    if all(trial.problem for trial in trials):
        raise FitError("; ".join(f"{trial.family}: {trial.problem}" for trial in trials))
    return Choice(
        since=rehearsal.since,
        until=job.past.end,
        trials=sorted(trials, key=lambda trial: trial.loss),
    )


def _trial(rehearsal: Job, name: str, find: Find, budget: timedelta | None, show: Show) -> Trial:
    begin = perf_counter()
    try:
        family = find(name, _watched(show(f"fitting {name}"), budget, begin))
        fitted = rehearsal.fit(family)
        took = timedelta(seconds=perf_counter() - begin)
        _check_budget(budget, begin)
        model = export.draft(fitted, rehearsal.lessons, rehearsal.window, name=name, unit="load")
        report = rehearsal.judge(model)
    except (FitError, ExportError, BacktestError, OverBudgetError) as error:
        return Trial(family=name, took=timedelta(seconds=perf_counter() - begin), problem=str(error))
    return Trial(family=name, took=took, loss=report.model.loss, skill=report.skill, row=_time_of_row(model, rehearsal))


def _watched(tell: Progress, budget: timedelta | None, begin: float) -> Progress:
    """Tells how far a fit is, and ends it when its time is over."""

    def watch(done: int, total: int) -> None:
        tell(done, total)
        _check_budget(budget, begin)

    return watch


def _check_budget(budget: timedelta | None, begin: float) -> None:
    """Raises OverBudgetError."""
    if budget is not None and perf_counter() - begin > budget.total_seconds():
        raise OverBudgetError(f"it takes longer than the budget of {budget}")


def _time_of_row(model: Model, job: Job) -> timedelta:
    """The shortest of some runs: what else the machine does can only add to it."""
    history = np.ascontiguousarray(histories(job.past, job.window)[-_TIMED_ROWS:])
    clock = origins(job.past, job.dataset.zone)[-_TIMED_ROWS:]
    taken = []
    for _ in range(_TIMED_RUNS):
        begin = perf_counter()
        model.predict(history, clock)
        taken.append(perf_counter() - begin)
    return timedelta(seconds=min(taken) / len(clock))
