"""Which settings did the dashboards before us offer? Three configurations by three policies, each as a spec.

Each is a file beside this one that can be applied to a cluster; where its numbers come from, and what a spec cannot say
of them, is in docs/guide/presets.md. Must not replay them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import yaml

from controller.core.policy import Policy
from controller.spec import ScalerSpec, parse

CONFIGURATIONS = ("conservative", "balanced", "aggressive")
POLICIES = ("balanced", "reactive", "predictive")
CAPACITY = 100.0  # requests in five minutes that a server of the dashboards serves


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One cell of the matrix. `configuration`: of CONFIGURATIONS; `policy`: of POLICIES; `raw`: its spec as written."""

    configuration: str
    policy: str
    spec: ScalerSpec
    raw: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As in the name of its file, e.g. "balanced-reactive"."""
        return f"{self.configuration}-{self.policy}"

    @property
    def utilisation(self) -> float:
        """The share of what a replica serves that is aimed at, in (0, 1)."""
        return self.spec.policy.target_per_replica / CAPACITY

    @property
    def forecasts(self) -> bool:
        """Whether it is to be told a forecast."""
        return self.spec.model is not None

    def rules(self, per_replica: float) -> Policy:
        """Its rules where one replica serves `per_replica` (metric's unit, > 0)."""
        return replace(self.spec.policy, target_per_replica=self.utilisation * per_replica)


@cache
def presets() -> tuple[Preset, ...]:
    """All nine, by configuration and then by policy."""
    return tuple(_preset(configuration, policy) for configuration in CONFIGURATIONS for policy in POLICIES)


def _preset(configuration: str, policy: str) -> Preset:
    file = resources.files(__name__) / f"{configuration}-{policy}.yaml"
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    raw = document["spec"]
    return Preset(configuration=configuration, policy=policy, spec=parse(raw), raw=raw)
