"""Are the errors what their definitions say? Compared with loops over single forecasts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from controller.core.series import Series
from tests.training.small import DAY, END, HOUR, WINDOW, model, series_of, trace
from training.backtest import BacktestError, Report, ask, backtest, beside, hold_out, shown_steps, together
from training.measures import middle
from training.tracking import replayed
from training.windows import Window, histories, origins

_SINCE = trace().end - 3 * DAY


@pytest.fixture(scope="module")
def report() -> Report:
    baselines = {name: model(name) for name in ("persistence", "seasonal-naive")}
    return backtest(model("lightgbm"), baselines, trace(), UTC, _SINCE)


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 6])
@pytest.mark.parametrize("measure", ["rmse", "mae", "pinball"])
def test_errors_are_those_of_single_forecasts(report: Report, step: int, measure: str) -> None:
    values, levels = trace().values, np.array(model("lightgbm").card.levels)
    places = range(len(values) - 72 - 1, len(values) - step)
    answers = model("lightgbm").predict(histories(trace(), WINDOW)[places], origins(trace(), UTC)[places])
    errors = np.array([values[at + step] - answers[row, step - 1] for row, at in enumerate(places)])
    losses = np.where(errors >= 0, levels * errors, (levels - 1) * errors)
    expected = {
        "rmse": np.sqrt(np.mean(errors[:, 3] ** 2)),
        "mae": np.mean(np.abs(errors[:, 3])),
        "pinball": losses.mean(),
    }

    assert report.model.at(step)[measure] == pytest.approx(expected[measure], rel=1e-6)


def test_every_origin_from_the_last_before_the_test_is_asked(report: Report) -> None:
    np.testing.assert_array_equal(report.model.count, [72, 71, 70, 69, 68, 67])


def test_all_models_are_scored_on_the_same_values(report: Report) -> None:
    for score in report.baselines.values():
        np.testing.assert_array_equal(score.count, report.model.count)


def test_coverage_counts_what_lies_at_or_below_a_level() -> None:
    values = np.tile(np.arange(24.0), 10)
    score = backtest(model("seasonal-naive"), {}, series_of(values), UTC, END - DAY).model

    # A load that repeats exactly always equals the median: covered by it and all above, by none below.
    np.testing.assert_array_equal(score.coverage[0], [1 / 24 if level < 0.5 else 1 for level in score.levels])


def test_mase_divides_by_the_change_over_a_season_before_the_test(report: Report) -> None:
    before = trace().until(_SINCE).values
    change = np.abs(before[24:] - before[:-24]).mean()

    np.testing.assert_allclose(report.model.mase, report.model.mae / change)


def test_skill_is_measured_against_the_better_baseline(report: Report) -> None:
    best = min(score.loss for score in report.baselines.values())

    assert report.skill == pytest.approx(1 - report.model.loss / best)


@pytest.mark.parametrize(
    ("levels", "expected"), [((0.5,), 1.0), ((0.4, 0.6), 1.5), ((0.25, 0.75, 0.9), 1.5), ((0.6, 0.9), 1.0)]
)
def test_the_median_lies_between_its_neighbours(levels: tuple[float, ...], expected: float) -> None:
    quantiles = np.arange(1.0, len(levels) + 1)

    assert middle(quantiles, np.array(levels)) == pytest.approx(expected)


def test_another_step_is_refused() -> None:
    other = Series(end=END, step=timedelta(minutes=5), values=np.ones(1000))

    with pytest.raises(BacktestError, match="one value each 0:05:00, the model needs 1:00:00"):
        backtest(model("persistence"), {}, other, UTC, END - HOUR)


@pytest.mark.parametrize("since", [END, END - 100 * DAY])
def test_nothing_to_score_is_refused(since: datetime) -> None:
    with pytest.raises(BacktestError, match="holds nothing to score"):
        backtest(model("persistence"), {}, trace(), UTC, since)


def test_a_test_shorter_than_the_horizon_is_refused() -> None:
    with pytest.raises(BacktestError, match="too short"):
        backtest(model("persistence"), {}, trace(), UTC, END - 3 * HOUR)


@pytest.mark.parametrize(("days", "kept"), [(3, 1), (7, 1), (28, 4), (100, 15)])
def test_whole_seasons_are_held_out(days: int, kept: int) -> None:
    series = series_of(np.ones(24 * days))

    assert hold_out(series, share=0.15, season=DAY) == END - kept * DAY


def test_less_than_three_seasons_cannot_be_split() -> None:
    with pytest.raises(BacktestError, match=r"holds 2\.5 seasons"):
        hold_out(series_of(np.ones(60)), share=0.15, season=DAY)


@pytest.mark.parametrize(
    ("step", "horizon", "shown"),
    [
        (timedelta(minutes=5), timedelta(hours=6), [1, 2, 3, 6, 12, 72]),
        (timedelta(minutes=1), timedelta(hours=1), [1, 5, 10, 15, 30, 60]),
        (timedelta(minutes=15), timedelta(hours=6), [1, 2, 4, 24]),
        (timedelta(seconds=15), timedelta(minutes=10), [4, 20, 40]),
        (HOUR, timedelta(hours=10), [1, 6, 10]),
    ],
)
def test_a_report_shows_the_same_times_at_any_step(step: timedelta, horizon: timedelta, shown: list[int]) -> None:
    assert shown_steps(Window.fitting(step=step, season=DAY, horizon=horizon)) == shown


def test_baselines_that_answered_before_give_the_same_report(report: Report) -> None:
    baselines = {name: model(name) for name in ("persistence", "seasonal-naive")}
    naive = ask(baselines, trace(), UTC, _SINCE, lambda _done, _all: None)
    again = beside(model("lightgbm"), naive, trace(), UTC, _SINCE, lambda _done, _all: None)

    assert again.to_dict() == report.to_dict()


def test_a_model_that_is_silent_where_others_speak_is_named() -> None:
    naive = ask({"p": model("persistence")}, trace(), UTC, _SINCE, lambda _done, _all: None)
    silent = replace(naive, came=np.full_like(naive.came, np.nan))

    with pytest.raises(BacktestError, match="web is silent where"):
        together(silent, naive, "web")


def test_each_step_is_measured_against_the_baseline_that_is_better_there(report: Report) -> None:
    for step in report.steps():
        losses = {name: score.pinball[step - 1].mean() for name, score in report.baselines.items()}
        assert report.rival_at(step) == min(losses, key=lambda name: losses[name])
        expected = 1 - report.model.pinball[step - 1].mean() / min(losses.values())
        assert report.skill_at(step) == report.to_dict()[str(step)]["skill"] == pytest.approx(expected)


def test_what_was_said_at_the_shown_steps_is_kept(report: Report) -> None:
    first = len(trace().until(_SINCE)) - 1
    rows = range(first, len(trace()) - 1)
    answers = model("lightgbm").predict(histories(trace(), WINDOW)[rows], origins(trace(), UTC)[rows])

    np.testing.assert_array_equal(report.answers.said[""], answers[:, [0, 5]])
    np.testing.assert_array_equal(report.answers.came[:-5, 1], trace().values[first + 6 :])


def test_corrected_levels_are_scored_on_the_same_values(report: Report) -> None:
    quantiles = replayed(report.answers.said[""], report.answers.came, [1, 6], report.model.levels)
    known = np.isfinite(report.answers.came[:, 1])
    expected = (report.answers.came[known, 1][:, None] <= quantiles[known, 1]).mean(axis=0)

    np.testing.assert_allclose(report.calibrated.coverage[1], expected)
