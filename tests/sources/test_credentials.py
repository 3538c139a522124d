"""Does the right secret reach the server, and only the server?"""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.core.series import Observation
from controller.ports import MetricError, MetricReason, SecretError
from controller.sources.credentials import Access, CredentialStore
from controller.sources.prometheus import PrometheusSource
from controller.spec import BasicAuth, SecretKey, Tls
from tests.servers.certificates import Authority, Pair
from tests.servers.loopback import serve
from tests.servers.prometheus import FakePrometheus
from tests.sources.asking import NOW, FakeSecrets, observed, refused, request

TOKEN = SecretKey(name="prometheus", key="token")
BASIC = BasicAuth(username=SecretKey(name="prometheus", key="user"), password=SecretKey(name="prometheus", key="pass"))


@pytest.fixture
def secrets() -> FakeSecrets:
    return FakeSecrets(
        data={("web", "prometheus"): {"token": b"t0ken\n", "user": b"me", "pass": b"p:ss w\xc3\xb6rd\n"}}
    )


def sent(prometheus: FakePrometheus) -> set[str | None]:
    return {asked.authorization for asked in prometheus.asked}


async def test_a_bearer_token_is_sent_without_its_newline(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    await source.observe([request(bearer=TOKEN)], NOW)
    assert sent(prometheus) == {"Bearer t0ken"}


async def test_a_user_and_password_are_sent(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    await source.observe([request(basic=BASIC)], NOW)
    assert sent(prometheus) == {f"Basic {base64.b64encode('me:p:ss wörd'.encode()).decode()}"}


async def test_nothing_is_sent_unless_asked_for(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    await source.observe([request()], NOW)
    assert sent(prometheus) == {None}


async def test_secrets_of_one_name_in_two_namespaces_are_two(
    source: PrometheusSource, prometheus: FakePrometheus, secrets: FakeSecrets
) -> None:
    secrets.data["shop", "prometheus"] = {"token": b"other"}
    await source.observe([request(bearer=TOKEN), request(bearer=TOKEN, namespace="shop")], NOW)
    assert sent(prometheus) == {"Bearer t0ken", "Bearer other"}


@pytest.mark.parametrize(
    ("key", "content"),
    [
        pytest.param("absent", b"", id="no such key"),
        pytest.param("token", b"", id="empty"),
        pytest.param("token", b"one\ntwo", id="two lines"),
        pytest.param("token", b"one two", id="a blank"),
        pytest.param("token", b"\xff\xfe", id="not text"),
    ],
)
async def test_an_unusable_token_names_secret_and_key_and_not_its_value(
    source: PrometheusSource, secrets: FakeSecrets, key: str, content: bytes
) -> None:
    secrets.data["web", "prometheus"] = {"token": content}
    error = await refused(source, request(bearer=SecretKey(name="prometheus", key=key)))
    assert error.reason == MetricReason.SECRET_INVALID
    assert f'key "{key}" of Secret web/prometheus' in str(error)
    assert "one" not in str(error)


async def test_a_missing_secret_is_named(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    error = await refused(source, request(bearer=SecretKey(name="nowhere", key="token")))
    assert error.reason == MetricReason.SECRET_INVALID
    assert "Secret web/nowhere" in str(error)
    assert prometheus.asked == []


@pytest.mark.parametrize(("seconds", "reads"), [(59, 1), (60, 2)])
async def test_a_secret_is_read_once_a_minute(
    source: PrometheusSource, secrets: FakeSecrets, seconds: int, reads: int
) -> None:
    for now in (NOW, NOW + timedelta(seconds=seconds)):
        await source.observe([request(bearer=TOKEN), request("b", bearer=TOKEN), request(basic=BASIC)], now)
    assert len(secrets.reads) == reads


async def test_a_changed_secret_is_used(
    source: PrometheusSource, prometheus: FakePrometheus, secrets: FakeSecrets
) -> None:
    await source.observe([request(bearer=TOKEN)], NOW)
    secrets.data["web", "prometheus"] = {"token": b"new"}
    await source.observe([request(bearer=TOKEN)], NOW + timedelta(minutes=1))
    assert prometheus.asked[-1].authorization == "Bearer new"


@pytest.mark.parametrize(("is_transient", "is_kept"), [(True, True), (False, False)])
async def test_old_values_outlive_a_failure_that_passes(
    secrets: FakeSecrets, is_transient: bool, is_kept: bool
) -> None:
    store, access = CredentialStore(secrets), Access.of(request(bearer=TOKEN))
    first = await store.resolve(access, NOW)
    secrets.error = SecretError("no", is_transient=is_transient)
    with nullcontext() if is_kept else pytest.raises(MetricError):
        assert await store.resolve(access, NOW + timedelta(minutes=1)) is first


async def test_what_is_not_used_is_forgotten(secrets: FakeSecrets) -> None:
    store = CredentialStore(secrets)
    await store.resolve(Access.of(request(bearer=TOKEN)), NOW)
    store.forget(NOW + timedelta(minutes=2))
    assert (store._read, store._built, store._reading) == ({}, {}, {})


async def test_credentials_do_not_show_what_they_hold(secrets: FakeSecrets) -> None:
    store, access = CredentialStore(secrets), Access.of(request(bearer=TOKEN))
    resolved = await store.resolve(access, NOW)
    assert "t0ken" not in f"{resolved}{store._read}{store._built}"


# TLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """An authority, and what it signed: a server here, a server of another name, a client."""

    authority: Authority
    here: Pair
    elsewhere: Pair
    client: Pair


@pytest.fixture(scope="module")
def keys() -> Keys:
    authority = Authority(datetime.now(UTC))
    return Keys(
        authority=authority,
        here=authority.pair("127.0.0.1"),
        elsewhere=authority.pair("metrics.example"),
        client=authority.pair("client"),
    )


@pytest.fixture
def pem(secrets: FakeSecrets, keys: Keys) -> FakeSecrets:
    secrets.data["web", "tls"] = {
        "ca": keys.authority.certificate,
        "crt": keys.client.certificate,
        "key": keys.client.key,
        "other": keys.here.key,
        "junk": b"junk",
    }
    return secrets


@pytest.fixture
async def secure(prometheus: FakePrometheus, keys: Keys, tmp_path: Path) -> AsyncIterator[str]:
    prometheus.series["load()"] = [lambda _: 1.0]
    async with serve(prometheus.handle, keys.authority.server(keys.here, tmp_path)) as address:
        yield address


def mutual(prometheus: FakePrometheus, keys: Keys, folder: Path, pair: Pair) -> AbstractAsyncContextManager[str]:
    prometheus.series["load()"] = [lambda _: 1.0]
    return serve(prometheus.handle, keys.authority.server(pair, folder, asks_client=True))


def key(name: str) -> SecretKey:
    return SecretKey(name="tls", key=name)


@pytest.mark.parametrize(
    "tls",
    [pytest.param(Tls(ca=key("ca")), id="authority"), pytest.param(Tls(insecure_skip_verify=True), id="insecure")],
)
async def test_a_server_that_is_trusted(source: PrometheusSource, secure: str, pem: FakeSecrets, tls: Tls) -> None:
    assert (await observed(source, request(address=secure, tls=tls))).latest


@pytest.mark.parametrize(
    "tls",
    [pytest.param(None, id="unknown authority"), pytest.param(Tls(ca=key("ca"), server_name="else"), id="other name")],
)
async def test_a_server_that_is_not_trusted(
    source: PrometheusSource, secure: str, pem: FakeSecrets, tls: Tls | None
) -> None:
    error = await refused(source, request(address=secure, tls=tls))
    assert error.reason == MetricReason.UNTRUSTED
    assert "tls.ca" in str(error)


async def test_a_server_and_its_client_know_each_other(
    source: PrometheusSource, prometheus: FakePrometheus, keys: Keys, pem: FakeSecrets, tmp_path: Path
) -> None:
    tls = Tls(ca=key("ca"), certificate=key("crt"), key=key("key"), server_name="metrics.example")
    async with mutual(prometheus, keys, tmp_path, keys.elsewhere) as address:
        answer = await observed(source, request(address=address, tls=tls))
    assert isinstance(answer, Observation)
    assert answer.latest


@pytest.mark.parametrize(
    ("tls", "named"),
    [
        pytest.param(Tls(ca=key("junk")), "junk", id="authority is not PEM"),
        pytest.param(Tls(certificate=key("crt"), key=key("other")), "crt", id="key of another certificate"),
        pytest.param(Tls(certificate=key("junk"), key=key("key")), "junk", id="certificate is not PEM"),
    ],
)
async def test_unusable_pem_names_secret_and_key(
    source: PrometheusSource, secure: str, pem: FakeSecrets, tls: Tls, named: str
) -> None:
    error = await refused(source, request(address=secure, tls=tls))
    assert error.reason == MetricReason.SECRET_INVALID
    assert f'key "{named}" of Secret web/tls' in str(error)


async def test_trust_is_built_again_only_when_the_secret_changed(pem: FakeSecrets, keys: Keys) -> None:
    store, access = CredentialStore(pem), Access.of(request(tls=Tls(ca=key("ca"))))
    trusts: list[ssl.SSLContext | bool] = []
    for minute in range(3):
        if minute == 2:
            pem.data["web", "tls"] = {"ca": keys.authority.certificate + b"\n"}
        trusts.append((await store.resolve(access, NOW + timedelta(minutes=minute))).trust)
    assert trusts[0] is trusts[1]
    assert trusts[1] is not trusts[2]
