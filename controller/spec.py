"""What did the user ask for? The PredictiveScaler's spec as frozen dataclasses.

`parse` accepts what the CRD accepts, fills the same defaults, and refuses the rest with the field's path, so that a
YAML file can be judged without a cluster; `tests/contracts/test_crd_agrees_with_spec.py` holds the two together.
Must not know Kubernetes clients or kopf.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from controller.aws_spec import (
    GROUP_FIELDS,
    GROUP_KIND,
    CloudWatchMetric,
    GroupRef,
    parse_cloudwatch,
    parse_group,
    refuse_keys,
)
from controller.core.experiment import Arm, Plan
from controller.core.policy import Fallback, Policy, PolicyType, RatePolicy, ScalingRules, SelectPolicy
from controller.fields import Fields, Form, SpecError, duration

__all__ = [
    "GROUP",
    "KIND",
    "PLURAL",
    "VERSION",
    "AnyTarget",
    "BasicAuth",
    "Coordination",
    "FloorRef",
    "Metric",
    "Mode",
    "ModelRef",
    "PrometheusMetric",
    "ScalerSpec",
    "SecretKey",
    "SpecError",
    "TargetRef",
    "Tls",
    "parse",
]

GROUP = "predictivescaler.dev"
VERSION = "v1alpha1"
PLURAL = "predictivescalers"
KIND = "PredictiveScaler"

_MOST_REPLICAS = 100_000
_MOST_INT32 = 2**31 - 1
_MOST_PER_REPLICA = 1e15
_MOST_POLICIES = 16
_LOWEST_QUANTILE = 0.5
_HIGHEST_QUANTILE = 0.99
_MOST_UNDER_PROVISIONED_PERCENT = 20
_LONGEST_LEAD = timedelta(hours=6)
_AUTO = "auto"
_NO_MODEL = "none"
_LONGEST_MODEL_NAME = 128
_UNLEARNT_LEAD = "2m"
_MOST_TURNS = 240
_FEWEST_WINDOWS = 4
_MOST_WINDOWS = 200
_SHORTEST_WINDOW = timedelta(minutes=10)
_LONGEST_WINDOW = timedelta(hours=24)
_LONGEST_AFTER = timedelta(hours=24)
_LONGEST_WINDOW_SECONDS = 3600
_LONGEST_PERIOD_SECONDS = 1800
_LONGEST_INTERVAL_SECONDS = 3600
FLOOR_KIND = "HorizontalPodAutoscaler"
FLOOR_VERSION = "autoscaling/v2"
_DEFAULT_API_VERSION = "apps/v1"
_VERSIONS_OF_A_FLOOR = (_DEFAULT_API_VERSION, "autoscaling/v1", FLOOR_VERSION)
_MOST_PER_UNIT = 10_000
_NOT_SCALABLE = "DaemonSet"

_API_VERSION = Form(
    pattern=re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?v[0-9][a-z0-9]*"),
    longest=317,
    words="an API group and version such as apps/v1",
)
_KIND_NAME = Form(pattern=re.compile(r"[A-Z][A-Za-z0-9]*"), longest=63, words="a kind such as Deployment")
_OBJECT_NAME = Form(
    pattern=re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"),
    longest=253,
    words="the name of an object, of lower-case letters, digits, - and .",
)
_SECRET_KEY = Form(
    pattern=re.compile(r"[-._a-zA-Z0-9]+"), longest=253, words="a key of a Secret, of letters, digits, -, _ and ."
)
_ADDRESS = Form(
    pattern=re.compile(r"https?://[-.:_\[\]A-Za-z0-9]+(/[-._~%!$&()*+,;=:@/A-Za-z0-9]*)?"),
    longest=2048,
    words="a URL such as http://prometheus.monitoring:9090 without user name (use auth), ? or #",
)
_QUERY = Form(pattern=re.compile(r".+", re.DOTALL), longest=8192, words="a PromQL query that gives one series")
_HOST = Form(
    pattern=re.compile(r"[A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?"),
    longest=253,
    words="a host name such as prometheus.example",
)
_MODEL = Form(
    pattern=re.compile(
        r"[a-z0-9]+([-._][a-z0-9]+)*"
        r"|s3://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]/[-!_.*'()/A-Za-z0-9]+(\?versionId=[-_.A-Za-z0-9]+)?"
        r"|https://[-.:A-Za-z0-9]+/[-._~%!$&()*+,;=:@/A-Za-z0-9]+"
        r"|oci://[-.:A-Za-z0-9]+(/[a-z0-9]+([-._]+[a-z0-9]+)*)+(:[_A-Za-z0-9][-._A-Za-z0-9]{0,127})?(@sha256:[0-9a-f]{64})?"
    ),
    longest=1024,
    words="a model's file name without .onnx, or the place of its file: s3://BUCKET/KEY, https://HOST/PATH or "
    "oci://REGISTRY/REPOSITORY:TAG",
)
_SHA256 = Form(pattern=re.compile(r"[0-9a-f]{64}"), longest=64, words="64 lower-case hex digits")
_ZONE = Form(
    pattern=re.compile(r"[A-Za-z][-+_A-Za-z0-9]*(/[-+_A-Za-z0-9]+)*"),
    longest=64,
    words="the name of an IANA time zone such as Europe/Berlin",
)


class Mode(StrEnum):
    """Active scales; Observe decides and reports but never writes; Paused does nothing at all.

    Experiment scales as well, in turn with and without the forecast, to measure what the forecast is worth.
    """

    ACTIVE = "Active"
    OBSERVE = "Observe"
    PAUSED = "Paused"
    EXPERIMENT = "Experiment"

    @property
    def is_acting(self) -> bool:
        """Whether the target follows the decisions."""
        return self in {Mode.ACTIVE, Mode.EXPERIMENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRef:
    """What to scale, in the scaler's own namespace."""

    api_version: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorRef:
    """A HorizontalPodAutoscaler in the scaler's own namespace; its replicas are the floor under what it decides."""

    name: str

    @property
    def kind(self) -> str:
        """The kind in targetRef."""
        return FLOOR_KIND

    @property
    def api_version(self) -> str:
        """The version in which it is read and written, whichever the spec names."""
        return FLOOR_VERSION


AnyTarget: TypeAlias = TargetRef | GroupRef | FloorRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordination:
    """Whose pods run on this group: the PredictiveScaler `scaler`, `per_unit` replicas on a unit of capacity."""

    scaler: str
    per_unit: int


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

    @property
    def load(self) -> tuple[str | None, ...]:
        """Which load it is, whoever may read it."""
        return self.address, self.query

    @property
    def place(self) -> str:
        """Who answers; empty for the controller's own default."""
        return self.address or ""

    @property
    def age(self) -> timedelta:
        """How old the newest value may be by its nature: it is asked for as of now."""
        return timedelta(0)


Metric: TypeAlias = PrometheusMetric | CloudWatchMetric


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """A model by name, or by the place that holds its file (s3://, https:// or oci://).

    `sha256`: the digest (hex) that the file must have, when given.
    """

    name: str
    sha256: str | None = None

    @property
    def is_remote(self) -> bool:
        """Whether the file must be fetched."""
        return "://" in self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalerSpec:
    """A whole spec. `policy` is the part that `controller.core` decides by.

    `model`: None where no forecast is wanted. `lead_time_auto`: the lead time is learnt; `policy.lead_time` holds until
    something was. `experiment`: None where none is described; beside a mode other than Experiment it waits.
    `coordination`: None where nobody's pods are known to run on the target.
    """

    target: AnyTarget
    mode: Mode
    metric: Metric
    model: ModelRef | None
    zone: ZoneInfo
    interval: timedelta
    policy: Policy
    lead_time_auto: bool = False
    experiment: Plan | None = None
    coordination: Coordination | None = None


def parse(spec: Mapping[str, Any]) -> ScalerSpec:
    """The `.spec` of a PredictiveScaler, as the API server or a YAML file gives it. Raises SpecError."""
    fields = Fields.open(
        "spec",
        spec,
        *("targetRef", "minReplicas", "maxReplicas", "mode", "metric", "objective", "forecast"),
        *("intervalSeconds", "behavior", "fallback", "experiment", "coordination"),
    )
    metric = fields.child("metric", "prometheus", "cloudwatch", "targetPerReplica")
    load, target = _metric(metric), _target(fields)
    forecast = fields.child_or_empty("forecast", "model", "sha256", "quantile", "leadTime", "timeZone")
    interval = timedelta(seconds=fields.integer("intervalSeconds", 1, _LONGEST_INTERVAL_SECONDS, default=15))
    mode = fields.choice("mode", Mode, default=Mode.ACTIVE)
    return ScalerSpec(
        target=target,
        mode=mode,
        metric=load,
        model=_model(forecast, mode),
        zone=_zone(forecast),
        interval=interval,
        policy=replace(_policy(fields, metric, forecast, interval), metric_age=load.age),
        lead_time_auto=_is_lead_time_auto(forecast),
        experiment=_experiment(fields, mode),
        coordination=_coordination(fields, target),
    )


def _target(spec: Fields) -> AnyTarget:
    refuse_keys(spec, "targetRef")
    fields = spec.child("targetRef", "apiVersion", "kind", "name", *GROUP_FIELDS)
    kind = fields.text("kind", _KIND_NAME, default="Deployment")
    if kind == GROUP_KIND:
        return _group(fields)
    for name in GROUP_FIELDS:
        if name in fields:
            raise fields.refusal(name, f"has no effect on a {kind}; remove it, or scale the kind {GROUP_KIND}")
    if kind == _NOT_SCALABLE:
        raise fields.refusal("kind", f"a {kind} has no replica count of its own; name the Deployment or StatefulSet")
    if kind == FLOOR_KIND:
        return _floor(fields)
    return TargetRef(
        api_version=fields.text("apiVersion", _API_VERSION, default=_DEFAULT_API_VERSION),
        kind=kind,
        name=fields.text("name", _OBJECT_NAME),
    )


def _group(fields: Fields) -> GroupRef:
    if fields.values.get("apiVersion", _DEFAULT_API_VERSION) != _DEFAULT_API_VERSION:  # which the API server fills in
        raise fields.refusal("apiVersion", f"has no effect on an {GROUP_KIND}, which is none of Kubernetes; remove it")
    return parse_group(fields)


def _floor(fields: Fields) -> FloorRef:
    """Whichever of its versions is named: they are one object. The API server fills in that of a Deployment."""
    api_version = fields.text("apiVersion", _API_VERSION, default=_DEFAULT_API_VERSION)
    if api_version not in _VERSIONS_OF_A_FLOOR:
        raise fields.refusal("apiVersion", f"of a {FLOOR_KIND} is {FLOOR_VERSION}; correct or remove it")
    return FloorRef(name=fields.text("name", _OBJECT_NAME))


def _coordination(spec: Fields, target: AnyTarget) -> Coordination | None:
    if "coordination" not in spec:
        return None
    if not isinstance(target, GroupRef):
        words = f"belongs to the scaler of an {GROUP_KIND}, and names the one whose pods run there; remove it"
        raise spec.refusal("coordination", words)
    fields = spec.child("coordination", "scaler", "replicasPerUnit")
    return Coordination(
        scaler=fields.text("scaler", _OBJECT_NAME),
        per_unit=fields.integer("replicasPerUnit", 1, _MOST_PER_UNIT),
    )


def _metric(fields: Fields) -> Metric:
    """Exactly one source."""
    if ("prometheus" in fields) == ("cloudwatch" in fields):
        raise SpecError(fields.path, "takes exactly one of prometheus and cloudwatch; add one or remove one")
    if "cloudwatch" in fields:
        return parse_cloudwatch(fields)
    return _prometheus(fields.child("prometheus", "address", "query", "auth", "tls"))


def _prometheus(fields: Fields) -> PrometheusMetric:
    address = fields.text("address", _ADDRESS) if "address" in fields else None
    bearer, basic = _auth(fields) if "auth" in fields else (None, None)
    tls = _tls(fields) if "tls" in fields else None
    if tls is not None and address is not None and not address.startswith("https://"):
        raise fields.refusal("tls", "has no effect on an http:// address; use https:// or remove tls")
    return PrometheusMetric(query=fields.text("query", _QUERY), address=address, bearer=bearer, basic=basic, tls=tls)


def _auth(prometheus: Fields) -> tuple[SecretKey | None, BasicAuth | None]:
    """Exactly one of a bearer token and a user name with a password."""
    fields = prometheus.child("auth", "bearer", "basic")
    if ("bearer" in fields) == ("basic" in fields):
        raise prometheus.refusal("auth", "takes exactly one of bearer and basic")
    if "bearer" in fields:
        return _secret_key(fields, "bearer"), None
    basic = fields.child("basic", "username", "password")
    return None, BasicAuth(username=_secret_key(basic, "username"), password=_secret_key(basic, "password"))


def _tls(prometheus: Fields) -> Tls:
    fields = prometheus.child("tls", "ca", "certificate", "key", "serverName", "insecureSkipVerify")
    if ("certificate" in fields) != ("key" in fields):
        raise prometheus.refusal("tls", "takes certificate and key together; add the missing one or remove both")
    is_insecure = fields.flag("insecureSkipVerify", default=False)
    if is_insecure and "ca" in fields:
        raise fields.refusal("insecureSkipVerify", "would ignore tls.ca; remove one of them")
    return Tls(
        ca=_secret_key(fields, "ca") if "ca" in fields else None,
        certificate=_secret_key(fields, "certificate") if "certificate" in fields else None,
        key=_secret_key(fields, "key") if "key" in fields else None,
        server_name=fields.text("serverName", _HOST) if "serverName" in fields else None,
        insecure_skip_verify=is_insecure,
    )


def _secret_key(fields: Fields, name: str) -> SecretKey:
    ref = fields.child(name, "secretKeyRef").child("secretKeyRef", "name", "key")
    return SecretKey(name=ref.text("name", _OBJECT_NAME), key=ref.text("key", _SECRET_KEY))


def _model(forecast: Fields, mode: Mode) -> ModelRef | None:
    name = forecast.text("model", _MODEL, default="default")
    sha256 = forecast.text("sha256", _SHA256) if "sha256" in forecast else None
    if name != _NO_MODEL:
        ref = ModelRef(name=name, sha256=sha256)
        if not ref.is_remote and len(name) > _LONGEST_MODEL_NAME:
            raise forecast.refusal("model", f"the name of a model has at most {_LONGEST_MODEL_NAME} characters")
        return ref
    if sha256 is not None:
        raise forecast.refusal("sha256", "has no effect with the model none; name a model or remove sha256")
    if mode is Mode.EXPERIMENT:
        raise forecast.refusal("model", "none leaves mode Experiment nothing to compare; name a model")
    return None


def _zone(forecast: Fields) -> ZoneInfo:
    name = forecast.text("timeZone", _ZONE, default="UTC")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):  # the name of a folder (America), of a file (leapseconds)
        raise forecast.refusal("timeZone", f"must be {_ZONE.words}; there is none called {name!r}") from None


def _policy(fields: Fields, metric: Fields, forecast: Fields, interval: timedelta) -> Policy:
    behavior = fields.child_or_empty("behavior", "scaleUp", "scaleDown", "maxDirectionChangesPerHour")
    low, high = _bounds(fields)
    objective = _objective(fields, forecast)
    return Policy(
        min_replicas=low,
        max_replicas=high,
        target_per_replica=_target_per_replica(metric),
        quantile=forecast.number("quantile", _LOWEST_QUANTILE, _HIGHEST_QUANTILE, default=0.9),
        lead_time=_lead_time(forecast),
        interval=interval,
        scale_up=_rules(behavior, "scaleUp", default=_SCALE_UP if objective is None else _SCALE_UP_TO_MEET),
        scale_down=_rules(behavior, "scaleDown", default=_SCALE_DOWN),
        fallback=_fallback(fields, low, high),
        objective=objective,
        flap_budget=_flap_budget(behavior),
    )


def _objective(fields: Fields, forecast: Fields) -> float | None:
    if "objective" not in fields:
        return None
    if "quantile" in forecast:
        raise forecast.refusal("quantile", "has no effect beside objective, which steers the level; remove one of them")
    objective = fields.child("objective", "underProvisionedTime")
    return objective.share("underProvisionedTime", _MOST_UNDER_PROVISIONED_PERCENT)


def _lead_time(forecast: Fields) -> timedelta:
    if _is_lead_time_auto(forecast):
        return duration(_UNLEARNT_LEAD)
    return forecast.duration("leadTime", _LONGEST_LEAD, default=_UNLEARNT_LEAD, also=_AUTO)


def _is_lead_time_auto(forecast: Fields) -> bool:
    return forecast.values.get("leadTime") == _AUTO


def _flap_budget(behavior: Fields) -> int | None:
    name = "maxDirectionChangesPerHour"
    return behavior.integer(name, 1, _MOST_TURNS) if name in behavior else None


def _experiment(fields: Fields, mode: Mode) -> Plan | None:
    if "experiment" not in fields:
        if mode is Mode.EXPERIMENT:
            raise fields.refusal("experiment", "is required with mode Experiment; add it, {} takes its defaults")
        return None
    experiment = fields.child("experiment", "windows", "windowLength", "arms")
    first, second = experiment.choices("arms", Arm, default=(Arm.REACTIVE, Arm.PREDICTIVE))
    return Plan(
        windows=experiment.integer("windows", _FEWEST_WINDOWS, _MOST_WINDOWS, default=48),
        window_length=experiment.duration("windowLength", _LONGEST_WINDOW, default="1h", shortest=_SHORTEST_WINDOW),
        arms=(first, second),
    )


def _bounds(fields: Fields) -> tuple[int, int]:
    low = fields.integer("minReplicas", 1, _MOST_REPLICAS, default=1)
    high = fields.integer("maxReplicas", 1, _MOST_REPLICAS)
    if low > high:
        raise fields.refusal(
            "maxReplicas", f"{high} is below minReplicas, {low}; raise maxReplicas or lower minReplicas"
        )
    return low, high


def _target_per_replica(metric: Fields) -> float:
    value = metric.quantity("targetPerReplica")
    if not 0 < value <= _MOST_PER_REPLICA:
        raise metric.refusal(
            "targetPerReplica", "must be above 0 and at most 1P; it is the load one replica serves well"
        )
    return value


_SCALE_UP = ScalingRules(
    stabilization=timedelta(0),
    tolerance=0.1,
    select=SelectPolicy.MAX,
    policies=(
        RatePolicy(type=PolicyType.PODS, value=4, period=timedelta(seconds=15)),
        RatePolicy(type=PolicyType.PERCENT, value=100, period=timedelta(seconds=15)),
    ),
)
_SCALE_UP_TO_MEET = replace(_SCALE_UP, tolerance=0.0)  # what is ignored would be time that the objective counts
_SCALE_DOWN = ScalingRules(
    stabilization=timedelta(minutes=5),
    tolerance=0.1,
    select=SelectPolicy.MAX,
    policies=(RatePolicy(type=PolicyType.PERCENT, value=100, period=timedelta(seconds=15)),),
)


def _rules(behavior: Fields, direction: str, default: ScalingRules) -> ScalingRules:
    """One direction of `behavior`; `default` holds what autoscaling/v2 does when a field is absent."""
    fields = behavior.child_or_empty(direction, "stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance")
    window = fields.integer(
        "stabilizationWindowSeconds", 0, _LONGEST_WINDOW_SECONDS, default=int(default.stabilization.total_seconds())
    )
    return ScalingRules(
        stabilization=timedelta(seconds=window),
        tolerance=_tolerance(fields, default.tolerance),
        select=fields.choice("selectPolicy", SelectPolicy, default=default.select),
        policies=_rate_policies(fields) if "policies" in fields else default.policies,
    )


def _tolerance(fields: Fields, default: float) -> float:
    value = fields.quantity("tolerance", default=str(default))
    if value > 1:
        raise fields.refusal("tolerance", 'must be from 0 to 1; it is a share, so 10 percent is "0.1" or 100m')
    return value


def _rate_policies(rules: Fields) -> tuple[RatePolicy, ...]:
    return tuple(
        RatePolicy(
            type=fields.choice("type", PolicyType),
            value=fields.integer("value", 1, _MOST_INT32),
            period=timedelta(seconds=fields.integer("periodSeconds", 1, _LONGEST_PERIOD_SECONDS)),
        )
        for fields in rules.children("policies", "type", "value", "periodSeconds", most=_MOST_POLICIES)
    )


def _fallback(spec: Fields, low: int, high: int) -> Fallback:
    fields = spec.child_or_empty("fallback", "after", "replicas", "hold")
    after = fields.duration("after", _LONGEST_AFTER, default="10m")
    if "hold" in fields and not fields.flag("hold", default=True):
        raise fields.refusal("hold", "can only be true; to grow to a size instead, remove it and set replicas")
    if "replicas" not in fields:
        return Fallback(after=after, replicas=None)
    if "hold" in fields:
        raise spec.refusal("fallback", "takes replicas or hold, not both; remove one of them")
    replicas = fields.integer("replicas", 1, _MOST_REPLICAS)
    if not low <= replicas <= high:
        raise fields.refusal("replicas", f"{replicas} must be from minReplicas, {low}, to maxReplicas, {high}")
    return Fallback(after=after, replicas=replicas)
