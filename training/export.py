"""How does a fitted graph become a model file? Graph and card in, one checked ONNX file out, or none at all.

Must not judge by anything but the bytes that will be read in the cluster.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from controller.core.card import Card, TestVector, Trained
from controller.core.series import Series
from controller.forecaster import FloatArray, IntArray, Model, Session, load_model, read_model
from controller.ports import ModelError
from training.backtest import Report
from training.families.catalogue import libraries_of
from training.families.family import LEVELS, Fitted
from training.whole import replacing
from training.windows import Window

_OUTPUT = "quantiles"
# float32 sums in another order; anything above this is another computation
_PARITY = 1e-4


class ExportError(Exception):
    """The model is not worth a file, or does not compute what training computed; nothing was written."""


def draft(fitted: Fitted, series: Series, window: Window, *, name: str, unit: str) -> Model:
    """The model as a loader sees it, with a full card but for its scores. Raises ExportError."""
    card = Card(
        name=name,
        version=_digest(series)[:12],
        family=fitted.family,
        step_seconds=round(window.step.total_seconds()),
        context=window.context,
        horizon=window.horizon,
        levels=LEVELS,
        unit=unit,
        season_seconds=round(window.season.total_seconds()),
        trained=_trained(series),
        test_vector=_test_vector(fitted, window),
        made_with=libraries_of(fitted.family),
        calendar=fitted.calendar,
    )
    model = read_model(encode(fitted, card))
    _check_parity(model, fitted)
    return model


def encode(fitted: Fitted, card: Card) -> bytes:
    """The bytes of the model file."""
    sizes: list[int | str] = ["batch", card.horizon, len(card.levels)]
    return fitted.graph.to_bytes(fitted.quantiles, _OUTPUT, sizes, {"card": card.to_json()})


def write(fitted: Fitted, card: Card, path: Path) -> Model:
    """Write the model file at `path`, whole or not at all; the model as read back. Raises ExportError."""
    data = encode(fitted, card)
    try:
        with replacing(path) as beside:
            beside.write_bytes(data)
            return load_model(beside)
    except (OSError, ModelError) as error:
        raise ExportError(f"{path} cannot be written: {error}") from error


def refuse_losers(report: Report, family: str) -> None:
    """Raises ExportError when the model is no better than the naive forecasts."""
    if family in report.baselines or report.skill > 0:
        return
    best = report.baselines[report.best_baseline].loss
    raise ExportError(
        f"the model's pinball loss {report.model.loss:.6g} does not beat {report.best_baseline} ({best:.6g}); "
        "give it more history, use --family seasonal-naive, or write it all the same with --allow-worse-than-naive"
    )


def refuse_too_good(report: Report) -> None:
    """Raises ExportError when the model is better than the noise of its test allows: such figures come from a leak."""
    for step in report.too_good() if report.baselines else ():
        raise ExportError(
            f"too good to be true: {step * report.window.step} ahead the skill against {report.rival_at(step)} is "
            f"{report.skill_at(step):.0%}, though noise alone makes {report.noise_at(step):.0%} of that one's error; "
            'look for a value that was known too early, or say why it can be with --because "TEXT"'
        )


def with_scores(card: Card, report: Report, because: str | None = None) -> Card:
    """The card with what the backtest found, and why that can be."""
    return replace(card, scores=report.to_dict(), because=because)


def _trained(series: Series) -> Trained:
    return Trained(
        start=series.start.isoformat(),
        end=series.end.isoformat(),
        samples=int(np.isfinite(series.values).sum()),
        sha256=_digest(series),
    )


def _digest(series: Series) -> str:
    return hashlib.sha256(series.values.astype("<f8").tobytes()).hexdigest()


def _test_vector(fitted: Fitted, window: Window) -> TestVector:
    """The last of the examples, as the exported graph answers it."""
    history, origin = fitted.examples.history[-1:], fitted.examples.origin[-1:]
    answer = _answer(fitted, window, history, origin)[0]
    return TestVector(
        history=tuple(float(value) if np.isfinite(value) else None for value in history[0]),
        history_sha256=hashlib.sha256(history.astype("<f4").tobytes()).hexdigest(),
        origin=int(origin[0]),
        expected=tuple(tuple(float(value) for value in row) for row in answer),
    )


def _answer(fitted: Fitted, window: Window, history: FloatArray, origin: IntArray) -> FloatArray:
    sizes: list[int | str] = ["batch", window.horizon, len(LEVELS)]
    return Session(fitted.graph.to_bytes(fitted.quantiles, _OUTPUT, sizes, {})).run(history, origin)


def _check_parity(model: Model, fitted: Fitted) -> None:
    """The file must compute what training computed by its own means."""
    examples = fitted.examples
    found = model.predict(examples.history, examples.origin)
    unit = float(np.abs(examples.quantiles).max())
    worst = float(np.abs(found - examples.quantiles).max())
    if not worst <= _PARITY * unit:
        raise ExportError(f"the exported graph differs from the fitted model by {worst:.6g} at a load of {unit:.6g}")
