"""From where may models be fetched? From prefixes that whoever runs the controller lists, and no forbidden address.

Whoever may create a PredictiveScaler makes the controller open a connection. A prefix without a host (`https://`) lets
it reach public addresses only, so that nobody probes the cluster's network through it; a prefix that names a host
(`https://models.internal/`) vouches for that host, wherever it is. Addresses by which machines learn who they are
(169.254.0.0/16, fe80::/10, fd00:ec2::254) are asked by no means. What a name resolves to is checked, and connected to,
in one go: a name that points elsewhere a moment later gains nothing. Buckets are guarded by IAM instead.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from controller.ports import ModelError
from controller.settings import PREFIX

SETTING = f"{PREFIX}MODEL_PLACES"
_TRANSLATED = IPv6Network("64:ff9b::/96")  # NAT64: the last four bytes are an IPv4 address
_METADATA = IPv6Address("fd00:ec2::254")


class ForbiddenAddressError(OSError):
    """A host has no address that may be asked."""


class Guard:
    """What the list of prefixes lets through. An empty list lets nothing through."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        self._prefixes = tuple(_lowered(prefix) for prefix in prefixes)
        self._vouched = frozenset(host for prefix in self._prefixes if (host := urlsplit(prefix).hostname))

    def check_name(self, name: str) -> None:
        """Whether `name`, as it stands in `forecast.model`, may be fetched at all. Raises ModelError("place")."""
        if not _lowered(name).startswith(self._prefixes):
            allowed = ", ".join(self._prefixes) or "nothing"
            raise ModelError("place", f"{name}: this controller fetches models from {allowed} only; {SETTING} says so")

    def check_host(self, host: str) -> None:
        """A host that is an address must be one that may be asked. Raises ForbiddenAddressError."""
        try:
            address = ip_address(host.strip("[]"))
        except ValueError:
            return  # a name: the resolver checks what it means
        if not self.allows(host, str(address)):
            raise _forbidden(host, str(address))

    def allows(self, host: str, address: str) -> bool:
        """Whether the `address` that `host` has may be connected to."""
        found = _meant(address)
        if found.is_link_local or found.is_multicast or found.is_unspecified or found == _METADATA:
            return False
        return found.is_global or host.lower().strip("[]") in self._vouched


class GuardedResolver(AbstractResolver):
    """Resolves as the system does and leaves out the addresses that may not be asked. `exempt`: hosts of proxies."""

    def __init__(self, guard: Guard, exempt: frozenset[str] = frozenset()) -> None:
        self._guard = guard
        self._exempt = exempt
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The host's allowed addresses. Raises OSError."""
        found = await self._resolver.resolve(host, port, family)
        allowed = [one for one in found if host in self._exempt or self._guard.allows(host, one["host"])]
        if found and not allowed:
            raise _forbidden(host, found[0]["host"])
        return allowed

    async def close(self) -> None:
        """Nothing is held."""
        await self._resolver.close()


def _forbidden(host: str, address: str) -> ForbiddenAddressError:
    where = host if host.strip("[]") == address else f"{host} ({address})"
    if (meant := _meant(address)).is_link_local or meant == _METADATA:
        return ForbiddenAddressError(f"{where} is an address of the machine itself, which is never asked")
    return ForbiddenAddressError(
        f"{where} is no public address; whoever runs the controller can vouch for the host in {SETTING}"
    )


def _meant(address: str) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one, where there is one: it is what will be reached."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv4Address):
        return found
    if found in _TRANSLATED:
        return IPv4Address(found.packed[-4:])
    return found.ipv4_mapped or found.sixtofour or found


def _lowered(text: str) -> str:
    """Scheme and host are the same in any case, and a path is not."""
    scheme, separator, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}{separator}{host.lower()}{slash}{path}"
