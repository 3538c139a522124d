"""A reader of Auto Scaling groups at the endpoint of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controller.targets.asg_groups import Groups
from sandbox.aws.process import AwsServer
from tests.aws.fixtures import Place
from tests.targets.groups import NOW, Clock, LateAws
from tests.waiting import PATIENCE


@pytest.fixture(scope="session")
def any_late_aws(aws_server: AwsServer) -> Iterator[LateAws]:
    """One for all tests: making its clients takes longer than most of them."""
    late = LateAws(timeout_seconds=PATIENCE, clock=lambda: NOW)
    yield late
    late.close()


@pytest.fixture
def late_aws(any_late_aws: LateAws, aws: Place) -> LateAws:
    """The endpoint, which `aws` has emptied, as the product asks it."""
    any_late_aws.thaw()
    return any_late_aws


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def groups(late_aws: LateAws, clock: Clock) -> Groups:
    return Groups(late_aws, clock=clock)
