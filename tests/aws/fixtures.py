"""AWS on loopback, for the tests that ask for it: fixtures `aws_server` and `aws`.

    def test_it(aws: Place) -> None:                 # a fresh AWS, which the SDK's environment points to
        aws.at(NOW)                                  # its clock stands still; without this it is the machine's
        aws.put({NOW - MINUTE: 12.0}, name="Load", dimensions={"App": "web"})
        aws.group("web", minimum=1, maximum=10, desired=2)
        aws.server.change(launch=60.0)               # see sandbox.aws.settings
        aws.server.fail(operation="GetMetricData", code="Throttling", times=2)   # see sandbox.aws.faults.Fault
        aws.client("autoscaling").describe_auto_scaling_groups()
        aws.server.calls("GetMetricData")            # what was asked, for counting

One process for all tests of a run (of a worker); `aws` empties it before each test. Faults: kind="error" (code,
message, status), "hang" (seconds) or "close"; operation "*" for all; region, service, times, after. Partial pages:
`aws.server.change(page_points=7)`. `aws.server.stop()` is a region that is down; `start()` keeps the address and loses
all resources. `aws.server.authorize(is_on=True)`: signatures and IAM policies are checked from then on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any

import pytest

from sandbox.aws.process import AwsServer

REGION = "eu-central-1"
NAMESPACE = "Tests"
IMAGE = "ami-12c6146b"  # one that moto knows
MOST_DATA = 1000
ENVIRONMENT = (
    "AWS_PROFILE",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Of whoever runs the tests, and not meant for them."""


class Place:
    """An account on the endpoint, in one region unless a call says otherwise."""

    def __init__(self, server: AwsServer, region: str = REGION, keys: tuple[str, ...] = ("tests", "tests")) -> None:
        """`keys`: access key id, secret access key and, of a role, session token."""
        self.server = server
        self.region = region
        self._keys = keys
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client, the same for the same service and region."""
        import boto3  # noqa: PLC0415 - half a second, which only tests of AWS should wait for

        key = service, region or self.region
        if key not in self._clients:
            session: Any = boto3.Session
            make = session(*self._keys).client
            self._clients[key] = make(service, region_name=key[1], endpoint_url=self.server.url)
        return self._clients[key]

    def at(self, now: datetime | None) -> None:
        """Have the endpoint's clock stand at `now`; None lets it go with the machine's."""
        self.server.change(now=now)

    def put(
        self,
        values: Mapping[datetime, float],
        *,
        name: str = "Load",
        namespace: str = NAMESPACE,
        dimensions: Mapping[str, str] | None = None,
        resolution: int = 60,
        region: str | None = None,
        **datum: Any,
    ) -> None:
        """Put values of a metric at their times; `datum`: more of PutMetricData's fields, such as Unit."""
        named = [{"Name": one, "Value": value} for one, value in (dimensions or {}).items()]
        common = {"MetricName": name, "Dimensions": named, "StorageResolution": resolution, **datum}
        data = [{**common, "Timestamp": time, "Value": value} for time, value in values.items()]
        for first in range(0, len(data), MOST_DATA):
            part = data[first : first + MOST_DATA]
            self.client("cloudwatch", region).put_metric_data(Namespace=namespace, MetricData=part)

    def group(
        self,
        name: str = "web",
        *,
        minimum: int = 0,
        maximum: int = 10,
        desired: int | None = None,
        weight: int | None = None,
        region: str | None = None,
        **group: Any,
    ) -> None:
        """Make an Auto Scaling group; `weight`: of each instance. `group`: more of CreateAutoScalingGroup's fields."""
        client = self.client("autoscaling", region)
        size = {"MinSize": minimum, "MaxSize": maximum, "DesiredCapacity": minimum if desired is None else desired}
        launch = self._weighted(name, weight, region) if weight else {"LaunchConfigurationName": name}
        if not weight:
            client.create_launch_configuration(LaunchConfigurationName=name, ImageId=IMAGE, InstanceType="m5.large")
        zones = [f"{region or self.region}a"]
        client.create_auto_scaling_group(AutoScalingGroupName=name, AvailabilityZones=zones, **size, **launch, **group)

    def described(self, name: str = "web", region: str | None = None) -> dict[str, Any] | None:
        """The group as AWS describes it; None when there is none."""
        found = self.client("autoscaling", region).describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        return dict(found["AutoScalingGroups"][0]) if found["AutoScalingGroups"] else None

    def desired(self, name: str = "web", region: str | None = None) -> int:
        """The desired capacity of a group that exists."""
        found = self.described(name, region)
        assert found is not None, f"there is no group {name}"
        return int(found["DesiredCapacity"])

    def states(self, name: str = "web", region: str | None = None) -> list[str]:
        """The lifecycle states of a group's instances, sorted."""
        found = self.described(name, region) or {"Instances": []}
        return sorted(one["LifecycleState"] for one in found["Instances"])

    def _weighted(self, name: str, weight: int, region: str | None) -> dict[str, Any]:
        data = {"ImageId": IMAGE, "InstanceType": "m5.large"}
        self.client("ec2", region).create_launch_template(
            LaunchTemplateName=f"{name}-template", LaunchTemplateData=data
        )
        used = {
            "LaunchTemplateSpecification": {"LaunchTemplateName": f"{name}-template", "Version": "$Latest"},
            "Overrides": [{"InstanceType": "m5.large", "WeightedCapacity": str(weight)}],
        }
        return {"MixedInstancesPolicy": {"LaunchTemplate": used}}


@pytest.fixture(scope="session")
def aws_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsServer]:
    """The process, with whatever the last test left in it."""
    with _models_read_once(), AwsServer(log=tmp_path_factory.mktemp("aws") / "aws.log") as server:
        yield server


@contextmanager
def _models_read_once() -> Iterator[None]:
    """Each session of the SDK lists all services and reads models of some, MiB of JSON, anew; each test has its own."""
    from botocore.loaders import JSONFileLoader, Loader  # noqa: PLC0415 - as boto3 above

    with pytest.MonkeyPatch.context() as patch:
        for kind, name in ((JSONFileLoader, "load_file"), (Loader, "list_available_services")):
            patch.setattr(kind, name, staticmethod(cache(getattr(kind(), name))))
        yield


@pytest.fixture
def aws(aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An empty AWS, to which the environment leads every SDK of this process."""
    if not aws_server.is_running:
        aws_server.start()
    aws_server.reset()
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    for name, value in aws_server.environment().items():
        monkeypatch.setenv(name, value)
    return Place(aws_server)
