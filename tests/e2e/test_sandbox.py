"""The sandbox is real: pods start when they should, RBAC refuses, the audit log tells, history has no seam.

Nothing survives a killed parent.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sandbox.certificates import Authority
from sandbox.cluster import CommandError, Sandbox
from sandbox.exporter import Exporter, wall_clock
from sandbox.kwok import STARTUP_ANNOTATION
from sandbox.processes import Identity, wait_until
from sandbox.prometheus import READER, Prometheus, Tls
from sandbox.replay import Counter, Replay, write_history
from sandbox.traffic import DAY, MINUTE, Trace
from tests.e2e.driving import eventually

pytestmark = pytest.mark.e2e

SECOND = timedelta(seconds=1)
RATE = 7.0  # requests a second, on the wall
LOADING = (8 * SECOND, 30 * SECOND, 120 * SECOND)
"""So far ahead the seam lies: two seconds are enough for an idle machine."""

LIVE = 10
"""So many scrapes are waited for, however many fail."""


def deployment(namespace: str, *, replicas: int, startup: str) -> dict[str, Any]:
    labels = {"app": "web"}
    template = {
        "metadata": {"labels": labels, "annotations": {STARTUP_ANNOTATION: startup}},
        "spec": {"containers": [{"name": "web", "image": "example.invalid/web"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def ready_after(pod: dict[str, Any]) -> timedelta:
    times = {condition["type"]: condition["lastTransitionTime"] for condition in pod["status"]["conditions"]}
    return datetime.fromisoformat(times["Ready"]) - datetime.fromisoformat(times["PodScheduled"])


def test_pods_become_ready_after_their_startup_time(sandbox: Sandbox, namespace: str) -> None:
    sandbox.apply(deployment(namespace, replicas=2, startup="3s"))
    sandbox.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=200s")
    pods = sandbox.get("pods", "-n", namespace)["items"]
    assert [ready_after(pod) >= timedelta(seconds=3) for pod in pods] == [True, True]


def test_rbac_refuses_what_was_not_granted(sandbox: Sandbox, namespace: str) -> None:
    kubeconfig = sandbox.service_account_kubeconfig(namespace, "default")
    with pytest.raises(CommandError, match='cannot list resource "deployments"'):
        sandbox.kubectl("get", "deployments", kubeconfig=kubeconfig)


def test_the_audit_log_tells_who_asked_for_what(sandbox: Sandbox, namespace: str) -> None:
    kubeconfig = sandbox.service_account_kubeconfig(namespace, "default")
    sandbox.kubectl("auth", "whoami", kubeconfig=kubeconfig)
    events = sandbox.audit_events(user=f"system:serviceaccount:{namespace}:default")
    assert ("authentication.k8s.io", "selfsubjectreviews", "create") in {event.permission for event in events}


def constant(end: datetime, *, days: int) -> Replay:
    """`RATE` requests a second on the wall, until an hour after `end`; a minute of the trace passes in a second."""
    minutes = days * DAY // MINUTE
    trace = Trace(name="constant", start=end - days * DAY, step=MINUTE, counts=np.full(minutes + 60 * 60, RATE))
    return Replay(trace=trace, moment=end, wall=end, factor=60.0)


@pytest.fixture(scope="module")
def loaded(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, datetime]]:
    """Two days of history until the seam, and live scrapes each second from then on: the server, and the seam.

    The history has to be loaded before its end has come. Where that was too much for the machine there is a gap, and
    another one is loaded, with more time.
    """
    folder = tmp_path_factory.mktemp("history")
    for ahead in LOADING:
        seam = wall_clock() + ahead
        replay = constant(seam, days=2)
        file = write_history(folder / "h.om", {Counter(): replay}, until=seam, every=SECOND)
        with Exporter({Counter(): replay}) as exporter:
            server = sandbox.prometheus("seam", history=[file], scrapes=[exporter.scrape(SECOND)])
            if wall_clock() < seam or ahead == LOADING[-1]:
                yield server, seam
                server.stop(grace=0.0)
                return
            server.stop(grace=0.0)


@pytest.fixture(scope="module")
def seam(loaded: tuple[Prometheus, datetime]) -> datetime:
    """Where history ends and live scrapes begin."""
    return loaded[1]


@pytest.fixture(scope="module")
def prometheus(loaded: tuple[Prometheus, datetime]) -> Prometheus:
    """With all of it."""
    return loaded[0]


def values(prometheus: Prometheus, expression: str, start: datetime, end: datetime) -> dict[float, float]:
    """By their times."""
    (series,) = prometheus.query_range(expression, start, end, SECOND)
    return {float(time): float(value) for time, value in series["values"]}


def recorded(prometheus: Prometheus, until: datetime) -> int:
    (series,) = prometheus.query("count_over_time(http_requests_total[1d])", at=until)
    return int(series["value"][1])


def test_all_of_the_history_comes_back(prometheus: Prometheus, seam: datetime) -> None:
    assert recorded(prometheus, seam) == 2 * DAY // MINUTE + 1


def test_history_and_live_samples_are_one_series(prometheus: Prometheus, seam: datetime) -> None:
    time.sleep(max(0.0, (seam + 15 * SECOND - wall_clock()).total_seconds()))
    assert len(prometheus.query("last_over_time(http_requests_total[1h])")) == 1


def test_no_request_is_lost_or_counted_twice_at_the_seam(prometheus: Prometheus, seam: datetime) -> None:
    """A sample counts what had come when it was taken: up to a scrape's second after its time."""
    counted = RATE * (2 * DAY // MINUTE)  # until the seam

    def lateness() -> dict[float, float]:
        (series,) = prometheus.query("http_requests_total[10m]")
        samples = ((float(time) - seam.timestamp(), float(value)) for time, value in series["values"])
        return {after: (value - counted) / RATE - after for after, value in samples}

    found = eventually(lateness, lambda found: sum(after > 0 for after in found) >= LIVE)
    assert min(found) < 0
    assert [late for late in found.values() if not -0.05 <= late <= 1.05] == []


def test_the_rate_is_continuous_over_the_seam(prometheus: Prometheus, seam: datetime) -> None:
    """Where scrapes did not fail, as on a busy machine some do. At the seam itself one may be missing."""
    time.sleep(max(0.0, (seam + 20 * SECOND - wall_clock()).total_seconds()))
    window = (seam - 30 * SECOND, seam + 18 * SECOND)
    counts = values(prometheus, "sum(count_over_time(http_requests_total[20s]))", *window)
    rates = values(prometheus, "sum(rate(http_requests_total[20s]))", *window)
    whole = [rates[time] for time, count in counts.items() if count >= 19]
    assert len(whole) >= 31
    assert whole == pytest.approx([RATE] * len(whole), rel=0.15)


def test_prometheus_comes_back_with_its_address_and_data(prometheus: Prometheus, seam: datetime) -> None:
    url, before = prometheus.url, recorded(prometheus, seam)
    prometheus.stop()
    with pytest.raises(urllib.error.URLError, match="refused"):
        prometheus.query("up")
    prometheus.start()
    assert prometheus.url == url
    assert recorded(prometheus, seam) == before


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return refusal.code


def test_prometheus_can_ask_for_a_login(sandbox: Sandbox) -> None:
    server = sandbox.prometheus("login", login=READER)
    assert (server.query("vector(1)")[0]["value"][1], status_of(f"{server.url}/api/v1/query?query=1")) == ("1", 401)
    server.stop(grace=0.0)


def test_each_prometheus_is_a_new_one(sandbox: Sandbox) -> None:
    first, second = sandbox.prometheus(), sandbox.prometheus()
    assert (first.is_running, second.is_running, first.url != second.url) == (True, True, True)
    for server in (first, second):
        server.stop(grace=0.0)


def test_prometheus_can_speak_tls(sandbox: Sandbox, tmp_path: Path) -> None:
    authority = Authority.create(tmp_path, wall_clock())
    server = sandbox.prometheus("tls", tls=Tls(server=authority.server("prometheus"), trust=authority.bundle))
    assert (server.url[:5], server.query("vector(1)")[0]["value"][1]) == ("https", "1")
    server.stop(grace=0.0)


PARENT = """
import time
from sandbox.cluster import Sandbox
with Sandbox() as sandbox:
    print(sandbox.layout.root, *(process.pid for process in sandbox.processes), flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda number: number.name)
def test_nothing_is_left_when_the_parent_is_killed(number: signal.Signals, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        root, *pids = parent.stdout.readline().split()
        parent.send_signal(number)
        parent.wait(120)
    assert len(pids) == 5
    assert wait_until(lambda: not any(Identity.of(int(pid)) for pid in pids), 60.0)
    assert Path(root).exists() == (number is signal.SIGKILL)  # the next sandbox sweeps what a kill left
