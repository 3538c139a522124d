"""What does every test of the controller on AWS do? Put a load into CloudWatch, make groups, wait for their size.

A corner of its own for each test: metrics are told apart by a dimension, groups are named after the namespace.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from controller.core.series import EPOCH, floor_to_step
from tests.aws.fixtures import NAMESPACE, REGION, Place
from tests.contracts.specs import merged
from tests.e2e.driving import PATIENCE_SECONDS, PER_REPLICA, Scene, eventually, wall_clock

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DIMENSION = "Test"


@dataclass(slots=True, kw_only=True)
class Cloud:
    """A test's corner of the cluster and of AWS. The metric's period is a second, so that a test need not wait long."""

    scene: Scene
    place: Place
    _last: datetime = EPOCH

    @property
    def name(self) -> str:
        """Of the test's group, and of its metrics' dimension."""
        return self.scene.namespace

    @property
    def metric(self) -> dict[str, Any]:
        """`spec.metric` of the test's load; 10 of it for each replica."""
        dimensions = {DIMENSION: self.name}
        named = {"namespace": NAMESPACE, "metricName": "Load", "dimensions": dimensions, "stat": "Sum", "period": "1s"}
        return {"prometheus": None, "cloudwatch": {"region": REGION, **named}, "targetPerReplica": f"{PER_REPLICA:g}"}

    @property
    def target(self) -> dict[str, Any]:
        """`spec.targetRef` of the test's group."""
        return {"kind": "AutoScalingGroup", "name": self.name, "region": REGION}

    def sees(self, load: float, a_minute_ago: float | None = None) -> datetime:
        """CloudWatch has this load, of the second that ended just now, and at once the one before; when it was put.

        A second later at the earliest than the load before, to which it would be added else.
        """
        second = eventually(lambda: floor_to_step(wall_clock(), SECOND) - SECOND, lambda one: one > self._last)
        self._last = second
        past = {} if a_minute_ago is None else {second - MINUTE: a_minute_ago}
        self.place.put({**past, second: load}, dimensions={DIMENSION: self.name}, resolution=1)
        return wall_clock()

    def group(self, **group: Any) -> None:
        """Make the test's group: from 1 to 40 unless `group` says otherwise."""
        self.place.group(self.name, **{"minimum": 1, "maximum": 40, **group})

    def scaler(self, name: str = "web", **spec: Any) -> dict[str, Any]:
        """A PredictiveScaler of the test's group by the test's load."""
        return self.scene.scaler(name, **merged({"targetRef": self.target, "metric": self.metric}, spec))

    def described(self) -> dict[str, Any]:
        """The test's group, which exists."""
        found = self.place.described(self.name)
        assert found is not None, f"there is no group {self.name}"
        return found

    def desired(self) -> int:
        """Its desired capacity."""
        return int(self.described()["DesiredCapacity"])

    def floor(self) -> int:
        """Its minimum size."""
        return int(self.described()["MinSize"])

    def serving(self) -> int:
        """Its instances in service."""
        return sum(one["LifecycleState"] == "InService" for one in self.described()["Instances"])

    def await_desired(self, desired: int, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the desired capacity is this."""
        eventually(self.desired, desired.__eq__, seconds)

    def set_desired(self, desired: int) -> None:
        """Somebody else sets the desired capacity."""
        client = self.place.client("autoscaling")
        client.set_desired_capacity(AutoScalingGroupName=self.name, DesiredCapacity=desired)

    def writes(self) -> list[dict[str, Any]]:
        """Every call that set a size, as the endpoint wrote it down; the tests' own have another identity.

        By its first attempt: where a busy machine takes longer than one may last, the SDK sends the same call again.
        """
        calls = self.place.server.calls("SetDesiredCapacity") + self.place.server.calls("UpdateAutoScalingGroup")
        first: dict[str, dict[str, Any]] = {}
        for call in calls:
            if call["identity"] != "tests":
                first.setdefault(call["invocation"], call)
        return list(first.values())
