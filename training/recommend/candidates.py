"""Which specs could it be? A bounded set around a goal, each as it would be written in a PredictiveScaler.

What is tried is what `controller.spec.parse` makes of the very mapping that is printed. Must not replay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

from controller import fields
from controller.core.policy import Policy
from controller.spec import ScalerSpec, SpecError, parse
from training.presets import Preset, presets
from training.recommend.wishes import Risk, Wish
from training.simulate.capacity import SimulationError

PARTS = (1.0, 0.7, 0.5, 0.3, 0.1)
"""Of the risk that is allowed: what is steered to may be less, as one part of a load is not like the other."""
OBJECTIVES = (0.05, 0.02, 0.01, 0.005, 0.002, 0.001)  # where nobody names a risk
UTILISATIONS = (0.5, 0.6, 0.7, 0.8, 0.9)
WINDOWS = (60, 900, 1800)  # seconds, beside the 300 of autoscaling/v2
BUDGETS = (12, 6, 2)  # turns an hour, beside no limit
TOLERANCES = (0, "0.2")  # of shrinking, beside 0.1
_DIGITS = 6  # of a load a replica
_USUAL = 15  # seconds between two decisions, where a spec says nothing
_SHORTEST = 60  # seconds that a guessed query takes the mean of
_OPTIONS = {
    "spec.targetRef.name": "--name",
    "spec.targetRef.kind": "--kind",
    "spec.minReplicas": "--min-replicas",
    "spec.maxReplicas": "--max-replicas",
    "spec.metric.prometheus.query": "--query",
    "spec.metric.prometheus.address": "--data",
    "spec.metric.targetPerReplica": "--per-replica",
    "spec.forecast.model": "--model",
    "spec.forecast.leadTime": "--startup",
    "spec.forecast.timeZone": "--time-zone",
    "spec.intervalSeconds": "--step",
}

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What every candidate has in common.

    `per_replica`: the load that one replica serves, metric's unit, > 0. `interval`: the least time between two
    decisions. `query`: None where it is yet to be written. `model`: its name; None where there is none. `zone`: the
    name of whose clock the load follows.
    """

    name: str
    kind: str
    lowest: int
    highest: int
    per_replica: float
    startup: timedelta
    interval: timedelta
    query: str | None
    address: str | None
    model: str | None
    zone: str


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """`about`: in words. `raw`: the spec as it is printed. `setting`: its objective, or its utilisation.

    `over`: what it sees is the mean of so long, at least a step.
    """

    about: str
    raw: Raw
    setting: float
    over: timedelta = timedelta(0)

    @cached_property
    def spec(self) -> ScalerSpec:
        """As the controller reads it. Raises SimulationError naming the option."""
        try:
            return parse(self.raw)
        except SpecError as error:
            option = _OPTIONS.get(error.field)
            raise SimulationError(f"{option}: {error}" if option else str(error)) from error

    @property
    def policy(self) -> Policy:
        """Its rules."""
        return self.spec.policy

    @property
    def forecasts(self) -> bool:
        """Whether it is to be told a forecast."""
        return self.spec.model is not None

    @property
    def is_preset(self) -> bool:
        """Whether it is one of the nine."""
        return bool(self.over)


def check(target: Target) -> None:
    """That specs can be made of it, before anything takes long. Raises SimulationError naming the option."""
    _ = _meeting(target, OBJECTIVES[0], target.model or "none").spec


def first(target: Target, wish: Wish) -> list[Candidate]:
    """Objectives with the forecast and without, fixed utilisations, and the presets."""
    objectives = [wish.share * part for part in PARTS] if isinstance(wish, Risk) else list(OBJECTIVES)
    models = ([target.model] if target.model is not None else []) + ["none"]
    own = [_meeting(target, objective, model) for model in models for objective in objectives]
    fixed = [_fixed(target, utilisation) for utilisation in UTILISATIONS]
    return [*own, *fixed, *_presets(target)]


def releasing(best: Candidate) -> list[Candidate]:
    """The same with other windows before replicas are released; of a preset none."""
    return [
        _changed(best, {"scaleDown": {"stabilizationWindowSeconds": window}}, f"released after {window} s")
        for window in ([] if best.is_preset else WINDOWS)
    ]


def calming(best: Candidate) -> list[Candidate]:
    """The same with other limits to flapping; of a preset none."""
    if best.is_preset:
        return []
    budgets = [
        _changed(best, {"maxDirectionChangesPerHour": budget}, f"{budget} turns an hour at most") for budget in BUDGETS
    ]
    tolerances = [
        _changed(best, {"scaleDown": {"tolerance": one}}, f"shrinking beyond {float(one) * 100:g} %")
        for one in TOLERANCES
    ]
    return [*budgets, *tolerances]


def most(load: float, per_replica: float, lowest: int) -> int:
    """The most replicas to allow where nobody says: twice what the highest known load needs."""
    return max(lowest, min(100_000, 2 * int(-(-load // per_replica))), 1)


def _meeting(target: Target, objective: float, model: str) -> Candidate:
    share = _percent(objective)
    raw = _base(target, target.per_replica, model)
    told = "no forecast" if model == "none" else f"the forecast of {model}"
    return Candidate(
        about=f"objective {share}, {told}",
        raw={**raw, "objective": {"underProvisionedTime": share}},
        setting=fields.share(share),
    )


def _fixed(target: Target, utilisation: float) -> Candidate:
    raw = _base(target, utilisation * target.per_replica, "none")
    return Candidate(about=f"HPA at {utilisation:.0%}", raw=raw, setting=utilisation)


def _presets(target: Target) -> list[Candidate]:
    return [_preset(target, one) for one in presets() if target.model is not None or not one.forecasts]


def _preset(target: Target, preset: Preset) -> Candidate:
    """Its rules between the bounds of the target; what allowed the step to its highest size allows that to the new."""
    raw = _base(
        target, preset.utilisation * target.per_replica, target.model or "none", seconds=preset.raw["intervalSeconds"]
    )
    up = preset.raw["behavior"]["scaleUp"]
    steps = [
        {**one, "value": max(one["value"], target.highest)} if one["value"] == preset.raw["maxReplicas"] else one
        for one in up["policies"]
    ]
    forecast = raw["forecast"] if preset.forecasts else {}
    return Candidate(
        about=f"preset {preset.name}",
        raw={
            **raw,
            "forecast": {**forecast, **preset.raw["forecast"]},
            "intervalSeconds": max(preset.raw["intervalSeconds"], raw.get("intervalSeconds", 0)),
            "behavior": {**preset.raw["behavior"], "scaleUp": {**up, "policies": steps}},
        },
        setting=preset.utilisation,
        over=preset.spec.interval,
    )


def _base(target: Target, per_replica: float, model: str, seconds: int = _SHORTEST) -> dict[str, Any]:
    interval = max(_USUAL, math.ceil(target.interval.total_seconds()))
    prometheus = {"address": target.address} if target.address is not None else {}
    query = (
        target.query or f'sum(rate(http_requests_total{{app="{target.name}"}}[{-(-max(seconds, interval) // 60)}m]))'
    )
    forecast: dict[str, Any] = {"model": model, "leadTime": f"{target.startup.total_seconds():g}s"}
    if model != "none" and target.zone != "UTC":
        forecast["timeZone"] = target.zone
    return {
        "targetRef": {"apiVersion": "apps/v1", "kind": target.kind, "name": target.name},
        "minReplicas": target.lowest,
        "maxReplicas": target.highest,
        "mode": "Observe",
        "metric": {"prometheus": {**prometheus, "query": query}, "targetPerReplica": _quantity(per_replica)},
        "forecast": forecast,
        **({} if interval == _USUAL else {"intervalSeconds": interval}),
    }


def _changed(best: Candidate, behavior: Raw, about: str) -> Candidate:
    own = best.raw.get("behavior", {})
    both = {**own, **behavior}
    if "scaleDown" in own and "scaleDown" in behavior:
        both["scaleDown"] = {**own["scaleDown"], **behavior["scaleDown"]}
    return replace(best, about=f"{best.about}, {about}", raw={**best.raw, "behavior": both})


def _quantity(value: float) -> int | str:
    """As Kubernetes takes it: a fraction in quotes."""
    short = float(f"{value:.{_DIGITS}g}")
    return int(short) if short.is_integer() else repr(short)


def _percent(share: float) -> str:
    """As a spec takes it, to the fourth decimal; never nothing."""
    text = f"{max(share * 100.0, 0.0001):.4f}".rstrip("0").rstrip(".")
    return f"{text}%"
