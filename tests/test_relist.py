"""A complete list once in a while, what it puts right, and what it shows of the watch."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from controller import relist as relist_module
from controller.kubernetes_api import ApiError, ForbiddenError, KubernetesApi, Listing
from controller.registry import Registry
from controller.relist import SILENT_LISTS, Hearing, Relist
from tests.builders import NOW, body
from tests.waiting import PATIENCE


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
    async with asyncio.timeout(PATIENCE):
        await lists.thrice.wait()
        stop.set()
        await running
    assert len(lists.asked) >= 3


async def test_stopping_does_not_wait_for_the_next_list() -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(_relist(Lists({}), Registry()).run(stop))
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(PATIENCE):
        await running


def _versions(**by_name: int) -> list[dict[str, Any]]:
    """A list: the objects' versions by their names, which are those of their namespaces as well."""
    made = [body(name) for name in by_name]
    for one in made:
        one["metadata"] |= {
            "namespace": one["metadata"]["name"],
            "resourceVersion": str(by_name[one["metadata"]["name"]]),
        }
    return made


def _changing(lists: int, *names: str, first: int = 0) -> list[list[dict[str, Any]]]:
    """Lists in which these objects have another version each time."""
    return [_versions(**dict.fromkeys(names, first + number)) for number in range(lists)]


class TestHearing:
    def test_one_that_tells_each_change_is_well(self) -> None:
        hearing = Hearing(())
        for found in _changing(3 * SILENT_LISTS, "a"):
            hearing.heard("MODIFIED", found[0])
            hearing.listed(found)
        assert hearing.silent == []

    @pytest.mark.parametrize(("changes", "silent"), [(SILENT_LISTS - 1, []), (SILENT_LISTS, [""])])
    def test_one_is_silent_after_so_many_lists_with_changes(self, changes: int, silent: list[str]) -> None:
        hearing = Hearing(())
        for found in _changing(1 + changes, "a"):
            hearing.listed(found)
        assert hearing.silent == silent

    def test_where_nothing_changes_there_is_nothing_to_tell(self) -> None:
        hearing = Hearing(())
        for _ in range(3 * SILENT_LISTS):
            hearing.listed(_versions(a=1))
        assert hearing.silent == []

    @pytest.mark.parametrize("also", [True, False], ids=["came", "went"])
    def test_that_something_comes_or_goes_is_a_change(self, *, also: bool) -> None:
        hearing = Hearing(())
        hearing.listed(_versions(a=1) if also else _versions(a=1, b=1, c=1, d=1))
        for number in range(SILENT_LISTS):
            there = "abcd"[: 2 + number] if also else "abcd"[: 3 - number]
            hearing.listed(_versions(**dict.fromkeys(there, 1)))
        assert hearing.silent == [""]

    def test_the_list_with_which_a_watch_begins_proves_nothing(self) -> None:
        """One that fails as soon as it has begun lists again and again."""
        hearing = Hearing(())
        for found in _changing(1 + SILENT_LISTS, "a"):
            hearing.heard(None, found[0])
            hearing.listed(found)
        assert hearing.silent == [""]

    @pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "DELETED"])
    def test_any_event_ends_the_silence(self, kind: str) -> None:
        hearing = Hearing(())
        for found in _changing(1 + SILENT_LISTS, "a"):
            hearing.listed(found)
        hearing.heard(kind, found[0])
        assert hearing.silent == []

    def test_a_change_now_and_then_that_fell_between_two_watches_is_no_silence(self) -> None:
        hearing = Hearing(())
        for number, found in enumerate(_changing(6 * SILENT_LISTS, "a")):
            if number % SILENT_LISTS == 0:
                hearing.heard("MODIFIED", found[0])
            hearing.listed(found)
        assert hearing.silent == []

    def test_of_several_namespaces_each_has_a_watch_of_its_own(self) -> None:
        hearing = Hearing(("a", "b"))
        for found in _changing(1 + SILENT_LISTS, "a", "b"):
            hearing.heard("MODIFIED", found[0])
            hearing.listed(found)
        assert hearing.silent == ["b"]

    def test_one_watch_of_all_namespaces_is_heard_by_any(self) -> None:
        hearing = Hearing(())
        for found in _changing(1 + SILENT_LISTS, "a", "b"):
            hearing.heard("MODIFIED", found[0])
            hearing.listed(found)
        assert hearing.silent == []


async def test_silence_and_its_end_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="controller.relist")
    lists = Lists({})
    relist = _relist(lists, Registry())
    for found in _changing(3 + SILENT_LISTS, "a"):
        lists.by_path[ALL] = found
        await relist.once()
    assert relist.silent == [""]
    for _ in range(2):
        relist.heard("MODIFIED", found[0])
    assert relist.silent == []
    said = [(one.levelname, one.__dict__["namespaces"]) for one in caplog.records]
    assert said == [("WARNING", ["all"]), ("INFO", ["all"])]


async def test_a_list_that_fails_shows_nothing_of_the_watch() -> None:
    lists = Lists({ALL: _versions(a=0)})
    relist = _relist(lists, Registry())
    await relist.once()
    lists.error = ForbiddenError("no")
    for _ in range(3 * SILENT_LISTS):
        await relist.once()
    assert relist.silent == []
