"""What a sandbox writes down before anything runs, and what it leaves behind."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from sandbox.audit import POLICY
from sandbox.certificates import Authority
from sandbox.cluster import DIRECTORY_PREFIX, OWNER, remove_directory, sweep
from sandbox.controlplane import Layout, api_server, certificate_kubeconfig, etcd, token_kubeconfig
from sandbox.kwok import STARTUP_ANNOTATION, node, stages
from sandbox.processes import Identity

NOW = datetime(2026, 3, 2, tzinfo=UTC)
DEAD = Identity(pid=1, started=1)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(root=tmp_path / "sandbox")


@pytest.fixture
def authority(layout: Layout) -> Authority:
    return Authority.create(layout.certificates, NOW)


def orphan(parent: Path, owner: str) -> Path:
    directory = parent / f"{DIRECTORY_PREFIX}x"
    directory.mkdir()
    (directory / OWNER).write_text(owner, encoding="utf-8")
    return directory


@pytest.mark.parametrize("startup", [timedelta(milliseconds=250), timedelta(seconds=90)])
def test_the_startup_time_is_the_delay_before_ready(startup: timedelta) -> None:
    delays = {stage["metadata"]["name"]: stage["spec"].get("delay") for stage in yaml.safe_load_all(stages(startup))}
    assert delays["pod-ready"]["durationMilliseconds"] == startup / timedelta(milliseconds=1)


def test_a_pod_can_say_its_own_startup_time() -> None:
    assert f'.metadata.annotations["{STARTUP_ANNOTATION}"]' in stages(timedelta(seconds=1))


def test_nodes_hold_any_workload() -> None:
    assert node("node-0")["status"]["allocatable"]["pods"] == "100k"


def test_every_server_listens_on_loopback_only(layout: Layout, authority: Authority) -> None:
    programs = [etcd(Path("/bin/etcd"), layout, 1, 2), api_server(Path("/bin/kube-apiserver"), layout, authority, 3, 1)]
    flags = dict(flag.split("=", 1) for program in programs for flag in program.argv[1:])
    listening = {flag: value for flag, value in flags.items() if "listen" in flag or "bind-address" in flag}
    assert [flag for flag, value in listening.items() if "127.0.0.1" not in value] == []
    assert len(listening) == 3


def test_the_api_server_authorizes_by_rbac_alone(layout: Layout, authority: Authority) -> None:
    program = api_server(Path("/bin/kube-apiserver"), layout, authority, 3, 1)
    assert "--authorization-mode=RBAC" in program.argv


def test_the_audit_policy_takes_every_request_without_bodies() -> None:
    assert yaml.safe_load(POLICY)["rules"] == [{"level": "Metadata"}]


def test_a_kubeconfig_is_for_its_owner_only(layout: Layout, authority: Authority) -> None:
    path = certificate_kubeconfig(layout, "https://127.0.0.1:1", authority, "admin", "system:masters")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_service_accounts_kubeconfig_has_its_token_and_namespace(layout: Layout, authority: Authority) -> None:
    config = yaml.safe_load(token_kubeconfig(layout, "https://127.0.0.1:1", "ns", "bot", "secret").read_text("utf-8"))
    assert (config["users"][0]["user"], config["contexts"][0]["context"]["namespace"]) == ({"token": "secret"}, "ns")


def test_what_a_killed_owner_left_is_swept(tmp_path: Path) -> None:
    directory = orphan(tmp_path, json.dumps(asdict(DEAD)))
    sweep(tmp_path)
    assert not directory.exists()


@pytest.mark.parametrize(
    "owner", [json.dumps(asdict(Identity.of(os.getpid()) or DEAD)), "", "null", '{"pid": 1}'], ids=range(4)
)
def test_what_is_in_use_or_unclear_is_not_swept(tmp_path: Path, owner: str) -> None:
    directory = orphan(tmp_path, owner)
    sweep(tmp_path)
    assert directory.exists()


@pytest.mark.parametrize(("keep", "left"), [(True, ["logs"]), (False, [])])
def test_only_logs_are_ever_left(layout: Layout, keep: bool, left: list[str]) -> None:
    for name in ("logs", "etcd"):
        (layout.root / name).mkdir(parents=True)
    (layout.root / OWNER).touch()
    remove_directory(layout, keep_logs=keep)
    assert [entry.name for entry in layout.root.glob("*")] == left
