"""Are the shipped models what their documented commands make?"""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import numpy as np
import pytest

from controller.forecaster import Model, load_model
from tests.training.small import DAY
from training.backtest import hold_out, window_of
from training.families.seasonal import SEASONAL_NAIVE
from training.generated import generate
from training.windows import histories, origins

_MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(scope="module")
def shipped() -> Model:
    return load_model(_MODELS / "seasonal-naive.onnx")


def test_every_model_loads_under_its_own_name() -> None:
    found = {path.stem: load_model(path).card.name for path in _MODELS.glob("*.onnx")}

    assert found == {name: name for name in found} != {}


def test_making_it_again_gives_the_same_answers(shipped: Model) -> None:
    window = window_of(shipped)
    series = generate(1, step=window.step, season=DAY, seasons=28)
    past = series.until(hold_out(series, share=0.15, season=DAY))
    examples = SEASONAL_NAIVE.fit(past, window, UTC).examples

    np.testing.assert_allclose(shipped.predict(examples.history, examples.origin), examples.quantiles, rtol=1e-4)


def test_it_repeats_the_day_of_a_workload_it_never_saw(shipped: Model) -> None:
    series = generate(99, step=shipped.card.step, season=DAY, seasons=2)
    window = window_of(shipped)
    found = shipped.predict(histories(series, window)[-1:], origins(series, UTC)[-1:])[0, :, 3]

    np.testing.assert_allclose(found, series.values[-288 : -288 + 72])


def test_the_readme_names_every_model() -> None:
    text = (_MODELS / "README.md").read_text()

    assert [path.name for path in _MODELS.glob("*.onnx") if f"`{path.name}`" not in text] == []
