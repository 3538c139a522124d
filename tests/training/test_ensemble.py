"""Is the ensemble the average that it says, with weights from what no member had seen?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.series import Series
from tests.training.small import DAY, FAMILIES, HOUR, WINDOW, drafted, model, series_of, trace
from training.backtest import backtest
from training.families.catalogue import family_of
from training.families.ensemble import Ensemble, best_weights
from training.families.family import LEVELS, Family, FitError, Fitted, Progress
from training.families.seasonal import PERSISTENCE, SEASONAL_NAIVE
from training.measures import Floats, pinball
from training.windows import Window, histories, origins

pytestmark = pytest.mark.slow

_LEVELS = np.array(LEVELS)
_MEMBERS = ("seasonal-naive", "persistence", "lightgbm")


@dataclass(frozen=True, kw_only=True)
class _Fake:
    """Another family, but for what it says of itself; writes down what it was fitted on."""

    inner: Family = PERSISTENCE
    name: str = "fake"
    shown: list[Series] = field(default_factory=list)
    problem: str | None = None
    factor: float = 1.0
    remarks: tuple[str, ...] = ()

    def fit(self, series: Series, window: Window, zone: tzinfo) -> Fitted:
        self.shown.append(series)
        if self.problem:
            raise FitError(self.problem)
        fitted = self.inner.fit(series, window, zone)
        examples = replace(fitted.examples, quantiles=fitted.examples.quantiles * np.float32(self.factor))
        return replace(fitted, examples=examples, remarks=self.remarks)


def _of(**members: Family) -> Ensemble:
    return Ensemble(members=tuple(members), find=lambda name, _progress: members[name])


def _found(name: str, _progress: Progress) -> Family:
    return FAMILIES[name]


@pytest.fixture(scope="module")
def ensemble() -> Fitted:
    return Ensemble(members=_MEMBERS, find=_found).fit(trace(), WINDOW, UTC)


def _shares(fitted: Fitted) -> dict[str, float]:
    """As the last remark tells them."""
    parts = fitted.remarks[-1].removeprefix("the ensemble is ").split(", ")
    return {name: float(share.rstrip("%")) / 100 for share, name in (part.split(" ", 1) for part in parts)}


def test_it_is_the_average_of_what_its_members_say_alone(ensemble: Fitted) -> None:
    history, origin = histories(trace(), WINDOW)[-5:], origins(trace(), UTC)[-5:]
    shares = _shares(ensemble)
    alone = [share * model(name).predict(history, origin) for name, share in shares.items()]

    assert sum(shares.values()) == pytest.approx(1, abs=0.011)
    # The shares are told in whole per cent.
    np.testing.assert_allclose(drafted(ensemble, trace()).predict(history, origin), sum(alone), rtol=0.02)


def test_it_is_at_least_as_good_as_its_best_member() -> None:
    since = trace().end - 4 * DAY
    past = trace().until(since)
    members = {name: drafted(FAMILIES[name].fit(past, WINDOW, UTC), past) for name in _MEMBERS}
    together = drafted(Ensemble(members=_MEMBERS, find=_found).fit(past, WINDOW, UTC), past)
    report = backtest(together, members, trace(), UTC, since)

    assert report.skill >= 0  # all of the weight may be on one of them


def test_weights_come_from_what_no_member_had_seen() -> None:
    one = _Fake()
    _of(one=one).fit(trace(), WINDOW, UTC)

    assert [each.end for each in one.shown] == [trace().start + round(0.8 * 28 * 24) * HOUR, trace().end]


def test_weights_do_not_depend_on_gaps_at_the_end_of_the_rehearsal() -> None:
    """A fifth of the values, not of the time: half a month without any leaves enough to weigh on."""
    values = trace().values.copy()
    values[14 * 24 : -3 * 24] = np.nan
    one = _Fake()
    _of(one=one).fit(series_of(values), WINDOW, UTC)

    late = values[len(one.shown[0]) :]
    assert np.isfinite(late).sum() == round(0.2 * 17 * 24)


def test_a_member_that_cannot_be_fitted_is_left_out_and_said() -> None:
    fitted = _of(unlucky=_Fake(problem="no luck"), naive=SEASONAL_NAIVE).fit(trace(), WINDOW, UTC)

    assert fitted.remarks == (
        "unlucky is left out of the ensemble: no luck",
        "the ensemble is 100% seasonal-naive",
    )


def test_a_member_whose_libraries_are_absent_is_left_out_as_well() -> None:
    def find(name: str, _progress: Progress) -> Family:
        if name == "absent":
            raise FitError("it needs the extra deep")
        return SEASONAL_NAIVE

    fitted = Ensemble(members=("absent", "naive"), find=find).fit(trace(), WINDOW, UTC)

    assert fitted.remarks[0] == "absent is left out of the ensemble: it needs the extra deep"


def test_a_member_that_exports_something_else_is_left_out() -> None:
    fitted = _of(wrong=_Fake(factor=1.001), naive=SEASONAL_NAIVE).fit(trace(), WINDOW, UTC)

    assert fitted.remarks[0].startswith(
        "wrong is left out of the ensemble: the graph of persistence differs from the fitted model by"
    )


def test_no_member_at_all_is_an_error() -> None:
    with pytest.raises(FitError, match=r"one is left out of the ensemble: no luck; two is left out .* neither"):
        _of(one=_Fake(problem="no luck"), two=_Fake(problem="neither")).fit(trace(), WINDOW, UTC)


def test_a_member_that_hardly_counts_is_not_fitted_again() -> None:
    """A load that repeats exactly leaves nothing to persistence."""
    repeating = series_of(np.tile(np.arange(24.0) ** 2, 28) + np.random.default_rng(1).normal(50, 0.1, 28 * 24))
    worse = _Fake()
    fitted = _of(worse=worse, naive=SEASONAL_NAIVE).fit(repeating, WINDOW, UTC)

    assert len(worse.shown) == 1
    assert fitted.remarks == ("the ensemble is 100% seasonal-naive",)


def test_what_members_remark_is_passed_on() -> None:
    fitted = _of(one=_Fake(remarks=("I am slow",))).fit(trace(), WINDOW, UTC)

    assert "one: I am slow" in fitted.remarks


def test_progress_grows_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    Ensemble(members=("lightgbm",), find=family_of, progress=lambda *both: told.append(both)).fit(trace(), WINDOW, UTC)

    assert told == sorted(told)
    assert told[-1] == (200, 200)


@pytest.mark.parametrize("values", [np.empty(0), np.full(1000, np.nan), np.arange(30.0)])
def test_too_little_to_weigh_on_is_refused(values: Floats) -> None:
    with pytest.raises(FitError):
        _of(naive=SEASONAL_NAIVE).fit(series_of(values), WINDOW, UTC)


@pytest.mark.parametrize("members", [("ensemble",), ("lightgbm", "oracle")])
def test_members_that_cannot_be_are_refused(members: tuple[str, ...]) -> None:
    with pytest.raises(FitError, match=r"an ensemble cannot have '(ensemble|oracle)'"):
        family_of("ensemble", members=members)


def _quantiles(centre: Floats, width: float) -> Floats:
    return centre[:, None] + width * np.linspace(-1.5, 1.5, len(LEVELS))


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_weights_find_the_mixture_that_made_the_load(share: float) -> None:
    random = np.random.default_rng(1)
    one, two = random.uniform(50, 150, (2, 2000))
    came = share * one + (1 - share) * two + random.normal(0, 1, 2000)
    answers = np.stack([_quantiles(one, 1.0), _quantiles(two, 1.0)])

    np.testing.assert_allclose(best_weights(answers, came), [share, 1 - share], atol=0.02)


@given(st.integers(0, 10_000), st.integers(1, 5))
@settings(deadline=None, max_examples=20)
def test_no_member_alone_nor_any_even_mixture_is_better(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    came = random.uniform(50, 150, 60)
    answers = np.stack([_quantiles(came + random.normal(0, 20, 60), 20) for _ in range(count)])
    weights = best_weights(answers, came)

    def loss(weights: Floats) -> float:
        return float(pinball(np.tensordot(weights, answers, 1), _LEVELS, came).mean())

    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    assert loss(weights) <= min(loss(each) for each in [*np.eye(count), np.full(count, 1 / count)])
