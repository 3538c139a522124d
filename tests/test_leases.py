"""Leases as the API server has them: written on condition, read as they were written, others left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from aiohttp import web

from controller.kubernetes_api import ConflictError, KubernetesApi
from controller.leases import ADDRESS, LABEL, Lease, Leases
from tests.builders import NOW
from tests.servers.kubernetes import FakeApiServer, status

ROOT = "/apis/coordination.k8s.io/v1/namespaces/scaling/leases"
MINE = Lease(
    name="ps-shard-3",
    shard=3,
    holder="pod-1_abc",
    instance="pod-1",
    address="10.0.0.7:8080",
    shards=6,
    seconds=10,
    acquired="2026-03-02T12:00:00.000000Z",
    transitions=2,
)


@pytest.fixture
def leases(api: KubernetesApi) -> Leases:
    return Leases(api, namespace="scaling", prefix="ps", clock=lambda: NOW)


def answer(server: FakeApiServer, method: str, path: str) -> None:
    """Have the API server take what it is sent, at version 8."""

    def taken() -> web.Response:
        body = server.calls[-1].body
        return web.json_response(body | {"metadata": body["metadata"] | {"resourceVersion": "8"}})

    server.raw[method, path] = taken


async def test_a_new_one_is_created_and_a_known_one_replaced(leases: Leases, server: FakeApiServer) -> None:
    answer(server, "POST", ROOT)
    answer(server, "PUT", f"{ROOT}/ps-shard-3")
    made = await leases.write(MINE)
    assert made == replace(MINE, version="8")
    await leases.write(made)
    versions = [call.body["metadata"].get("resourceVersion") for call in server.calls]
    assert [(call.method, version) for call, version in zip(server.calls, versions, strict=True)] == [
        ("POST", None),
        ("PUT", "8"),
    ]


async def test_what_is_written_is_read_again(leases: Leases, server: FakeApiServer) -> None:
    answer(server, "POST", ROOT)
    await leases.write(MINE)
    body = server.calls[-1].body
    body["metadata"]["resourceVersion"] = "8"
    server.lists[ROOT] = [body]
    assert await leases.all() == [replace(MINE, version="8")]
    assert server.calls[-1].query["labelSelector"] == f"{LABEL}=ps"


async def test_the_times_are_for_people(leases: Leases, server: FakeApiServer) -> None:
    answer(server, "POST", ROOT)
    await leases.write(MINE)
    spec = server.calls[-1].body["spec"]
    assert (spec["renewTime"], spec["acquireTime"]) == ("2026-03-02T12:00:00.000000Z", MINE.acquired)


async def test_one_in_nobodys_hands(leases: Leases, server: FakeApiServer) -> None:
    """The API server refuses an empty holder, and no duration."""
    answer(server, "PUT", f"{ROOT}/ps-shard-3")
    await leases.write(replace(MINE, version="7").released())
    body = server.calls[-1].body
    assert (body["spec"]["holderIdentity"], body["spec"]["leaseDurationSeconds"]) == (None, 1)
    assert ADDRESS not in body["metadata"]["annotations"]


async def test_somebody_else_was_first(leases: Leases, server: FakeApiServer) -> None:
    server.raw["PUT", f"{ROOT}/ps-shard-3"] = lambda: status(409, "the object has been modified")
    with pytest.raises(ConflictError):
        await leases.write(replace(MINE, version="7"))


async def test_one_is_deleted_only_as_it_was_seen(leases: Leases, server: FakeApiServer) -> None:
    server.raw["DELETE", f"{ROOT}/ps-shard-3"] = lambda: web.json_response({})
    await leases.delete(replace(MINE, version="7"))
    assert server.calls[-1].body == {"preconditions": {"resourceVersion": "7"}}


def body(name: str, **spec: object) -> dict[str, object]:
    return {"metadata": {"name": name, "resourceVersion": "1"}, "spec": spec}


async def test_what_others_wrote(leases: Leases, server: FakeApiServer) -> None:
    """By an earlier version, by hand, or with our label and a name of their own."""
    server.lists[ROOT] = [
        body("ps-shard-0"),
        body("ps-shard-1", holderIdentity="somebody"),
        body("ps-member-pod-1", holderIdentity="pod-1_x"),
        body("ps-shard-x"),
        body("ps"),
        body("other-shard-0"),
    ]
    found = [(one.name, one.shard, one.holder, one.shards) for one in await leases.all()]
    assert found == [
        ("ps-shard-0", 0, "", 0),
        ("ps-shard-1", 1, "somebody", 0),
        ("ps-member-pod-1", None, "pod-1_x", 0),
    ]


@pytest.mark.parametrize(
    ("instance", "name"),
    [
        ("pod-1", "ps-member-pod-1"),
        ("My_Host.local", "ps-member-my-host-local"),
        ("a" * 300, "ps-member-" + "a" * 243),
        ("tür-", "ps-member-t-r"),
    ],
)
def test_a_members_lease_has_a_name_that_kubernetes_takes(leases: Leases, instance: str, name: str) -> None:
    assert leases.member(instance) == name


def test_taking_counts_the_changes_of_hands() -> None:
    mine = replace(MINE, name="ps-member-pod-1", shard=None)
    fresh = Lease(name="ps-shard-3", shard=3, holder="").held_by(mine, "now")
    again = Lease(name="ps-shard-3", shard=3, holder="gone", transitions=4, version="7").held_by(mine, "now")
    assert (fresh.transitions, again.transitions, again.version, again.holder) == (0, 5, "7", MINE.holder)
