"""Tokens, passwords and certificates come from Secrets, open a real Prometheus, and are never told to anybody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from sandbox.cluster import Sandbox
from sandbox.controller import Controller
from sandbox.exporter import Exporter
from sandbox.prometheus import READER, Prometheus, Tls
from tests.e2e.driving import SCRAPES, Scene, workload
from tests.e2e.listener import Listener

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("controller")]

WRONG = "a-password-that-is-not-the-one"
TOKEN = "a-token-that-nobody-may-see"


@pytest.fixture(scope="module")
def guarded(sandbox: Sandbox, exporter: Exporter) -> Iterator[Prometheus]:
    """A Prometheus behind TLS and a password."""
    tls = Tls(server=sandbox.authority.server("prometheus"), trust=sandbox.authority.bundle)
    server = sandbox.prometheus("prometheus-guarded", scrapes=[exporter.scrape(SCRAPES)], login=READER, tls=tls)
    yield server
    server.stop(grace=0)


@pytest.fixture
def vault(scene: Scene, guarded: Prometheus) -> Scene:
    return replace(scene, prometheus=guarded)


def secret(vault: Scene, **values: str) -> dict[str, Any]:
    authority = {"ca": vault.sandbox.authority.bundle.read_text()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "prometheus"}, "stringData": values | authority}


def key(name: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": "prometheus", "key": name}}


BASIC = {"auth": {"basic": {"username": key("username"), "password": key("password")}}}
TRUST = {"tls": {"ca": key("ca")}}


def test_the_right_password_over_a_trusted_connection_opens(vault: Scene) -> None:
    vault.sees(45)
    vault.apply(secret(vault, username=READER.user, password=READER.password), workload())
    vault.apply(vault.scaler(metric={"prometheus": BASIC | TRUST}))
    vault.await_replicas(5)
    vault.await_condition("Ready", "True", "Scaling")


def test_a_wrong_password_is_called_wrong_and_not_told(vault: Scene, controller: Controller) -> None:
    vault.apply(secret(vault, username=READER.user, password=WRONG), workload(replicas=3))
    vault.apply(vault.scaler(metric={"prometheus": BASIC | TRUST}))
    message = vault.await_condition("MetricsAvailable", "False", "MetricUnauthorized")
    assert "spec.metric.prometheus.auth" in message
    told = [vault.kubectl("get", "psc,events", "-o", "yaml"), controller.log.read_text(), controller.get("/metrics")[1]]
    assert [WRONG in text for text in told] == [False, False, False]


def test_a_server_of_an_unknown_authority_is_not_trusted(vault: Scene) -> None:
    vault.apply(secret(vault, username=READER.user, password=READER.password), workload(replicas=3))
    vault.apply(vault.scaler(metric={"prometheus": BASIC}))
    assert "tls.ca" in vault.await_condition("MetricsAvailable", "False", "MetricUntrusted")


@pytest.mark.parametrize("there", [{"username": READER.user}, None], ids=["no-key", "no-secret"])
def test_a_secret_that_lacks_something_is_named(vault: Scene, there: dict[str, str] | None) -> None:
    vault.apply(*([] if there is None else [secret(vault, **there)]), workload())
    vault.apply(vault.scaler(metric={"prometheus": BASIC | TRUST}))
    assert f"{vault.namespace}/prometheus" in vault.await_condition("MetricsAvailable", "False", "MetricSecretInvalid")


def test_a_token_from_a_secret_is_borne(scene: Scene) -> None:
    scene.sees(45)
    scene.apply(secret(scene, token=TOKEN), workload())
    with Listener(scene.prometheus, token=TOKEN) as listener:
        bearer = {"address": listener.url, "auth": {"bearer": key("token")}}
        scene.apply(scene.scaler(metric={"prometheus": bearer}))
        scene.await_replicas(5)
