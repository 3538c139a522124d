"""Do status and events reach the right object, and no other that took its name?"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from controller.kubernetes_api import KubernetesApi
from controller.ports import StatusError
from controller.registry import STATUS_MANAGER
from controller.status_writer import MANAGER_LENGTH, KubernetesStatusWriter
from tests.servers.kubernetes import FakeApiServer, status

PATH = "/apis/predictivescaler.dev/v1alpha1/namespaces/web/predictivescalers/api"
EVENTS = "/apis/events.k8s.io/v1/namespaces/web/events"
NOW = datetime(2026, 3, 2, 10, 0, 0, 5, tzinfo=timezone(timedelta(hours=1)))


@pytest.fixture
def writer(api: KubernetesApi, server: FakeApiServer) -> KubernetesStatusWriter:
    server.objects[PATH] = {"metadata": {"uid": "u-1"}, "spec": {}, "status": {"kept": 1, "replaced": {"old": 1}}}
    return KubernetesStatusWriter(api, instance="pod-1", group="scaling/mine")


def written(server: FakeApiServer) -> Any:
    return server.objects[PATH].get("status")


async def test_keys_are_replaced_whole_and_others_stay(writer: KubernetesStatusWriter, server: FakeApiServer) -> None:
    await writer.patch_status("web", "api", "u-1", {"replaced": {"new": 2}, "added": [3]})
    assert written(server) == {"kept": 1, "replaced": {"new": 2}, "added": [3]}


async def test_it_takes_one_request(writer: KubernetesStatusWriter, server: FakeApiServer) -> None:
    await writer.patch_status("web", "api", "u-1", {"added": 1})
    assert [(call.method, call.path) for call in server.calls] == [("PATCH", f"{PATH}/status")]


async def test_it_is_written_in_the_name_of_all_replicas(writer: KubernetesStatusWriter, server: FakeApiServer) -> None:
    await writer.patch_status("web", "api", "u-1", {"added": 1})
    assert server.calls[-1].query == {"fieldManager": "predictive-scaler/scaling/mine"}


def test_a_name_is_cut_to_what_the_api_server_takes(api: KubernetesApi) -> None:
    """A namespace and the name of Leases have 63 characters each at most; the own name is the one that is written."""
    group = KubernetesStatusWriter(api, instance="pod-1", group=f"{'n' * 63}/{'l' * 63}").group
    assert (len(STATUS_MANAGER + group), group[:64]) == (MANAGER_LENGTH, "n" * 63 + "/")


async def test_the_object_as_it_then_is(writer: KubernetesStatusWriter, server: FakeApiServer) -> None:
    found = await writer.patch_status("web", "api", "u-1", {"added": 1})
    assert found["metadata"]["uid"] == "u-1"
    del server.objects[PATH]["status"]
    assert (await writer.patch_status("web", "api", "u-1", {"added": 2}))["status"] == {"added": 2}


@pytest.mark.parametrize("key", ["kept", "never there"])
async def test_none_removes(writer: KubernetesStatusWriter, server: FakeApiServer, key: str) -> None:
    await writer.patch_status("web", "api", "u-1", {key: None})
    assert key not in written(server)


async def test_the_first_status_is_written_too(writer: KubernetesStatusWriter, server: FakeApiServer) -> None:
    del server.objects[PATH]["status"]
    await writer.patch_status("web", "api", "u-1", {"added": 1})
    assert written(server) == {"added": 1}


async def test_an_object_that_took_the_name_is_left_alone(
    writer: KubernetesStatusWriter, server: FakeApiServer
) -> None:
    with pytest.raises(StatusError, match="deleted") as caught:
        await writer.patch_status("web", "api", "u-0", {"kept": 2})
    assert caught.value.gone
    assert written(server) == {"kept": 1, "replaced": {"old": 1}}


async def test_an_object_that_is_gone(writer: KubernetesStatusWriter) -> None:
    with pytest.raises(StatusError, match="web/other was deleted") as caught:
        await writer.patch_status("web", "other", "u-1", {})
    assert caught.value.gone


@pytest.mark.parametrize("code", [403, 409, 422, 500])
async def test_a_refused_status_is_not_gone(writer: KubernetesStatusWriter, server: FakeApiServer, code: int) -> None:
    server.raw["PATCH", f"{PATH}/status"] = lambda: status(code, "its own words")
    with pytest.raises(StatusError, match="its own words") as caught:
        await writer.patch_status("web", "api", "u-1", {"kept": 2})
    assert not caught.value.gone


async def test_an_event_is_whole(writer: KubernetesStatusWriter, server: FakeApiServer) -> None:
    await writer.emit("web", "api", "u-1", type_="Normal", reason="ScaledUp", note="from 2 to 3", now=NOW)
    (call,) = server.of("POST", EVENTS)
    assert call.body == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": "api-", "namespace": "web"},
        "eventTime": "2026-03-02T09:00:00.000005Z",
        "type": "Normal",
        "reason": "ScaledUp",
        "action": "Scale",
        "note": "from 2 to 3",
        "regarding": {
            "apiVersion": "predictivescaler.dev/v1alpha1",
            "kind": "PredictiveScaler",
            "namespace": "web",
            "name": "api",
            "uid": "u-1",
        },
        "reportingController": "predictive-scaler",
        "reportingInstance": "pod-1",
    }


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        pytest.param("x" * 1024, "x" * 1024, id="just fits"),
        pytest.param("x" * 1025, "x" * 1021 + "…", id="one too long"),
        pytest.param("é" * 600, "é" * 510 + "…", id="cut between characters"),
    ],
)
async def test_a_long_note_is_cut(
    writer: KubernetesStatusWriter, server: FakeApiServer, note: str, expected: str
) -> None:
    await writer.emit("web", "api", "u-1", type_="Normal", reason="ScaledUp", note=note, now=NOW)
    assert server.of("POST", EVENTS)[0].body["note"] == expected


async def test_an_event_that_is_refused(writer: KubernetesStatusWriter, server: FakeApiServer) -> None:
    server.raw["POST", EVENTS] = lambda: status(403, "its own words")
    with pytest.raises(StatusError, match="ScaledUp of PredictiveScaler web/api: its own words"):
        await writer.emit("web", "api", "u-1", type_="Normal", reason="ScaledUp", note="", now=NOW)
