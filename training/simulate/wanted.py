"""What is asked for? The policy that is judged - a real PredictiveScaler's, or its defaults - and what it meets.

`controller.spec.parse` reads both, so that what is simulated is what the controller would do. Must not replay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from controller.core.policy import Policy
from controller.forecaster import Model, load_model
from controller.ports import ModelError
from controller.spec import KIND, ScalerSpec, SpecError, parse
from training.simulate.capacity import SimulationError
from training.simulate.material import Material
from training.simulate.prices import Price
from training.simulate.study import PREDICTIVE, USUAL, Scene, usual_size

MOST = 100_000  # replicas, where no spec says less
MEAN_REPLICAS = 8.0  # where nothing says what a replica serves
_LARGEST_OBJECTIVE = 0.2
_LOWEST_QUANTILE, _HIGHEST_QUANTILE = 0.5, 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The policy that is judged. `model`: None where nothing is forecast. `zone`: whose clock a spec names."""

    policy: Policy
    model: Model | None
    has_spec: bool
    zone: tzinfo | None

    def scene(
        self,
        material: Material,
        *,
        startup: timedelta,
        per_replica: float | None,
        mean_replicas: float | None,
        price: Price,
    ) -> Scene:
        """What all policies meet. Raises SimulationError."""
        serves = self._serves(material, per_replica, mean_replicas)
        low, high = self.policy.min_replicas, self.policy.max_replicas
        initial = usual_size(material.before, material.load, serves)
        return Scene(
            load=material.load,
            before=float(material.before.values[-1]) if len(material.before) else float("nan"),
            startup=startup,
            per_replica=serves,
            initial=min(max(initial, low), high),
            lowest=low,
            highest=high,
            price=price,
        )

    def aimed(self, scene: Scene, mean_replicas: float | None) -> Policy:
        """The policy on the scene: a spec's own target stays, unless replicas are measured by the load itself.

        It decides once a step at most, and knows that.
        """
        paced = replace(self.policy, interval=max(self.policy.interval, scene.load.step))
        if self.has_spec and mean_replicas is None:
            return paced
        return replace(paced, target_per_replica=scene.per_replica)

    def _serves(self, material: Material, per_replica: float | None, mean_replicas: float | None) -> float:
        if per_replica is not None and mean_replicas is not None:
            raise SimulationError("--per-replica and --mean-replicas say the same in two ways; remove one of them")
        for name, value in (("--per-replica", per_replica), ("--mean-replicas", mean_replicas)):
            if value is not None and not (value > 0.0 and np.isfinite(value)):
                raise SimulationError(f"{name} must be above 0, not {value:g}")
        if per_replica is not None:
            return per_replica
        if self.has_spec and mean_replicas is None:
            return self.policy.target_per_replica
        mean = float(np.nanmean(material.load.values))
        if mean <= 0.0:
            raise SimulationError("--mean-replicas: the load is 0 throughout; give --per-replica")
        return mean / ((mean_replicas or MEAN_REPLICAS) * USUAL)


def wanted(
    *,
    names: tuple[str, ...],
    spec: Path | None,
    model: Path | None,
    objective: float | None,
    quantile: float | None,
    startup: timedelta,
) -> Wanted:
    """What the options ask for. Raises SimulationError."""
    file = None if spec is None else _of_file(spec, startup)
    if file is not None and (objective is not None or quantile is not None):
        raise SimulationError(
            "--objective and --quantile have no effect beside --spec; change the spec, or remove them"
        )
    if PREDICTIVE in names and model is None and (file is None or file.model is not None):
        raise SimulationError(
            "--model: the policy predictive needs a model file; give one, or leave the policy out, as in "
            "--policy hpa,static,oracle"
        )
    if file is not None and file.model is None and model is not None:
        raise SimulationError("--model has no effect beside --spec, whose forecast.model is none; change one of them")
    policy = file.policy if file is not None else by_default(objective, quantile, startup)
    return Wanted(
        policy=policy,
        model=_loaded(model) if model is not None and PREDICTIVE in names else None,
        has_spec=file is not None,
        zone=None if file is None else file.zone,
    )


def named(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The policies that are asked for, each once. Raises SimulationError."""
    names = tuple(dict.fromkeys(text.split(",")))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SimulationError(f"--policy: there is no policy {unknown[0]!r}; there are {', '.join(known)}")
    return names


def by_default(objective: float | None, quantile: float | None, startup: timedelta) -> Policy:
    """The policy of a spec in which all else is left out; it meets 1 % where nothing is asked for.

    Raises SimulationError.
    """
    if objective is not None and quantile is not None:
        raise SimulationError("--quantile has no effect beside --objective; remove one of them")
    if objective is not None and not 0.0 < objective <= _LARGEST_OBJECTIVE:
        raise SimulationError(f"--objective must be above 0% and at most 20%, not {objective * 100:g}%")
    if quantile is not None and not _LOWEST_QUANTILE <= quantile <= _HIGHEST_QUANTILE:
        raise SimulationError(f"--quantile must be from {_LOWEST_QUANTILE} to {_HIGHEST_QUANTILE}, not {quantile:g}")
    if quantile is not None:
        return replace(_minimal({"forecast": {"quantile": quantile}}), lead_time=startup)
    to_meet = _minimal({"objective": {"underProvisionedTime": "1%"}})
    return replace(to_meet, lead_time=startup, objective=0.01 if objective is None else objective)


def _minimal(goal: Mapping[str, Any]) -> Policy:
    raw = {
        "targetRef": {"name": "any"},
        "maxReplicas": MOST,
        "metric": {"prometheus": {"query": "any"}, "targetPerReplica": 1},
    }
    return parse({**raw, **goal}).policy


def _loaded(path: Path) -> Model:
    try:
        return load_model(path)
    except ModelError as error:
        raise SimulationError(f"--model: {error}") from error


def _of_file(path: Path, startup: timedelta) -> ScalerSpec:
    """The spec of the PredictiveScaler in a YAML file; a lead time that would be learnt is the start-up time."""
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SimulationError(f"--spec: {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SimulationError(f"--spec: {path} is not YAML: {' '.join(str(error).split())}") from error
    found = [one["spec"] for one in documents if isinstance(one, Mapping) and one.get("kind") == KIND and "spec" in one]
    if len(found) != 1:
        raise SimulationError(f"--spec: {path} must hold one {KIND} with a spec, not {len(found)}")
    try:
        spec = parse(found[0])
    except SpecError as error:
        raise SimulationError(f"--spec: {path}: {error}") from error
    if not spec.lead_time_auto:
        return spec
    return replace(spec, policy=replace(spec.policy, lead_time=startup))
