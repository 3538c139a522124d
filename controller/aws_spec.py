"""What did the user ask of AWS? The parts of a spec that mean an Auto Scaling group, CloudWatch, and who asks them.

`controller.spec` reads the rest, and calls what is here where the user named one of the two. Must not know boto3, nor
what else is in a spec.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from controller.fields import Fields, Form, SpecError

GROUP_KIND = "AutoScalingGroup"

_ACCESS_FIELDS = ("region", "roleArn", "externalId")
GROUP_FIELDS = (*_ACCESS_FIELDS, "capacity")
"""What a targetRef has for an Auto Scaling group alone."""

_METRIC_FIELDS = ("namespace", "metricName", "dimensions", "stat")
_KEY_WORDS = re.compile(r"access.?key|secret|session.?token|credential|password", re.IGNORECASE)
_MOST_DIMENSIONS = 30
_LONGEST_METRIC_PERIOD = timedelta(hours=1)
_SHORT_PERIODS = tuple(timedelta(seconds=seconds) for seconds in (1, 5, 10, 20, 30))
_CLOUDWATCH_DELAY = timedelta(minutes=3)
"""So long after its period a value of CloudWatch may come: most services publish within two minutes."""

_REGION = Form(
    pattern=re.compile(r"[a-z]{2,3}(-[a-z]+)+-[0-9]{1,2}"), longest=32, words="an AWS region such as eu-central-1"
)
_ROLE_ARN = Form(
    pattern=re.compile(r"arn:aws[-a-z]*:iam::[0-9]{12}:role/[-+=,.@_/A-Za-z0-9]+"),
    longest=2048,
    words="the ARN of an IAM role such as arn:aws:iam::123456789012:role/scaler",
)
_EXTERNAL_ID = Form(
    pattern=re.compile(r"[-+=,.@:/_A-Za-z0-9]{2,}"),
    longest=1224,
    words="the external id that the role's trust asks for",
)
_GROUP_NAME = Form(
    pattern=re.compile(r"[ -9;-\[\]-~]+"), longest=255, words="the name of an Auto Scaling group, without : and \\"
)
_EXPRESSION = Form(
    pattern=re.compile(r".+", re.DOTALL),
    longest=2048,
    words="metric math that gives one series, such as SUM(SEARCH(...))",
)
_METRIC_NAMESPACE = Form(
    pattern=re.compile(r"[-.#/_A-Za-z0-9 ][-.#:/_A-Za-z0-9 ]*"),
    longest=255,
    words="a CloudWatch namespace such as AWS/ApplicationELB",
)
_METRIC_NAME = Form(pattern=re.compile(r"[ -~]+"), longest=255, words="a metric's name such as RequestCount")
_DIMENSION_NAME = Form(
    pattern=re.compile(r"[ -9;-~][ -~]*"), longest=255, words="the name of a dimension such as LoadBalancer"
)
_DIMENSION = Form(pattern=re.compile(r"[ -~]+"), longest=1024, words="the value of a dimension")
_STAT = Form(
    pattern=re.compile(
        r"SampleCount|Sum|Average|Minimum|Maximum|IQM|(p|tm|wm|tc|ts)[0-9]{1,2}(\.[0-9]{1,10})?|p100"
        r"|(TM|WM|PR|TC|TS)\([%:.0-9]+\)"
    ),
    longest=64,
    words="a statistic such as Sum, Average or p99",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsRole:
    """A role to assume; `external_id` is what its trust policy asks for."""

    arn: str
    external_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsAccess:
    """Where AWS is asked, and as whom: as the controller itself where there is no `role`."""

    region: str
    role: AwsRole | None = None

    @property
    def account(self) -> str:
        """Whose things are meant: the number of the role's account, empty for the controller's own."""
        return "" if self.role is None else self.role.arn.split(":")[4]


class CapacityField(StrEnum):
    """What of an Auto Scaling group is set: its desired capacity, or the floor under what others decide."""

    DESIRED = "Desired"
    FLOOR = "Floor"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRef:
    """An EC2 Auto Scaling group to scale; its replicas are units of capacity."""

    access: AwsAccess
    name: str
    capacity: CapacityField = CapacityField.DESIRED

    @property
    def kind(self) -> str:
        """The kind in targetRef."""
        return GROUP_KIND

    @property
    def api_version(self) -> str:
        """Nothing of Kubernetes."""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudWatchMetric:
    """Where the load comes from: one metric, or one `expression` of metric math; exactly one of the two is given.

    `dimensions`: sorted (name, value). `period`: one value's time, whole minutes, or 1, 5, 10, 20 or 30 seconds.
    """

    access: AwsAccess
    period: timedelta
    expression: str | None = None
    namespace: str | None = None
    name: str | None = None
    dimensions: tuple[tuple[str, str], ...] = ()
    stat: str | None = None

    @property
    def load(self) -> tuple[str | None, ...]:
        """Which load it is, whoever may read it."""
        named = [part for pair in self.dimensions for part in pair]
        what = (self.expression, self.namespace, self.name, *named, self.stat)
        return self.access.region, str(self.period.total_seconds()), *what

    @property
    def place(self) -> str:
        """Who answers."""
        return f"cloudwatch.{self.access.region}"

    @property
    def age(self) -> timedelta:
        """How old the newest value may be by its nature."""
        return 2 * self.period + _CLOUDWATCH_DELAY


def parse_group(fields: Fields) -> GroupRef:
    """A `targetRef` of the kind GROUP_KIND. Raises SpecError."""
    return GroupRef(
        access=_access(fields),
        name=fields.text("name", _GROUP_NAME),
        capacity=fields.choice("capacity", CapacityField, default=CapacityField.DESIRED),
    )


def parse_cloudwatch(metric: Fields) -> CloudWatchMetric:
    """The child `cloudwatch` of a `metric`. Raises SpecError."""
    refuse_keys(metric, "cloudwatch")
    fields = metric.child("cloudwatch", *_ACCESS_FIELDS, "period", "expression", *_METRIC_FIELDS)
    access, period = _access(fields), _period(fields)
    if ("expression" in fields) == ("metricName" in fields):
        raise SpecError(fields.path, "takes exactly one of metricName and expression; add one or remove one")
    if "expression" in fields:
        for name in _METRIC_FIELDS:
            if name in fields:
                raise fields.refusal(name, "has no effect beside expression, which names its own metrics; remove it")
        return CloudWatchMetric(access=access, period=period, expression=fields.text("expression", _EXPRESSION))
    return CloudWatchMetric(
        access=access,
        period=period,
        namespace=fields.text("namespace", _METRIC_NAMESPACE),
        name=fields.text("metricName", _METRIC_NAME),
        dimensions=_dimensions(fields),
        stat=fields.text("stat", _STAT),
    )


def _dimensions(fields: Fields) -> tuple[tuple[str, str], ...]:
    """In the order of their names: which is written first makes no other metric."""
    return tuple(sorted(fields.texts("dimensions", _DIMENSION_NAME, _DIMENSION, most=_MOST_DIMENSIONS).items()))


def _period(fields: Fields) -> timedelta:
    """What CloudWatch keeps: whole minutes, and for metrics of high resolution parts of one."""
    period = fields.duration("period", _LONGEST_METRIC_PERIOD, default="60s")
    if period not in _SHORT_PERIODS and (not period or period % timedelta(minutes=1)):
        raise fields.refusal("period", "must be whole minutes, such as 60s or 5m, or 1s, 5s, 10s, 20s or 30s")
    return period


def refuse_keys(parent: Fields, child: str) -> None:
    """Keys are no fields: who may write a PredictiveScaler shall not need to hold one. The error tells no value."""
    values = parent.values.get(child)
    for name in values if isinstance(values, Mapping) else ():
        if _KEY_WORDS.search(str(name)):
            words = "is no field: AWS is asked by the role of the controller's ServiceAccount, or by roleArn; remove it"
            raise SpecError(f"{parent.path}.{child}.{name}", f"{words}, and replace the key if it was a real one")


def _access(fields: Fields) -> AwsAccess:
    region = fields.text("region", _REGION)
    if "roleArn" not in fields:
        if "externalId" in fields:
            raise fields.refusal("externalId", "has no effect without roleArn; add it or remove externalId")
        return AwsAccess(region=region)
    external_id = fields.text("externalId", _EXTERNAL_ID) if "externalId" in fields else None
    return AwsAccess(region=region, role=AwsRole(arn=fields.text("roleArn", _ROLE_ARN), external_id=external_id))
