"""The audit log is read as requests: whose, for what, with which outcome."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.audit import AuditEvent, read_events

CONTROLLER = "system:serviceaccount:ns:controller"
DEPLOYMENT = {"apiGroup": "apps", "resource": "deployments", "namespace": "ns", "name": "web"}


def entry(
    verb: str = "get", *, user: str = CONTROLLER, code: int = 200, stage: str = "ResponseComplete", **more: Any
) -> str:
    content = {
        "stage": stage,
        "requestURI": "/apis/apps/v1/namespaces/ns/deployments/web",
        "verb": verb,
        "user": {"username": user},
        "objectRef": DEPLOYMENT,
        "responseStatus": {"code": code},
        "requestReceivedTimestamp": "2026-03-02T09:30:00.123456Z",
        **more,
    }
    return json.dumps(content) + "\n"


def read(tmp_path: Path, *lines: str, user: str | None = None) -> list[AuditEvent]:
    log = tmp_path / "audit.jsonl"
    log.write_text("".join(lines), encoding="utf-8")
    return list(read_events(log, user))


@pytest.mark.parametrize(
    ("reference", "permission"),
    [
        (DEPLOYMENT, ("apps", "deployments", "get")),
        ({**DEPLOYMENT, "subresource": "scale"}, ("apps", "deployments/scale", "get")),
        ({"resource": "pods"}, ("", "pods", "get")),
        ({}, ("", "", "get")),
    ],
    ids=["resource", "subresource", "core group", "no resource"],
)
def test_a_request_names_the_permission_it_needs(
    tmp_path: Path, reference: dict[str, str], permission: tuple[str, str, str]
) -> None:
    assert [event.permission for event in read(tmp_path, entry(objectRef=reference))] == [permission]


@pytest.mark.parametrize(("code", "allowed"), [(200, True), (404, True), (409, True), (401, False), (403, False)])
def test_only_a_refusal_is_not_allowed(tmp_path: Path, code: int, allowed: bool) -> None:
    assert [event.is_allowed for event in read(tmp_path, entry(code=code))] == [allowed]


def test_one_users_requests_are_picked_out(tmp_path: Path) -> None:
    lines = [entry("list"), entry("create", user=f"{CONTROLLER}-2"), entry("delete", user="admin")]
    assert [event.verb for event in read(tmp_path, *lines, user=CONTROLLER)] == ["list"]


def test_an_impersonated_request_is_the_impersonated_users(tmp_path: Path) -> None:
    line = entry(user="admin", impersonatedUser={"username": CONTROLLER})
    assert [event.user for event in read(tmp_path, line)] == [CONTROLLER]


def test_a_watch_counts_once(tmp_path: Path) -> None:
    lines = [entry("watch", stage="ResponseStarted"), entry("watch", stage="ResponseComplete")]
    assert len(read(tmp_path, *lines)) == 1


def test_a_refused_watch_counts_though_it_never_started(tmp_path: Path) -> None:
    assert [event.code for event in read(tmp_path, entry("watch", code=403))] == [403]


def test_a_line_that_is_still_being_written_waits(tmp_path: Path) -> None:
    assert len(read(tmp_path, entry(), entry()[:40])) == 1
