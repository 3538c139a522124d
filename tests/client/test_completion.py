"""Does kubectl's shell completion get commands, names, namespaces, options and their values, and never an error?"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from client import completion
from client.commands.listing import MODULES
from tests.builders import body
from tests.client.conftest import SCALER, Cluster

SCALERS = SCALER.rpartition("/")[0]
EVERYWHERE = "/apis/predictivescaler.dev/v1alpha1/predictivescalers"


@pytest.fixture
def shop(cluster: Cluster) -> Cluster:
    cluster.api.lists[SCALERS] = [body("web"), body("worker"), body("api")]
    cluster.api.lists[EVERYWHERE] = [body("web"), body("api")]
    return cluster


async def _completed(*words: str) -> list[str]:
    return await asyncio.to_thread(completion.completed, words)


@pytest.mark.parametrize(
    ("words", "candidates"),
    [
        ([], [*MODULES, ":4"]),
        ([""], [*MODULES, ":4"]),
        (["re"], ["resume", "replay", ":4"]),
        (["nothing", ""], [":4"]),
        (["get", "-n", "shop", ""], ["api", "web", "worker", ":4"]),
        (["get", "-n", "shop", "w"], ["web", "worker", ":4"]),
        (["get", "--namespace=shop", "web", "w"], ["worker", ":4"]),
        (["pause", "--all", "-n", "shop", "a"], ["api", ":4"]),
        (["explain", "-n", "shop", "web", ""], [":4"]),
        (["forecast", "-n", ""], ["shop", ":4"]),
        (["get", "-o", ""], ["json", "name", "table", "wide", "yaml", ":4"]),
        (["pause", "--dry-run", "s"], ["server", ":4"]),
        (["resume", "--mode", "A"], ["Active", ":4"]),
        (["forecast", "--a"], ["--ahead", ":4"]),
        (["doctor", "-f", ""], [":0"]),
        (["get", "--kubeconfig", "a"], [":0"]),
        (["replay", ""], [":0"]),
        (["get", "--every", ""], [":4"]),
        (["get", "--no-such-option", "-n", "shop", "a"], ["api", ":4"]),
    ],
    ids=str,
)
async def test_what_may_come_next(shop: Cluster, words: list[str], candidates: list[str]) -> None:
    assert await _completed(*words) == candidates


@pytest.mark.parametrize("command", list(MODULES))
async def test_every_command_has_its_options(shop: Cluster, command: str) -> None:
    assert "--help" in await _completed(command, "--h")


async def test_who_may_list_nothing_gets_nothing(shop: Cluster) -> None:
    shop.refused |= {SCALERS, EVERYWHERE}
    assert await _completed("get", "-n", "shop", "") == [":4"]
    assert await _completed("get", "-n", "") == [":4"]


async def test_without_a_cluster_there_is_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    assert await _completed("get", "") == [":4"]


def test_one_line_each_for_the_shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["kubectl_complete-predictivescaler", "pa"])
    completion.main()
    assert capsys.readouterr().out == "pause\n:4\n"
