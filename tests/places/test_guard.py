"""Which places and addresses are asked, and which by no means."""

from __future__ import annotations

import socket

import pytest

from controller.places.guard import ForbiddenAddressError, Guard, GuardedResolver
from controller.ports import ModelError
from controller.settings import ALL_PLACES, Settings

ALL = Guard(ALL_PLACES)


@pytest.mark.parametrize(
    ("prefixes", "name", "is_allowed"),
    [
        (ALL_PLACES, "s3://bucket/key", True),
        (ALL_PLACES, "https://host/file", True),
        (ALL_PLACES, "oci://ghcr.io/a", True),
        ((), "s3://bucket/key", False),
        (("s3://models/",), "s3://models/web.onnx", True),
        (("s3://models/",), "s3://models-of-others/web.onnx", False),
        (("s3://models/team-a/",), "s3://models/team-b/web.onnx", False),
        (("https://host/",), "https://HOST/Web.onnx", True),
        (("https://Host/a/",), "https://host/A/web.onnx", False),
        (("oci://ghcr.io/me/",), "oci://ghcr.io/you/web", False),
    ],
)
def test_a_place_must_begin_with_a_prefix(prefixes: tuple[str, ...], name: str, is_allowed: bool) -> None:
    if is_allowed:
        Guard(prefixes).check_name(name)
        return
    with pytest.raises(ModelError, match=r"^place: .*PREDICTIVE_SCALER_MODEL_PLACES"):
        Guard(prefixes).check_name(name)


def test_all_places_are_the_default() -> None:
    assert Settings().model_places == ALL_PLACES


@pytest.mark.parametrize("address", ["140.82.121.3", "2606:50c0:8000::153", "64:ff9b::140.82.121.3"])
def test_public_addresses_are_asked(address: str) -> None:
    assert ALL.allows("ghcr.io", address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "10.0.0.7",
        "172.20.1.1",
        "192.168.1.1",
        "100.100.100.200",
        "fd00::7",
        "::ffff:10.0.0.7",
        "64:ff9b::10.0.0.7",
        "2002:0a00:0007::1",
    ],
)
def test_private_addresses_are_asked_only_of_hosts_that_are_named(address: str) -> None:
    assert not ALL.allows("models.internal", address)
    assert Guard(["https://models.internal/"]).allows("Models.internal", address)
    assert not Guard(["https://models.internal/"]).allows("other.internal", address)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "fd00:ec2::254",
        "0.0.0.0",
        "::",
        "224.0.0.1",
    ],
)
def test_addresses_of_the_machine_itself_are_asked_by_no_means(address: str) -> None:
    assert not Guard(["https://models.internal/"]).allows("models.internal", address)


def test_an_address_as_host_is_checked_too() -> None:
    with pytest.raises(ForbiddenAddressError, match="never asked"):
        ALL.check_host("169.254.169.254")
    with pytest.raises(ForbiddenAddressError, match="MODEL_PLACES"):
        ALL.check_host("10.0.0.7")
    ALL.check_host("a-name")
    ALL.check_host("1.1.1.1")


async def test_a_name_is_resolved_to_allowed_addresses_only() -> None:
    """`localhost` stands for any public name that leads into the network."""
    with pytest.raises(ForbiddenAddressError, match=r"localhost \(.*\) is no public address"):
        await GuardedResolver(ALL).resolve("localhost", 80)
    found = await GuardedResolver(Guard(["https://localhost/"])).resolve("localhost", 80)
    assert {one["host"] for one in found} <= {"127.0.0.1", "::1"}
    assert found


async def test_a_proxy_may_stand_anywhere() -> None:
    resolver = GuardedResolver(ALL, exempt=frozenset({"localhost"}))
    assert await resolver.resolve("localhost", 80)


async def test_a_name_with_both_kinds_of_address_is_left_the_allowed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = GuardedResolver(ALL)

    async def both(host: str, port: int, family: socket.AddressFamily) -> list[dict[str, object]]:
        return [{"hostname": host, "host": one} for one in ("169.254.169.254", "1.1.1.1", "10.0.0.1")]

    monkeypatch.setattr(resolver._resolver, "resolve", both)
    assert [one["host"] for one in await resolver.resolve("rebinding.example", 443)] == ["1.1.1.1"]
