"""Does the model load, here, as the controller loads it? By its name from a folder, or fetched from its place."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from client.checks.finding import Findings, failed, in_words, ok, skipped, warning
from client.checks.tools import Tools
from controller.core.card import Card
from controller.forecaster import OnnxModels
from controller.places.models import PlacedModels
from controller.ports import ModelError
from controller.spec import ModelRef, ScalerSpec

CHECK = "model"
_FOLDERS = (Path("models"),)
_SHOWN = 12  # hex digits of a digest


async def model(spec: ScalerSpec, tools: Tools) -> tuple[Findings, Card | None]:
    """What is found, and the card of a model that loads."""
    if spec.model is None:
        return ok(CHECK, "none, as the spec wants it: this only reacts to what is seen"), None
    try:
        card, digest = await _loaded(spec.model, tools)
    except ModelError as error:
        return _refused(spec.model, tools, error), None
    return _told(spec, card, digest), card


async def _loaded(ref: ModelRef, tools: Tools) -> tuple[Card, str]:
    local = OnnxModels(tools.models_dirs or _FOLDERS)
    placed = PlacedModels(local, tools.cache, tools.aws, clock=lambda: tools.now, environment=tools.environment)
    async with contextlib.aclosing(placed):
        await placed.fetch(ref)
        return await asyncio.to_thread(placed.card, ref)


def _refused(ref: ModelRef, tools: Tools, error: ModelError) -> Findings:
    if error.check == "file" and not ref.is_remote and tools.models_dirs is None:
        where = "lies where the controller runs; --models-dir DIR looks at the file here"
        return skipped(CHECK, f"{ref.name} {where}")
    return failed(CHECK, f"{error}; until it loads, this only reacts to what is seen")


def _told(spec: ScalerSpec, card: Card, digest: str) -> Findings:
    ahead, behind = card.horizon * card.step, card.context * card.step
    what = f"{card.name} {digest[:_SHOWN]} ({card.family}): steps of {in_words(card.step)}"
    sees = f"{what}, {in_words(behind)} back, {in_words(ahead)} ahead"
    if ahead < spec.policy.window:
        needed = in_words(spec.policy.window)
        return warning(CHECK, f"{sees}, less than lead time and interval, {needed}; train one with a longer horizon")
    return ok(CHECK, sees)
