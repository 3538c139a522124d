"""One sandbox for all e2e tests of a run, and a namespace of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from sandbox import binaries
from sandbox.cluster import Sandbox
from sandbox.controller import Controller, install
from sandbox.exporter import Exporter
from sandbox.prometheus import Prometheus
from tests.aws.fixtures import Place
from tests.e2e.clouding import Cloud
from tests.e2e.driving import SCRAPES, Scene
from tests.e2e.models import write_constant
from tests.e2e.reading import Reader

STARTUP_OF_PODS = timedelta(seconds=1)
LIMIT_SECONDS = 600  # of a test that names none: it may start a cluster and a controller, on a busy machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What stands still ends; what is slow does not."""
    for item in items:
        if item.get_closest_marker("e2e") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LIMIT_SECONDS))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing before the first test, because no test's time limit allows for it."""
    is_wanted = any(item.get_closest_marker("e2e") for item in session.items)
    if is_wanted and not session.config.option.collectonly:
        binaries.find_all()


@pytest.fixture(scope="session")
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(startup=STARTUP_OF_PODS) as cluster:
        yield cluster
        cluster.keep_logs = request.session.testsfailed > 0
        if cluster.keep_logs:
            binaries.say(f"the logs of the sandbox stay in {cluster.logs}")


@pytest.fixture
def namespace(sandbox: Sandbox) -> Iterator[str]:
    name = f"e2e-{uuid4().hex[:10]}"
    sandbox.kubectl("create", "namespace", name)
    sandbox.await_namespace(name)
    yield name
    sandbox.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def exporter() -> Iterator[Exporter]:
    with Exporter({}) as exporter:
        yield exporter


@pytest.fixture(scope="session")
def prometheus(sandbox: Sandbox, exporter: Exporter) -> Prometheus:
    return sandbox.prometheus(scrapes=[exporter.scrape(SCRAPES)])


@pytest.fixture(scope="session")
def account(sandbox: Sandbox) -> Path:
    """A kubeconfig of the chart's ServiceAccount, with the chart's roles."""
    return install(sandbox)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    write_constant(directory / "nothing.onnx", 0.0, step_seconds=3600)
    write_constant(directory / "always-95.onnx", 95.0, step_seconds=1)
    write_constant(directory / "minutes-of-95.onnx", 95.0, step_seconds=60)
    return directory


@pytest.fixture(scope="module")
def only_controller(
    sandbox: Sandbox, account: Path, models: Path, request: pytest.FixtureRequest
) -> Iterator[Controller]:
    """It serves every namespace: there is never more than one, and none while other modules play its part.

    The endpoint on loopback is AWS for it where the module says `IS_ON_AWS`.
    """
    log = sandbox.logs / f"controller-{request.path.stem}.log"
    is_on_aws = getattr(request.module, "IS_ON_AWS", False)
    environment = request.getfixturevalue("aws_server").environment() if is_on_aws else {}
    with Controller(kubeconfig=account, models=models, log=log, environment=environment) as controller:
        yield controller


@pytest.fixture
def controller(only_controller: Controller) -> Controller:
    """A running controller, which the test may kill: the next one gets another."""
    if not only_controller.is_running:
        only_controller.start()
    return only_controller


@pytest.fixture(scope="session")
def reader(sandbox: Sandbox) -> Reader:
    return Reader(sandbox)


@pytest.fixture
def cloud(scene: Scene, aws: Place, controller: Controller) -> Cloud:
    """For modules that say `IS_ON_AWS`."""
    assert controller.is_running
    return Cloud(scene=scene, place=aws)


@pytest.fixture
def scene(
    sandbox: Sandbox, reader: Reader, exporter: Exporter, prometheus: Prometheus, namespace: str
) -> Iterator[Scene]:
    """Its scalers end with the test: a namespace is emptied half a minute later, and till then they would go on."""
    yield Scene(sandbox=sandbox, reader=reader, exporter=exporter, prometheus=prometheus, namespace=namespace)
    sandbox.kubectl("delete", "psc", "--all", "-n", namespace, "--wait=false")
