"""What does the cycle need from the world, and which errors may each part raise?

Protocols and errors only. Adapters translate whatever their library raises into these at their own edge;
`controller.__main__` is where the type checker proves that each adapter fits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from controller.core.card import Card
from controller.core.forecast import Forecast
from controller.core.series import Observation, Series
from controller.core.startup import LeadTime
from controller.outcome import Outcome, Problem, Stage
from controller.registry import Scaler
from controller.spec import AnyTarget, Metric, ModelRef, ScalerSpec


class MetricReason(StrEnum):
    """Why a metric cannot be used: reasons of the condition MetricsAvailable."""

    ADDRESS_INVALID = "MetricAddressInvalid"
    UNREACHABLE = "MetricUnreachable"
    UNTRUSTED = "MetricUntrusted"
    UNAUTHORIZED = "MetricUnauthorized"
    SECRET_INVALID = "MetricSecretInvalid"  # noqa: S105  a condition's reason, not a secret
    TIMEOUT = "MetricTimeout"
    UNAVAILABLE = "MetricUnavailable"
    MALFORMED = "MetricMalformed"
    TOO_LARGE = "MetricTooLarge"
    PARTIAL = "MetricPartial"
    QUERY_INVALID = "MetricQueryInvalid"
    COUNTER = "MetricCounter"
    AMBIGUOUS = "MetricAmbiguous"
    EMPTY = "MetricEmpty"
    NOT_FINITE = "MetricNotFinite"
    NEGATIVE = "MetricNegative"
    STALE = "MetricStale"
    THROTTLED = "MetricThrottled"
    PERIOD_INVALID = "MetricPeriodInvalid"


class TargetReason(StrEnum):
    """Why a target cannot be read or scaled: reasons of the condition AbleToScale."""

    NOT_FOUND = "TargetNotFound"
    NOT_SCALABLE = "TargetNotScalable"
    FORBIDDEN = "TargetForbidden"
    CONFLICT = "TargetConflict"
    UNAVAILABLE = "TargetUnavailable"
    SUSPENDED = "TargetSuspended"
    UNAUTHORIZED = "TargetUnauthorized"
    THROTTLED = "TargetThrottled"


class LeadTimeReason(StrEnum):
    """Why a lead time cannot be learnt: reasons of the condition Forecasting, which stays True."""

    FORBIDDEN = "PodsForbidden"
    UNKNOWN = "PodsUnknown"
    UNAVAILABLE = "PodsUnavailable"
    MALFORMED = "StartUpsMalformed"
    LAUNCHES_FAILED = "LaunchesFailed"
    LAUNCHES_FORBIDDEN = "LaunchesForbidden"
    LAUNCHES_UNAVAILABLE = "LaunchesUnavailable"


class MetricError(Exception):
    """The metric system gave no usable answer. `reason` is CamelCase for a condition; the message names the cure."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ModelError(Exception):
    """A model cannot be used. `check` names the rule of the contract that failed."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(f"{check}: {message}")
        self.check = check


class TargetError(Exception):
    """The target cannot be read or scaled now; the next tick tries again. `reason` is CamelCase for a condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StatusError(Exception):
    """The status could not be written; the next tick tries again. `gone`: the object no longer exists."""

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.gone = gone


class SecretError(Exception):
    """A Secret cannot be read. `is_transient`: the next try may succeed without anybody changing anything."""

    def __init__(self, message: str, *, is_transient: bool = False) -> None:
        super().__init__(message)
        self.is_transient = is_transient


M_co = TypeVar("M_co", bound=Metric, covariant=True)
M_contra = TypeVar("M_contra", bound=Metric, contravariant=True)
R_contra = TypeVar("R_contra", bound=AnyTarget, contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRequest(Generic[M_co]):
    """One scaler's question. `namespace`: where its Secrets live. `context`: how many steps of history it needs."""

    namespace: str
    metric: M_co
    step: timedelta
    context: int
    max_age: timedelta


class Source(Protocol[M_contra]):
    """A metric system."""

    async def observe(
        self, requests: Sequence[MetricRequest[M_contra]], now: datetime
    ) -> list[Observation | MetricError]:
        """One answer for each request, in order. Equal questions are asked once. Never raises for a single request."""
        ...


class Secrets(Protocol):
    """Where passwords, tokens and certificates live."""

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """All keys of one Secret. Raises SecretError, whose message never holds a value."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRequest:
    """Many of these make one batch. `zone`: whose wall clock the load follows."""

    model: ModelRef
    history: Series
    zone: tzinfo


class Models(Protocol):
    """The forecasters."""

    def card(self, model: ModelRef) -> tuple[Card, str]:
        """The model's card and the file's sha256 in hex; loads it on first use. Raises ModelError."""
        ...

    def forecast(self, requests: Sequence[ForecastRequest]) -> list[Forecast | ModelError]:
        """One answer for each request, in order, in one batched run a model. Never raises for a single request."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """What is asked of a target right now. `selector`: of its pods' labels; empty where the target tells none.

    `resource_version`: changes with the target. `lowest`, `highest`: its own bounds, None where it has none.
    `ready`: of the replicas, those that serve; `warm`: others that wait, half started; None where that is not read.
    `present`: how many there are, where `replicas` is but the fewest that there may be.
    `note`: what a user should know of its state, such as a start that is under way; empty where there is nothing.
    """

    replicas: int
    resource_version: str
    selector: str = ""
    lowest: int | None = None
    highest: int | None = None
    ready: int | None = None
    warm: int | None = None
    present: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who else sets a target's size. `words`: such as 'HorizontalPodAutoscaler "web"'; `cure`: what a user may do."""

    words: str
    cure: str = "remove it or use mode Observe"


class Target(Protocol[R_contra]):
    """Something with a size."""

    async def read(self, namespace: str, ref: R_contra) -> TargetState:
        """The size now. Raises TargetError."""
        ...

    async def write(self, namespace: str, ref: R_contra, state: TargetState, replicas: int) -> None:
        """Ask for `replicas`, provided nobody changed the size since `state` was read. Raises TargetError."""
        ...


class Owners(Protocol[R_contra]):
    """Who else sets the size of targets."""

    async def owner(self, namespace: str, ref: R_contra, now: datetime, *, generation: int = 0) -> Owner | None:
        """Who else does, None if nobody. `generation`: of the scaler that would set it, 0 of none.

        Raises TargetError.
        """
        ...


class LeadTimes(Protocol):
    """How long the replicas of targets take to be ready, learnt from those that started."""

    def lead_time(
        self, scaler: Scaler, spec: ScalerSpec, state: TargetState, now: datetime
    ) -> tuple[LeadTime, Problem | None]:
        """What is known now, at once, and why it is not known better. `spec.policy.lead_time` where nothing is."""
        ...

    def forget(self, uid: str) -> None:
        """Drop what is held of a scaler that is gone."""
        ...


class StatusWriter(Protocol):
    """The status and the events of a PredictiveScaler."""

    async def patch_status(
        self, namespace: str, name: str, uid: str, status: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Set each key of `status` as a whole in the object's `.status`, None removing it, others staying.

        Only if it is still the object `uid`. Gives the object as it then is, if that is known. Raises StatusError.
        """
        ...

    async def emit(
        self, namespace: str, name: str, uid: str, *, type_: str, reason: str, note: str, now: datetime
    ) -> None:
        """Record one Kubernetes Event about the object, `type_` being Normal or Warning. Raises StatusError."""
        ...


class Reporter(Protocol):
    """Tells the world what a tick did: status, events, metrics and ledger from the same Outcome."""

    async def report(self, scaler: Scaler, outcome: Outcome) -> None:
        """Tell one scaler's outcome. Raises StatusError; `gone` when the scaler no longer exists."""
        ...

    def took(self, stage: Stage, seconds: float) -> None:
        """Record how long a shared stage of a tick took."""
        ...
