"""A release from its first day to its last, in a cluster of its own: install, upgrade, rollback, uninstall.

The chart before was as charts with a `crds/` folder are: helm made the CRD once and never looked at it again. Fixtures
are the steps, each upon the one before; tests say what must be true after each. What runs are the installed pods.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from manifests import install
from sandbox.cluster import CommandError, Sandbox
from sandbox.controller import CRD, answer, await_kind
from sandbox.exporter import Exporter
from sandbox.processes import free_port
from tests.e2e.conftest import STARTUP_OF_PODS
from tests.e2e.driving import SCRAPES, Scene, eventually, workload
from tests.e2e.kubelet import Kubelet
from tests.e2e.reading import Reader

pytestmark = pytest.mark.e2e

RELEASE = "scaling"
SHOP = "shop"
NEW = "Objective"  # a column of the CRD that the chart before did not have
NEWER = "Newer"  # one that the next will have
SIZE = 5

Object = dict[str, Any]


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Without anything of ours."""
    with Sandbox(startup=STARTUP_OF_PODS) as cluster:
        cluster.kubectl("create", "namespace", SHOP)
        cluster.await_namespace(SHOP)
        failed = request.session.testsfailed
        yield cluster
        cluster.keep_logs = request.session.testsfailed > failed


@pytest.fixture(scope="module")
def scene(cluster: Sandbox) -> Iterator[Scene]:
    with Exporter({}) as exporter:
        prometheus = cluster.prometheus(scrapes=[exporter.scrape(SCRAPES)])
        yield Scene(sandbox=cluster, reader=Reader(cluster), exporter=exporter, prometheus=prometheus, namespace=SHOP)


@pytest.fixture(scope="module")
def port() -> int:
    """On which the controllers serve: each on an address of its own."""
    return free_port()


@pytest.fixture(scope="module")
def helm(cluster: Sandbox, port: int) -> Callable[..., str]:
    """Run helm on the release; a verb, and then its own words."""

    def run(verb: str, *words: str) -> str:
        given = [f"--set=service.port={port}"] if verb in {"install", "upgrade"} else []
        return cluster.helm(verb, RELEASE, *words, "--namespace", RELEASE, *given)

    return run


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart as it was with its CRD in `crds/`, which lacked a column."""
    chart = changed_chart(tmp_path_factory.mktemp("before"), lambda text: text.replace(f"name: {NEW},", "name: Old,"))
    for part in (".helmignore", "templates/crd.yaml", "templates/_crd.tpl", "files"):
        path = chart / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return chart


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The next chart: with another column."""
    return changed_chart(
        tmp_path_factory.mktemp("after"), lambda text: text.replace(f"name: {NEW},", f"name: {NEWER},")
    )


def changed_chart(folder: Path, change: Callable[[str], str]) -> Path:
    """A copy with another CRD."""
    chart = folder / install.CHART.name
    shutil.copytree(install.CHART, chart, symlinks=True)
    file = chart / "crds" / install.CRD.name
    text = change(file.read_text())
    assert text != file.read_text()
    file.write_text(text)
    return chart


@pytest.fixture(scope="module")
def earlier(cluster: Sandbox, scene: Scene, helm: Callable[..., str], before: Path) -> str:
    """Installed from the chart before, and used; the uid of a PredictiveScaler."""
    helm("install", str(before), "--create-namespace")
    await_kind(cluster, CRD)
    scene.sees(10.0 * SIZE)
    scene.apply(workload(replicas=1), scene.scaler(forecast={"model": "none"}))
    return str(scene.get("psc/web")["metadata"]["uid"])


@pytest.fixture(scope="module")
def upgraded(helm: Callable[..., str], earlier: str) -> str:
    """To this chart."""
    helm("upgrade", str(install.CHART), "--take-ownership")
    return earlier


@pytest.fixture(scope="module")
def upgraded_again(helm: Callable[..., str], upgraded: str, after: Path) -> str:
    """To the next, with other values."""
    helm("upgrade", str(after), "--set=keda.enabled=true,replicas=3,updateStrategy.type=Recreate")
    return upgraded


@pytest.fixture(scope="module")
def rolled_back(helm: Callable[..., str], upgraded_again: str) -> str:
    """To this chart."""
    helm("rollback", "2")
    return upgraded_again


@pytest.fixture(scope="module")
def rolled_back_far(helm: Callable[..., str], rolled_back: str) -> str:
    """To the chart before, of whose release the CRD was no part."""
    helm("rollback", "1")
    return rolled_back


@pytest.fixture(scope="module")
def scaled(
    cluster: Sandbox,
    scene: Scene,
    helm: Callable[..., str],
    rolled_back_far: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Kubelet]:
    """This chart once more, and its pods run."""
    helm("upgrade", str(install.CHART))
    kubelet = Kubelet(sandbox=cluster, release=RELEASE, scratch=tmp_path_factory.mktemp("pods"))
    for number, pod in enumerate(kubelet.pods(2)):
        kubelet.start(pod, number)
    try:
        scene.await_replicas(SIZE)
        scene.await_condition("Ready", "True", "Scaling")
        yield kubelet
    finally:
        kubelet.stop()


@pytest.fixture(scope="module")
def uninstalled(helm: Callable[..., str], scaled: Kubelet, earlier: str) -> str:
    helm("uninstall", "--wait")
    scaled.stop()
    return earlier


def columns(cluster: Sandbox) -> set[str]:
    (version,) = cluster.get("crd", CRD)["spec"]["versions"]
    return {column["name"] for column in version["additionalPrinterColumns"]}


def uid(scene: Scene) -> str:
    return str(scene.get("psc/web")["metadata"]["uid"])


def test_the_chart_before_made_the_crd(cluster: Sandbox, earlier: str) -> None:
    assert NEW not in columns(cluster)


def test_an_upgrade_says_how_to_hand_the_crd_over(helm: Callable[..., str], earlier: str) -> None:
    with pytest.raises(CommandError, match="invalid ownership metadata"):
        helm("upgrade", str(install.CHART))


def test_an_upgrade_brings_the_crd_up_to_date(cluster: Sandbox, scene: Scene, upgraded: str) -> None:
    assert NEW in columns(cluster)
    assert uid(scene) == upgraded


def test_the_next_upgrade_needs_nothing_more(cluster: Sandbox, scene: Scene, upgraded_again: str) -> None:
    assert NEWER in columns(cluster)
    assert uid(scene) == upgraded_again
    deployment = cluster.get("deployment", RELEASE, "-n", RELEASE)
    assert deployment["spec"]["replicas"] == 3
    assert [port["name"] for port in cluster.get("service", RELEASE, "-n", RELEASE)["spec"]["ports"]] == [
        "http",
        "keda",
    ]


def test_a_rollback_brings_the_crd_of_that_revision(cluster: Sandbox, scene: Scene, rolled_back: str) -> None:
    found = columns(cluster)
    assert NEW in found
    assert NEWER not in found
    assert uid(scene) == rolled_back
    assert cluster.get("deployment", RELEASE, "-n", RELEASE)["spec"]["replicas"] == 2


def test_a_rollback_to_before_the_crd_was_part_of_it_keeps_it(scene: Scene, rolled_back_far: str) -> None:
    assert uid(scene) == rolled_back_far


def test_the_installed_pods_scale(cluster: Sandbox, scaled: Kubelet) -> None:
    """As the installed account, with the installed arguments and environment; which asks nothing it may not."""
    asked = cluster.audit_events(f"system:serviceaccount:{RELEASE}:{RELEASE}")
    assert asked
    assert [event.permission for event in asked if not event.is_allowed] == []


def test_the_service_leads_to_them_and_prometheus_could_scrape_them(
    cluster: Sandbox, scaled: Kubelet, port: int
) -> None:
    label = ("-l", f"kubernetes.io/service-name={RELEASE}")

    def ports() -> list[tuple[str, int]]:
        slices = cluster.get("endpointslices", "-n", RELEASE, *label)["items"]
        return [(one["name"], one["port"]) for found in slices for one in found["ports"] or ()]

    eventually(ports, [("http", port)].__eq__)
    eventually(lambda: answer(f"127.0.0.2:{port}", "/metrics")[1], lambda text: "predictive_scaler_" in text)


def test_helm_test_passes(cluster: Sandbox, helm: Callable[..., str], scaled: Kubelet) -> None:
    """helm makes the pod and waits for its end; its command runs here."""
    with ThreadPoolExecutor(1) as pool:
        verdict = pool.submit(helm, "test")
        done = scaled.run_hook(await_hook(cluster, pool_is_done=verdict.done), {f"{RELEASE}.{RELEASE}": "127.0.0.2"})
        assert done.stdout.splitlines()[1:] == ["ok    scalers: 1 in all namespaces, 1 of them Ready", "It works."]
        assert "Phase:          Succeeded" in verdict.result()


def test_helm_test_fails_where_nothing_serves(cluster: Sandbox, helm: Callable[..., str], scaled: Kubelet) -> None:
    with ThreadPoolExecutor(1) as pool:
        verdict = pool.submit(helm, "test")
        pod = await_hook(cluster, pool_is_done=verdict.done)
        pod["spec"]["containers"][0]["args"].append("--patience=0")
        done = scaled.run_hook(pod, {f"{RELEASE}.{RELEASE}": "127.0.0.9"})
        assert "FAIL  controller: http://127.0.0.9" in done.stdout
        with pytest.raises(CommandError, match="failed"):
            verdict.result()


def await_hook(cluster: Sandbox, pool_is_done: Callable[[], bool]) -> Object:
    """The hook's pod, once helm has made it anew and it runs."""

    def running() -> list[Object]:
        assert not pool_is_done(), "helm test ended before its pod did"
        pods = cluster.get("pods", "-n", RELEASE, "-l", "app.kubernetes.io/name=predictive-scaler-test")["items"]
        return [
            pod for pod in pods if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]

    return eventually(running)[0]


def test_an_uninstall_leaves_the_scalers_and_the_size(cluster: Sandbox, scene: Scene, uninstalled: str) -> None:
    assert uid(scene) == uninstalled
    assert scene.replicas() == SIZE
    kinds = "deployment,service,serviceaccount,role,rolebinding,pdb"
    eventually(
        lambda: cluster.kubectl("get", kinds, "-n", RELEASE, "-o", "name").split(), ["serviceaccount/default"].__eq__
    )
    assert RELEASE not in cluster.kubectl("get", "clusterrole,clusterrolebinding", "-o", "name")


def test_the_same_release_takes_the_crd_up_again_and_serves_one_namespace_alone(
    cluster: Sandbox, scene: Scene, helm: Callable[..., str], uninstalled: str, tmp_path: Path
) -> None:
    helm("install", str(install.CHART), f"--set=watchNamespaces={{{SHOP}}},replicas=1")
    assert RELEASE not in cluster.kubectl("get", "clusterrole,clusterrolebinding", "-o", "name")
    kubelet = Kubelet(sandbox=cluster, release=RELEASE, scratch=tmp_path)
    began = len(cluster.audit_events(f"system:serviceaccount:{RELEASE}:{RELEASE}"))
    kubelet.start(kubelet.pods(1)[0])
    try:
        scene.sees(10.0 * (SIZE + 2))
        scene.await_replicas(SIZE + 2)
    finally:
        kubelet.stop()
    asked = cluster.audit_events(f"system:serviceaccount:{RELEASE}:{RELEASE}")[began:]
    assert [event.permission for event in asked if not event.is_allowed] == []
    assert uid(scene) == uninstalled


@pytest.mark.usefixtures("uninstalled")
def test_whoever_wants_it_loses_the_crd_with_the_release(
    cluster: Sandbox, scene: Scene, helm: Callable[..., str]
) -> None:
    helm("upgrade", str(install.CHART), "--install", "--set=crds.keep=false")
    helm("uninstall", "--wait")
    eventually(lambda: cluster.kubectl("get", "crd", CRD, "--ignore-not-found"), lambda found: not found)
    assert scene.replicas() >= SIZE
