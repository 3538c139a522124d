"""What did the user ask for? The PredictiveScaler's spec as frozen dataclasses.

`parse` accepts what the CRD accepts, fills the same defaults, and refuses the rest with the field's path.
Must not know Kubernetes clients or kopf.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from controller.core.policy import Policy

GROUP = "predictivescaler.dev"
VERSION = "v1alpha1"
PLURAL = "predictivescalers"
KIND = "PredictiveScaler"


class SpecError(ValueError):
    """The spec cannot be used. `field` is its path, e.g. "spec.metric.targetPerReplica"; the message names the cure."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class Mode(StrEnum):
    """Active scales; Observe decides and reports but never writes; Paused does nothing at all."""

    ACTIVE = "Active"
    OBSERVE = "Observe"
    PAUSED = "Paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRef:
    """What to scale, in the scaler's own namespace."""

    api_version: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretKey:
    """One key of a Secret in the scaler's namespace."""

    name: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuth:
    """User name and password, each from a Secret."""

    username: SecretKey
    password: SecretKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How to trust the server and be known to it. All are PEM, from Secrets."""

    ca: SecretKey | None = None
    certificate: SecretKey | None = None
    key: SecretKey | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusMetric:
    """Where the load comes from. `address` None means the controller's own default."""

    query: str
    address: str | None = None
    bearer: SecretKey | None = None
    basic: BasicAuth | None = None
    tls: Tls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """A model by name, and the sha256 (hex) its file must have when given."""

    name: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalerSpec:
    """A whole spec. `policy` is the part that `controller.core` decides by."""

    target: TargetRef
    mode: Mode
    metric: PrometheusMetric
    model: ModelRef
    zone: ZoneInfo
    interval: timedelta
    policy: Policy
