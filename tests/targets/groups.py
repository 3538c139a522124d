"""What do the tests of Auto Scaling groups share? References, a clock to set, and an AWS that is late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from controller.aws import Aws
from controller.aws_spec import AwsAccess, AwsRole, CapacityField, GroupRef
from tests.aws.fixtures import REGION

DESIRED, FLOOR = CapacityField.DESIRED, CapacityField.FLOOR
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def ref(
    name: str = "web", capacity: CapacityField = DESIRED, region: str = REGION, role: AwsRole | None = None
) -> GroupRef:
    return GroupRef(access=AwsAccess(region=region, role=role), name=name, capacity=capacity)


@dataclass
class Clock:
    """A monotonic clock that stands still until it is told to go on."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


class LateAws(Aws):
    """AWS whose describes may be older than its writes: while `frozen`, they answer as before."""

    frozen: bool = False
    _last: Mapping[str, Any] | None = None

    def ask(self, access: AwsAccess, service: str, operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation == "describe_auto_scaling_groups" and self.frozen and self._last is not None:
            return self._last
        answer = super().ask(access, service, operation, arguments)
        if operation == "describe_auto_scaling_groups":
            self._last = answer
        return answer

    def thaw(self) -> None:
        self.frozen, self._last = False, None
