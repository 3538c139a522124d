"""Alone or among replicas, as the settings say; and how long an end waits for ticks."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from controller import membership
from controller.membership import Membership, drained, joined
from controller.metrics import Metrics
from controller.settings import Settings
from controller.shards import Alone, Shards
from tests.builders import NOW, scaler
from tests.servers.kubernetes import FakeApiServer
from tests.waiting import PATIENCE

LEASES = "/apis/coordination.k8s.io/v1/namespaces/scaling/leases"


async def _listed() -> bool:
    return True


def _join(settings: Settings, metrics: Metrics | None = None) -> AbstractAsyncContextManager[Membership]:
    return joined(settings, metrics or Metrics(), on_begin=_listed, number="1", clock=lambda: NOW, uptime=lambda: 5.0)


async def test_without_a_namespace_for_leases_it_serves_everything_and_asks_nobody() -> None:
    async with _join(Settings(instance="pod-1", shards=6)) as one:
        assert isinstance(one.serving, Alone)
        assert (one.shards, one.members(), one.holders()) == (1, [one.me], {0: one.me})
        assert one.serving.term(scaler()) is not None
        stop = asyncio.Event()
        stop.set()
        await one.run(stop)


@pytest.mark.parametrize(
    ("settings", "is_told"),
    [(Settings(), False), (Settings(shards=2), True), (Settings(peer_address="10.0.0.7:8080"), True)],
)
async def test_who_looks_like_one_of_several_and_has_no_leases_is_told_of(
    settings: Settings, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with _join(settings) as one:
        assert one.trouble() == ""
    assert ("set LEASE_NAMESPACE" in caplog.text) is is_told


@pytest.mark.usefixtures("kubeconfig")
@pytest.mark.parametrize(
    ("settings", "group"),
    [
        (Settings(lease_namespace="scaling", lease_name="mine", instance="pod-1"), "scaling/mine"),
        (Settings(instance="pod-1"), "no Leases/pod-1"),
    ],
)
async def test_replicas_have_the_name_of_their_leases(settings: Settings, group: str) -> None:
    async with _join(settings) as one:
        assert one.group == group


async def test_alone_it_counts_as_holding_the_only_shard() -> None:
    metrics = Metrics()
    async with _join(Settings(), metrics):
        assert metrics.registry.get_sample_value("predictive_scaler_shards_held") == 1.0


@pytest.mark.usefixtures("kubeconfig")
async def test_with_one_it_serves_nothing_until_it_holds_a_shard(server: FakeApiServer) -> None:
    server.lists[LEASES] = []
    settings = Settings(lease_namespace="scaling", instance="pod-1", peer_address="10.0.0.7:8080", shards=6)
    metrics = Metrics()
    async with _join(settings, metrics) as one:
        assert isinstance(one.serving, Shards)
        assert (one.serving.term(scaler()), one.shards) == (None, 6)
        assert (one.me.instance, one.me.identity, one.me.address) == ("pod-1", "pod-1_1", "10.0.0.7:8080")
        assert metrics.registry.get_sample_value("predictive_scaler_shards_held") == 0.0


async def test_unnamed_it_is_called_as_its_host() -> None:
    async with _join(Settings()) as one:
        assert one.me.instance


@pytest.mark.parametrize("patience", [0.01, 60.0], ids=["what-hangs", "what-ends"])
async def test_an_end_waits_for_ticks_and_not_for_ever(monkeypatch: pytest.MonkeyPatch, patience: float) -> None:
    monkeypatch.setattr(membership, "DRAIN_SECONDS", patience)
    stop, done, work = asyncio.Event(), asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(drained(work.wait(), stop, done))
    await asyncio.sleep(0)
    assert not done.is_set()
    stop.set()
    if patience > 1:
        work.set()
    async with asyncio.timeout(PATIENCE):
        await done.wait()
    work.set()
    await running
