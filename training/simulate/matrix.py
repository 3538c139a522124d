"""What would the settings of the dashboards before us have had on this load? All nine, beside what needs none of them.

Each decides as often as its dashboard does, by the mean load since it last did; its target is the same share of what a
replica serves, and no bound but the scene's holds it. Must not write files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from controller.core.policy import Policy
from training.presets import CONFIGURATIONS, POLICIES, Preset, presets
from training.simulate.comparison import figures
from training.simulate.foresight import Forecasts
from training.simulate.frontier import Point
from training.simulate.study import Scene, Study
from training.simulate.trials import Trial, points

__all__ = ["CONFIGURATIONS", "POLICIES", "Matrix", "of_presets", "reach", "unbounded"]

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """`cells`: by configuration and policy. `beside`: by what each is, in words."""

    cells: Mapping[tuple[str, str], Point]
    beside: Mapping[str, Point]
    currency: str

    def rows(self) -> list[tuple[str, list[list[str]]]]:
        """The lines of each cell, by configuration; below them what stands beside."""
        rows = [
            (configuration, [_lines(self.cells[configuration, policy], self.currency) for policy in POLICIES])
            for configuration in CONFIGURATIONS
        ]
        return [*rows, ("beside them", [[name, *_lines(one, self.currency)] for name, one in self.beside.items()])]

    def summary(self) -> dict[str, Any]:
        """All figures as plain JSON values: a list of cells, and what stands beside them by name."""
        cells = [
            {"configuration": configuration, "policy": policy, **figures(point)}
            for (configuration, policy), point in self.cells.items()
        ]
        return {"cells": cells, "beside": {name: figures(point) for name, point in self.beside.items()}}


def of_presets(
    study: Study,
    to_meet: Policy,
    forecasts: Forecasts,
    *,
    cores: int | None = None,
    tell: Tell = lambda _done, _all: None,
) -> Matrix:
    """Replay all nine on the study's scene, and `to_meet`, which has an objective. Raises SimulationError."""
    scene, every = study.scene, presets()
    objective = to_meet.objective or 0.0
    own = Trial(scene=scene, policy=to_meet, setting=objective, forecasts=forecasts)
    first, *rest = points([own, *(_trial(scene, one, forecasts) for one in every)], cores=cores, tell=tell)
    return Matrix(
        cells={(preset.configuration, preset.policy): point for preset, point in zip(every, rest, strict=True)},
        beside={
            "static": study.static,
            f"HPA at {study.reference.setting * 100:g} %": study.reference,
            f"objective {objective * 100:g} %": first,
        },
        currency=scene.price.currency,
    )


def reach(step: timedelta) -> timedelta:
    """How far ahead the presets look that decide once a step at most."""
    return max(one.spec.policy.lead_time + max(one.spec.interval, step) for one in presets())


def unbounded(preset: Preset, per_replica: float, *, lowest: int, highest: int) -> Policy:
    """The preset's rules between other bounds; what allowed the step to its own highest size allows that to the new."""
    policy = preset.rules(per_replica)
    up = policy.scale_up
    steps = tuple(
        replace(one, value=max(one.value, highest)) if one.value == policy.max_replicas else one for one in up.policies
    )
    return replace(policy, min_replicas=lowest, max_replicas=highest, scale_up=replace(up, policies=steps))


def _trial(scene: Scene, preset: Preset, forecasts: Forecasts) -> Trial:
    policy = unbounded(preset, scene.per_replica, lowest=scene.lowest, highest=scene.highest)
    return Trial(
        scene=scene,
        policy=policy,
        setting=preset.utilisation,
        forecasts=forecasts if preset.forecasts else None,
        over=policy.interval,
    )


def _lines(point: Point, currency: str) -> list[str]:
    score = point.score
    return [
        f"{score.under_provisioned:.2%} short",
        f"{score.replica_hours:,.0f} replica-hours",
        f"{point.cost:,.2f} {currency}",
        f"{score.changes:,} changes",
    ]
