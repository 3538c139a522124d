"""Does a model file appear whole, checked and worth its place, or not at all?"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from pathlib import Path

import numpy as np
import pytest

from controller.core.card import Card, CardError
from controller.forecaster import load_model
from tests.training.small import DAY, END, WINDOW, drafted, fitted, model, trace
from training import export
from training.backtest import Report, backtest
from training.export import ExportError
from training.job import Candidate


@pytest.fixture(scope="module")
def losing() -> Report:
    """Persistence, judged beside something better."""
    return backtest(model("persistence"), {"better": model("lightgbm")}, trace(), UTC, END - 3 * DAY)


def test_what_is_written_is_what_was_judged(tmp_path: Path) -> None:
    card = replace(model("lightgbm").card, scores={"1": {"rmse": 1.5}})
    export.write(fitted("lightgbm"), card, tmp_path / "m.onnx")
    found = load_model(tmp_path / "m.onnx")

    assert found.card == card
    history = np.ones((1, WINDOW.context), np.float32)
    np.testing.assert_array_equal(
        found.predict(history, np.array([0])), model("lightgbm").predict(history, np.array([0]))
    )


def test_the_card_says_what_it_was_trained_on() -> None:
    trained = model("lightgbm").card.trained

    assert trained is not None
    assert (trained.start, trained.end, trained.samples) == (
        "2024-01-01T00:00:00+00:00",
        "2024-01-29T00:00:00+00:00",
        672,
    )


def test_a_graph_that_differs_from_the_fit_is_refused() -> None:
    fit = fitted("persistence")
    other = replace(fit, examples=replace(fit.examples, quantiles=fit.examples.quantiles * np.float32(1.001)))

    with pytest.raises(ExportError, match="differs from the fitted model"):
        drafted(other, trace())


def test_a_loser_is_refused(losing: Report) -> None:
    with pytest.raises(ExportError, match=r"does not beat better .*--allow-worse-than-naive"):
        export.refuse_losers(losing, "lightgbm")


def test_a_winner_is_not_refused(losing: Report) -> None:
    winning = replace(losing, model=losing.baselines["better"], baselines={"worse": losing.model})

    export.refuse_losers(winning, "lightgbm")


def test_a_baseline_need_not_beat_itself(losing: Report) -> None:
    export.refuse_losers(losing, "better")


def test_an_interruption_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"before")

    def interrupt(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "load_model", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export.write(fitted("persistence"), model("persistence").card, path)

    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("m.onnx", b"before")]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"m\.onnx cannot be written"):
        export.write(fitted("persistence"), model("persistence").card, tmp_path / "absent" / "m.onnx")


def test_a_file_that_does_not_load_is_not_kept(tmp_path: Path) -> None:
    wrong = replace(model("persistence").card, season_seconds=1, context=WINDOW.context + 1)

    with pytest.raises(ExportError, match=r"cannot be written: test-vector"):
        export.write(fitted("persistence"), wrong, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def incredible() -> Report:
    """A report whose model loses next to nothing beside persistence on a noisy load."""
    report = backtest(model("lightgbm"), {"persistence": model("persistence")}, trace(), UTC, END - 3 * DAY)
    return replace(report, model=replace(report.model, pinball=report.model.pinball * 0.1))


def test_what_is_too_good_is_refused_with_its_figures(incredible: Report) -> None:
    with pytest.raises(ExportError, match=r"too good to be true: 1:00:00 ahead the skill against persistence is 9\d%"):
        export.refuse_too_good(incredible)


@pytest.mark.parametrize("because", [None, "its calendar tells every sale"])
def test_what_is_too_good_is_written_only_with_a_reason(
    incredible: Report, tmp_path: Path, because: str | None
) -> None:
    candidate = Candidate(fitted=fitted("lightgbm"), model=model("lightgbm"), report=incredible)
    if because is None:
        with pytest.raises(ExportError, match="too good"):
            candidate.write(tmp_path / "m.onnx")
        assert not list(tmp_path.iterdir())
    else:
        candidate.write(tmp_path / "m.onnx", because=because)
        assert load_model(tmp_path / "m.onnx").card.because == because


def test_a_reason_must_be_a_text() -> None:
    text = model("persistence").card.to_json().replace('"because":null', '"because":7')

    with pytest.raises(CardError, match="because must be a text"):
        Card.from_json(text)
