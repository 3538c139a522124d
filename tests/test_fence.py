"""Nothing is sent once it may not be: to the API server, nor to AWS between two attempts of its SDK."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest
from aiohttp import web

from controller import aws as product
from controller import fence, kubernetes_api
from controller.aws import Aws
from controller.aws_spec import AwsAccess
from controller.kubernetes_api import FencedError, KubernetesApi, TimedOutError
from tests.aws.fixtures import REGION, Place
from tests.servers.kubernetes import FakeApiServer
from tests.targets.groups import NOW
from tests.waiting import PATIENCE

PATH = "/api/v1/namespaces/shop/things/web"
Write = Callable[[KubernetesApi], Awaitable[object]]
WRITES: dict[str, Write] = {
    "post": lambda api: api.post(PATH, {}),
    "put": lambda api: api.put(PATH, {}),
    "merge-patch": lambda api: api.merge_patch(PATH, {}),
    "json-patch": lambda api: api.json_patch(PATH, []),
    "apply": lambda api: api.apply(PATH, {}),
    "delete": lambda api: api.delete(PATH, version="1"),
}
in_each_way = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)


@pytest.fixture
async def fenced(server: FakeApiServer, kubeconfig: Path) -> AsyncIterator[KubernetesApi]:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        server.raw[method, PATH] = lambda: web.json_response({})
    async with await KubernetesApi.connect(fence=fence.seconds_left) as api:
        yield api


def test_every_way_to_write_is_among_those_that_are_tried() -> None:
    reads = {"connect", "close", "get", "list_all", "pages", "read_secret"}
    methods = {name for name in vars(KubernetesApi) if not name.startswith("_")}
    assert {name.replace("-", "_") for name in WRITES} == methods - reads


@in_each_way
async def test_what_nobody_permitted_is_not_sent(fenced: KubernetesApi, server: FakeApiServer, write: Write) -> None:
    with pytest.raises(FencedError, match="another one may serve it"):
        await write(fenced)
    assert server.calls == []


@in_each_way
async def test_what_is_permitted_is_sent(fenced: KubernetesApi, server: FakeApiServer, write: Write) -> None:
    with fence.writing(lambda: 5.0):
        await write(fenced)
    assert len(server.calls) == 1


@in_each_way
async def test_a_permission_that_ended_is_none(fenced: KubernetesApi, server: FakeApiServer, write: Write) -> None:
    left = iter([1.0, 0.0])
    with fence.writing(lambda: next(left)):
        await write(fenced)
        with pytest.raises(FencedError):
            await write(fenced)
    assert len(server.calls) == 1


async def test_it_is_asked_just_before_sending_whatever_was_waited_for(
    fenced: KubernetesApi, server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The credentials are awaited first, from a file of the node."""
    left = [5.0]

    async def late(_: KubernetesApi) -> str:
        left[0] = 0.0
        return f"Bearer {server.token}"

    monkeypatch.setattr(KubernetesApi, "_authorization", late)
    with fence.writing(lambda: left[0]), pytest.raises(FencedError):
        await fenced.put(PATH, {})
    assert server.calls == []


async def test_a_write_gets_no_more_time_than_it_is_permitted(fenced: KubernetesApi) -> None:
    with fence.writing(lambda: 1e-6), pytest.raises(TimedOutError, match="within 1e-06 s"):
        await fenced.put(PATH, {})


async def test_reading_needs_no_permission(fenced: KubernetesApi, server: FakeApiServer) -> None:
    server.objects[PATH] = {"kind": "Thing"}
    assert await fenced.get(PATH) == {"kind": "Thing"}


async def test_tasks_at_the_same_time_have_each_its_own() -> None:
    async def asked(left: float) -> float:
        with fence.writing(lambda: left):
            await asyncio.sleep(0)
            return fence.seconds_left()

    assert await asyncio.gather(*(asked(left) for left in (1.0, 2.0, 3.0))) == [1.0, 2.0, 3.0]
    assert fence.seconds_left() == 0.0


async def test_a_client_without_a_fence_writes(api: KubernetesApi, server: FakeApiServer) -> None:
    server.raw["PUT", PATH] = lambda: web.json_response({})
    await api.put(PATH, {})
    assert len(server.calls) == 1


# AWS

SERVICE, CHANGE, LOOK = "autoscaling", "set_desired_capacity", "describe_auto_scaling_groups"


@pytest.fixture(scope="module")
def any_fenced_aws(aws_server: object) -> Iterator[Aws]:
    one = Aws(timeout_seconds=PATIENCE, clock=lambda: NOW, fence=fence.seconds_left)
    yield one
    one.close()


@pytest.fixture
def fenced_aws(any_fenced_aws: Aws, aws: Place) -> Aws:
    aws.group(desired=1)
    return any_fenced_aws


async def change(one: Aws) -> None:
    await one.change(AwsAccess(region=REGION), SERVICE, CHANGE, AutoScalingGroupName="web", DesiredCapacity=3)


async def test_aws_hears_of_no_change_that_nobody_permitted(fenced_aws: Aws, aws: Place) -> None:
    with pytest.raises(product.FencedError):
        await change(fenced_aws)
    assert (aws.desired(), aws.server.calls("SetDesiredCapacity")) == (1, [])


async def test_aws_hears_of_a_change_that_is_permitted(fenced_aws: Aws, aws: Place) -> None:
    with fence.writing(lambda: 5.0):
        await change(fenced_aws)
    assert aws.desired() == 3


async def test_the_sdk_makes_no_second_attempt_once_the_permission_ended(fenced_aws: Aws, aws: Place) -> None:
    """Its attempts go on for many seconds where AWS does not answer."""
    aws.server.fail(operation="SetDesiredCapacity", code="InternalFailure", status=500, times=1)
    left = chain([5.0], repeat(0.0))
    with fence.writing(lambda: next(left)), pytest.raises(product.FencedError):
        await change(fenced_aws)
    assert (aws.desired(), len(aws.server.calls("SetDesiredCapacity"))) == (1, 1)


async def test_while_it_lasts_the_sdk_tries_again(fenced_aws: Aws, aws: Place) -> None:
    aws.server.fail(operation="SetDesiredCapacity", code="InternalFailure", status=500, times=1)
    with fence.writing(lambda: math.inf):
        await change(fenced_aws)
    assert (aws.desired(), len(aws.server.calls("SetDesiredCapacity"))) == (3, 2)


async def test_looking_at_aws_needs_no_permission(fenced_aws: Aws) -> None:
    answer = await fenced_aws.call(AwsAccess(region=REGION), SERVICE, LOOK)
    assert [group["DesiredCapacity"] for group in answer["AutoScalingGroups"]] == [1]


def test_both_refusals_are_like_a_server_that_is_away() -> None:
    """So that whoever meets them goes on as with any write that failed: the next tick decides anew."""
    assert issubclass(kubernetes_api.FencedError, kubernetes_api.UnavailableError)
    assert issubclass(product.FencedError, product.UnavailableError)
