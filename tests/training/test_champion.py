"""Is the champion the one that is best before the test begins?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, timedelta, tzinfo
from time import perf_counter

import numpy as np
import pytest

from controller.core.series import Series
from tests.training.small import DAY, FAMILIES, WINDOW, noise, trace
from training import champion
from training.backtest import BacktestError
from training.champion import Choice, choose
from training.datasets import Dataset
from training.families.family import Family, FitError, Fitted, Progress
from training.families.seasonal import PERSISTENCE
from training.job import Job
from training.windows import Window

pytestmark = pytest.mark.slow

_SINCE = trace().end - 4 * DAY


@dataclass(frozen=True, kw_only=True)
class _Fake:
    """Fits persistence, and writes down what it was shown; `steps` of progress come first."""

    name: str
    progress: Progress
    shown: list[Series]
    steps: int = 1
    problem: str | None = None

    def fit(self, series: Series, window: Window, zone: tzinfo) -> Fitted:
        self.shown.append(series)
        for done in range(self.steps):
            self.progress(done + 1, self.steps)
        if self.problem:
            raise FitError(self.problem)
        return PERSISTENCE.fit(series, window, zone)


def _job(series: Series | None = None) -> Job:
    series = series or trace()
    return Job.of(Dataset(series=series, zone=UTC, about="made up"), WINDOW, series.end - 4 * DAY)


def _found(name: str, _progress: Progress) -> Family:
    return FAMILIES[name]


@pytest.fixture(scope="module")
def timed() -> tuple[Choice, timedelta]:
    """A choice, and how long it took."""
    began = perf_counter()
    found = choose(_job(), ("persistence", "lightgbm", "seasonal-naive"), _found)
    return found, timedelta(seconds=perf_counter() - began)


@pytest.fixture(scope="module")
def choice(timed: tuple[Choice, timedelta]) -> Choice:
    return timed[0]


def test_the_lowest_pinball_loss_wins(choice: Choice) -> None:
    losses = [trial.loss for trial in choice.trials]

    assert losses == sorted(losses)
    assert choice.champion == "lightgbm"
    assert choice.because.startswith("lightgbm is the champion: its pinball loss")
    assert choice.because.endswith("of the next best, seasonal-naive")


def test_a_trial_tells_its_skill_and_what_it_costs(choice: Choice, timed: tuple[Choice, timedelta]) -> None:
    best, whole = choice.trials[0], timed[1]

    assert 0.1 < best.skill < 1
    assert timedelta(0) < best.row < whole / 10
    assert sum((trial.took for trial in choice.trials), best.row) < whole
    assert best.took > whole / 1000


def test_nobody_sees_the_test_nor_what_it_is_compared_on() -> None:
    shown: list[Series] = []
    found = choose(_job(), ("one",), lambda name, tell: _Fake(name=name, progress=tell, shown=shown))

    assert (found.since, found.until) == (_SINCE - 4 * DAY, _SINCE)
    assert [each.end for each in shown] == [found.since]


def test_the_test_span_does_not_change_the_choice(choice: Choice) -> None:
    """Also where it would turn the ranking over."""
    values = trace().values.copy()
    values[-4 * 24 :] = np.random.default_rng(1).uniform(0, 10_000, 4 * 24)
    found = choose(_job(replace(trace(), values=values)), ("persistence", "lightgbm", "seasonal-naive"), _found)

    assert [(each.family, each.loss) for each in found.trials] == [(each.family, each.loss) for each in choice.trials]


def test_a_family_that_cannot_be_fitted_is_a_row_with_its_reason() -> None:
    def find(name: str, tell: Progress) -> Family:
        return _Fake(name=name, progress=tell, shown=[], problem="no luck" if name == "unlucky" else None)

    found = choose(_job(), ("unlucky", "lucky"), find)

    assert [(trial.family, trial.problem) for trial in found.trials] == [("lucky", None), ("unlucky", "no luck")]
    assert "is the only one" in found.because


def test_a_family_whose_libraries_are_absent_is_a_row_as_well() -> None:
    def find(name: str, tell: Progress) -> Family:
        if name == "absent":
            raise FitError("it needs the extra deep")
        return _found(name, tell)

    found = choose(_job(), ("absent", "persistence"), find)

    assert found.trials[1].problem == "it needs the extra deep"


def test_what_takes_too_long_is_ended_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only the slow one's steps move, a second each."""
    seconds = 0.0
    monkeypatch.setattr(champion, "perf_counter", lambda: seconds)

    def find(name: str, tell: Progress) -> Family:
        def second(done: int, total: int) -> None:
            nonlocal seconds
            seconds += 1.0
            tell(done, total)

        return _Fake(name=name, progress=second, shown=[], steps=10**6) if name == "slow" else PERSISTENCE

    found = choose(_job(), ("slow", "persistence"), find, budget=timedelta(seconds=3))

    assert found.champion == "persistence"
    assert found.trials[1].problem == "it takes longer than the budget of 0:00:03"
    assert found.trials[1].took == timedelta(seconds=4)


def test_nothing_that_can_be_fitted_is_an_error() -> None:
    with pytest.raises(FitError, match="one: no luck; two: no luck"):
        choose(_job(), ("one", "two"), lambda name, tell: _Fake(name=name, progress=tell, shown=[], problem="no luck"))


def test_a_naive_forecast_may_be_the_champion() -> None:
    """Nothing is better than the last value of a walk without aim."""
    steps = np.random.default_rng(3).normal(0, 1, 28 * 24)
    walk = replace(trace(), values=1000 + np.cumsum(steps))

    assert choose(_job(walk), ("seasonal-naive", "persistence"), _found).champion == "persistence"


def test_too_short_a_past_cannot_be_split_again() -> None:
    short = replace(noise(), values=noise().values[: 6 * 24])

    with pytest.raises(BacktestError, match="holds 2"):
        choose(_job(short), ("persistence",), _found)
