"""Settings from an environment."""

from __future__ import annotations

import ast
import inspect
import itertools
from dataclasses import fields
from pathlib import Path

import pytest

from controller import settings as settings_module
from controller.settings import PREFIX, Settings, SettingsError


def _read(**given: str) -> Settings:
    return Settings.from_environment({PREFIX + name: value for name, value in given.items()})


def test_nothing_given_is_the_default() -> None:
    assert Settings.from_environment({"PATH": "/bin", "PREDICTIVE": "x"}) == Settings()


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_an_empty_value_is_the_default(name: str) -> None:
    assert _read(**{name.upper(): ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("PROMETHEUS_ADDRESS", "http://prometheus:9090", "http://prometheus:9090"),
        ("MODELS_DIRS", "/a:/b", (Path("/a"), Path("/b"))),
        ("MODELS_CACHE", "/var/cache/models", Path("/var/cache/models")),
        ("MODELS_CACHE_MIB", "128", 128.0),
        ("MODEL_PLACES", "s3://models/, oci://", ("s3://models/", "oci://")),
        ("MODEL_PLACES", "none", ()),
        ("HTTP_ADDRESS", "0.0.0.0:80", "0.0.0.0:80"),
        ("HTTP_ADDRESS", ":80", ":80"),
        ("HTTP_ADDRESS", "[::1]:80", "[::1]:80"),
        ("HTTP_ADDRESS", "fe80::1%eth0:80", "[fe80::1%eth0]:80"),
        ("NAMESPACES", "shop, bank", ("shop", "bank")),
        ("LOG_LEVEL", "DEBUG", "DEBUG"),
        ("LOG_FORMAT", "text", "text"),
        ("QUERY_TIMEOUT_SECONDS", "2.5", 2.5),
        ("AWS_TIMEOUT_SECONDS", "2.5", 2.5),
        ("RECORDS_MIB", "0.5", 0.5),
        ("LEASE_NAMESPACE", "scaling", "scaling"),
        ("LEASE_NAME", "mine", "mine"),
        ("SHARDS", "6", 6),
        ("INSTANCE", "predictive-scaler-0", "predictive-scaler-0"),
        ("PEER_ADDRESS", "10.0.0.7:8080", "10.0.0.7:8080"),
        ("KEDA_ADDRESS", "0.0.0.0:9091", "0.0.0.0:9091"),
        ("KEDA_ADDRESS", ":9091", ":9091"),
        ("KEDA_ADDRESS", "::1:9091", "[::1]:9091"),
        ("KEDA_TLS", "/keda", Path("/keda")),
    ],
)
def test_value_by_text(name: str, text: str, value: object) -> None:
    assert getattr(_read(**{name: text}), name.lower()) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PROMETHEUS_ADDRESS", "prometheus:9090"),
        ("HTTP_ADDRESS", "8080"),
        ("HTTP_ADDRESS", ":"),
        ("HTTP_ADDRESS", ":65536"),
        ("HTTP_ADDRESS", "::8080"),
        ("HTTP_ADDRESS", "[::1]"),
        ("HTTP_ADDRESS", "[::1]8080"),
        ("HTTP_ADDRESS", "[::1:8080"),
        ("HTTP_ADDRESS", "[]:8080"),
        ("HTTP_ADDRESS", "localhost:80:80"),
        ("HTTP_ADDRESS", "localhost:http"),
        ("HTTP_ADDRESS", "localhost:65536"),
        ("LOG_LEVEL", "debug"),
        ("LOG_FORMAT", "xml"),
        ("QUERY_TIMEOUT_SECONDS", "0"),
        ("QUERY_TIMEOUT_SECONDS", "-1"),
        ("QUERY_TIMEOUT_SECONDS", "nan"),
        ("QUERY_TIMEOUT_SECONDS", "inf"),
        ("QUERY_TIMEOUT_SECONDS", "5s"),
        ("AWS_TIMEOUT_SECONDS", "0"),
        ("RECORDS_MIB", "0"),
        ("RECORDS_MIB", "64Mi"),
        ("MODELS_CACHE_MIB", "0"),
        ("MODEL_PLACES", "http://models.internal/"),
        ("MODEL_PLACES", "models"),
        ("MODEL_PLACES", "https://models.internal"),  # models.internal.example would begin like it
        ("LEASE_NAMESPACE", "Scaling"),
        ("LEASE_NAME", "my.scaler"),
        ("LEASE_NAME", "a" * 64),
        ("SHARDS", "0"),
        ("SHARDS", "257"),
        ("SHARDS", "1.5"),
        ("PEER_ADDRESS", "10.0.0.7"),
        ("PEER_ADDRESS", ":8080"),
        ("PEER_ADDRESS", "fd00:7:8080"),
        ("KEDA_ADDRESS", "9091"),
        ("HTTP_ADRESS", "localhost:80"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=PREFIX + name):
        _read(**{name: text})


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [("127.0.0.1:8080", ("127.0.0.1", 8080)), ("[::1]:80", ("::1", 80)), (":8080", (None, 8080))],
)
def test_endpoint_by_address(address: str, endpoint: tuple[str | None, int]) -> None:
    assert _read(HTTP_ADDRESS=address).http_endpoint == endpoint


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("10.0.0.7:8080", "10.0.0.7:8080"),
        ("fd00::7:8080", "[fd00::7]:8080"),
        ("[fd00::7]:8080", "[fd00::7]:8080"),
        ("pod.shop:80", "pod.shop:80"),
    ],
)
def test_a_peer_address_of_ipv6_gets_its_brackets(given: str, address: str) -> None:
    """A pod's own address comes without them."""
    assert _read(PEER_ADDRESS=given).peer_address == address


def test_every_setting_is_documented_under_itself() -> None:
    tree = ast.parse(inspect.getsource(settings_module))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings").body
    documented = {
        one.target.id
        for one, after in itertools.pairwise(body)
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and isinstance(after, ast.Expr)
    }
    assert documented == {field.name for field in fields(Settings)}
