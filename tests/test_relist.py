"""A complete list once in a while, and what it puts right."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from controller import relist as relist_module
from controller.kubernetes_api import ApiError, ForbiddenError, KubernetesApi, Listing
from controller.registry import Registry
from controller.relist import Relist
from tests.builders import NOW, body


@dataclass
class Lists:
    """The API server's lists by path."""

    by_path: dict[str, list[dict[str, Any]]]
    error: ApiError | None = None
    asked: list[str] = field(default_factory=list)
    thrice: asyncio.Event = field(default_factory=asyncio.Event)

    async def list_all(self, path: str) -> Listing:
        self.asked.append(path)
        if len(self.asked) == 3:
            self.thrice.set()
        if self.error is not None:
            raise self.error
        return Listing(items=self.by_path.get(path, []), resource_version="1")


ALL = "/apis/predictivescaler.dev/v1alpha1/predictivescalers"


def _relist(lists: Lists, registry: Registry, *namespaces: str) -> Relist:
    return Relist(api=cast("KubernetesApi", lists), registry=registry, namespaces=namespaces, clock=lambda: NOW)


async def test_a_lost_deletion_is_found() -> None:
    registry = Registry()
    registry.put(body("web"))
    registry.put(body("gone"))
    await _relist(Lists({ALL: [body("web")]}), registry).once()
    assert registry.uids() == {"uid-web"}


async def test_a_failed_list_takes_nothing_away() -> None:
    registry = Registry()
    registry.put(body("web"))
    await _relist(Lists({}, error=ForbiddenError("no")), registry).once()
    assert registry.uids() == {"uid-web"}


@pytest.mark.parametrize(("error", "last"), [(None, NOW), (ForbiddenError("no"), None)], ids=["listed", "refused"])
async def test_the_time_of_the_last_good_list(error: ApiError | None, last: object) -> None:
    relist = _relist(Lists({}, error=error), Registry())
    await relist.once()
    assert relist.last == last


async def test_each_namespace_is_listed_by_itself() -> None:
    lists = Lists({})
    await _relist(lists, Registry(), "a", "b").once()
    root = "/apis/predictivescaler.dev/v1alpha1/namespaces"
    assert lists.asked == [f"{root}/a/predictivescalers", f"{root}/b/predictivescalers"]


async def test_what_one_namespace_misses_is_not_taken_from_another() -> None:
    registry = Registry()
    path = ALL.replace("predictivescalers", "namespaces/{}/predictivescalers")
    await _relist(Lists({path.format("a"): [body("web")], path.format("b"): []}), registry, "a", "b").once()
    assert registry.uids() == {"uid-web"}


@pytest.mark.parametrize(
    ("error", "wait"), [(None, "INTERVAL_SECONDS"), (ForbiddenError("no"), "RETRY_SECONDS")], ids=["good", "failed"]
)
async def test_lists_again_after(monkeypatch: pytest.MonkeyPatch, error: ApiError | None, wait: str) -> None:
    for name in ("INTERVAL_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(relist_module, name, 0.001 if name == wait else 60.0)
    lists, stop = Lists({}, error=error), asyncio.Event()
    running = asyncio.create_task(_relist(lists, Registry()).run(stop))
    async with asyncio.timeout(5):
        await lists.thrice.wait()
        stop.set()
        await running
    assert len(lists.asked) >= 3


async def test_stopping_does_not_wait_for_the_next_list() -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(_relist(Lists({}), Registry()).run(stop))
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(5):
        await running
