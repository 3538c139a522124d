"""Are the shipped models what their documented commands make?"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from controller.forecaster import Model, load_model
from tests.training.small import DAY
from training import benchmark
from training import shipped as shipping
from training.backtest import hold_out, window_of
from training.datasets.public import Places
from training.export import ExportError
from training.families.seasonal import SEASONAL_NAIVE
from training.generated import generate, sample
from training.measures import pinball
from training.shipped import SHIPPED, TRACES, Shipped
from training.windows import futures, histories, origins

pytestmark = pytest.mark.slow

_MODELS = Path(__file__).parents[2] / "models"
_README = _MODELS / "README.md"
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_UNSEEN = range(2000, 2008)  # seeds
_LARGEST = 2_000_000  # bytes

needs_traces = pytest.mark.skipif(
    not (Places().shared / "cloudwatch").is_dir(), reason="the public traces are not beside the checkout"
)


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
    text = _README.read_text()

    assert [path.name for path in _MODELS.glob("*.onnx") if f"`{path.name}`" not in text] == []


@pytest.fixture(params=SHIPPED, ids=lambda each: each.name)
def each(request: pytest.FixtureRequest) -> Shipped:
    found: Shipped = request.param
    return found


def _default(each: Shipped) -> Model:
    return load_model(_MODELS / f"{each.name}.onnx")


def test_the_defaults_are_small_and_see_and_answer_what_they_should(each: Shipped) -> None:
    assert (_MODELS / f"{each.name}.onnx").stat().st_size < _LARGEST
    assert window_of(_default(each)) == each.window


def test_the_readme_tells_from_what_the_default_has_learned() -> None:
    """The card's digest is that of all digests: of the traces as the README gives them, and of the made-up loads."""
    each = SHIPPED[0]
    told = dict(re.findall(r"\| `([\w/-]+)` \| 300 \| `([0-9a-f]{12})` \|", _README.read_text()))
    recorded = [told[trace.name] for trace in TRACES]
    made_up = [lesson.digest for lesson in shipping.lessons(each, (), _NOW)]

    trained = _default(each).card.trained
    assert trained is not None
    assert trained.sha256 == hashlib.sha256("".join([*recorded, *made_up]).encode()).hexdigest()


@needs_traces
@pytest.mark.parametrize("trace", TRACES[:3:2], ids=lambda each: each.name)
def test_nothing_is_learned_from_the_test_of_a_trace(trace: shipping.Trace) -> None:
    whole = trace.read(SHIPPED[0].step, _NOW)
    learned = shipping.recorded(trace, whole)

    assert learned.past.series.end <= trace.test(whole)
    assert 0.1 < (whole.series.end - learned.past.series.end) / (whole.series.end - whole.series.start) < 0.35
    assert f"| `{trace.name}` | 300 | `{learned.digest}` |" in _README.read_text()


@needs_traces
@pytest.mark.parametrize("setting", benchmark.TRACES["nasa"].settings, ids=lambda each: str(each.step))
def test_what_the_benchmark_judges_on_was_learned_by_no_shipped_model(setting: benchmark.Setting) -> None:
    trace = TRACES[0]
    whole = trace.read(setting.step, _NOW)

    assert trace.test(whole) <= setting.job(whole, "off").since


def test_without_the_traces_no_poorer_model_is_made(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="--generated-only"):
        shipping.traces(DAY, Places(shared=tmp_path))


def _skill(model: Model, seed: int, shown: int | None) -> float:
    """Against the better of the last value and yesterday's, both with the band that suits them best: none is known."""
    window = window_of(model)
    series = sample(seed).series(seed, step=window.step, season=DAY, seasons=9)
    places = np.arange(7 * window.slots, 9 * window.slots - window.horizon, 73)
    seen = histories(series, window)[places].copy()
    if shown is not None:
        seen[:, :-shown] = np.nan
    came = futures(series, window)[places]
    answer = model.predict(seen, origins(series, UTC)[places]).astype(np.float64)
    levels = np.array(model.card.levels)
    loss = np.nanmean(pinball(answer, levels, came))
    yesterday = histories(series, window)[places][:, -window.slots : window.horizon - window.slots]
    last = np.repeat(histories(series, window)[places][:, -1:], window.horizon, axis=1)
    bands = (np.nanquantile(came - point, levels) for point in (yesterday, last))
    naive = [
        np.nanmean(pinball(np.maximum(0, point[..., None] + band), levels, came))
        for point, band in zip((yesterday, last), bands, strict=True)
    ]
    return float(1 - loss / min(naive))


@pytest.mark.parametrize("shown", [None, 288])
def test_the_default_beats_the_naive_forecasts_of_loads_that_it_never_saw(shown: int | None) -> None:
    """Though these know, from what came, how wide their bands should have been."""
    skills = [_skill(_default(SHIPPED[0]), seed, shown) for seed in _UNSEEN]

    assert np.median(skills) > (0.1 if shown is None else 0.0), skills


@pytest.mark.parametrize("shown", [1, 12, 288, 2016])
@pytest.mark.parametrize("shape", ["idle", "constant", "one value", "a hundredfold spike", "half missing"])
def test_the_default_stays_sane_on_metrics_of_bad_shape(shape: str, shown: int) -> None:
    history = _history(shape)
    history[:, :-shown] = np.nan
    history[0, -1] = np.nan_to_num(history[0, -1])
    found = _default(SHIPPED[0]).predict(history, np.array([0]))

    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found, axis=-1) >= 0).all()
    assert found.max() <= 4.001 * np.nanmax(history)


def _history(shape: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    random = np.random.default_rng(5)
    history = np.full((1, 2016), 100.0, np.float32)
    if shape == "idle":
        history[:] = 0
    if shape == "one value":
        history[0, :-1] = np.nan
    if shape == "a hundredfold spike":
        history[0, [-3, -500]] = 10_000
    if shape == "half missing":
        history[0] = np.where(random.uniform(size=2016) < 0.5, np.nan, random.uniform(0, 200, 2016))
    return history


def test_a_constant_load_is_expected_to_stay_and_hardly_more() -> None:
    found = _default(SHIPPED[0]).predict(_history("constant"), np.array([0]))

    np.testing.assert_allclose(found, 100, rtol=0.05)
