"""With which token, password and certificates is a metric system asked? Read from Secrets of the scaler's namespace.

It must not let a value out other than inside Credentials: no error, no `repr` and no log shows one.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from controller.ports import MetricError, MetricReason, MetricRequest, SecretError, Secrets
from controller.spec import BasicAuth, PrometheusMetric, SecretKey, Tls

MAX_AGE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a spec says about getting in. `namespace`: where its Secrets are; None when it names none.

    Equal accesses are the same access, so equal questions of two namespaces are one only where no Secret is involved.
    """

    namespace: str | None
    bearer: SecretKey | None
    basic: BasicAuth | None
    tls: Tls | None

    @classmethod
    def of(cls, request: MetricRequest[PrometheusMetric]) -> Self:
        """The access that one scaler's question needs."""
        metric = request.metric
        access = cls(namespace=request.namespace, bearer=metric.bearer, basic=metric.basic, tls=metric.tls)
        if access.secret_keys():
            return access
        return cls(namespace=None, bearer=None, basic=None, tls=metric.tls)

    def secret_keys(self) -> list[SecretKey]:
        """Every key of a Secret that is named."""
        basic = [self.basic.username, self.basic.password] if self.basic else []
        tls = [self.tls.ca, self.tls.certificate, self.tls.key] if self.tls else []
        return [key for key in [self.bearer, *basic, *tls] if key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a request carries. `trust`: an SSL context, or True for the system's own trust."""

    authorization: str | None = field(default=None, repr=False)
    trust: ssl.SSLContext | bool = True
    server_name: str | None = None


ANONYMOUS = Credentials()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What one Secret gave, and when."""

    time: datetime
    data: Mapping[str, bytes] | SecretError = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Built:
    """Credentials and the values they were built from: an SSL context is kept as long as these stay the same."""

    values: tuple[bytes, ...] = field(repr=False)
    credentials: Credentials


class CredentialStore:
    """Credentials by Access. Each Secret is read at most once in `max_age`; a failed read may leave the old values."""

    def __init__(self, secrets: Secrets, *, max_age: timedelta = MAX_AGE) -> None:
        self._secrets = secrets
        self._max_age = max_age
        self._read: dict[tuple[str, str], _Read] = {}
        self._reading: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._built: dict[Access, _Built] = {}

    async def resolve(self, access: Access, now: datetime) -> Credentials:
        """Credentials for `access`. Raises MetricError."""
        if access.namespace:
            for name in {key.name for key in access.secret_keys()}:
                await self._refresh(access.namespace, name, now)
        return self._credentials(access)

    def forget(self, now: datetime) -> None:
        """Drop what nobody asked for lately: a value should not outlive its use."""
        horizon = 2 * self._max_age
        for key in [key for key, read in self._read.items() if now - read.time >= horizon]:
            del self._read[key]
            self._reading.pop(key, None)
        self._built = {
            access: built
            for access, built in self._built.items()
            if all((access.namespace or "", key.name) in self._read for key in access.secret_keys())
        }

    async def _refresh(self, namespace: str, name: str, now: datetime) -> None:
        """Read a Secret unless it was read lately; those who ask at once wait for one read."""
        async with self._reading[namespace, name]:
            held = self._read.get((namespace, name))
            if held and timedelta(0) <= now - held.time < self._max_age:
                return
            try:
                data: Mapping[str, bytes] | SecretError = await self._secrets.read_secret(namespace, name)
            except SecretError as error:
                data = held.data if held and error.is_transient else error
            self._read[namespace, name] = _Read(time=now, data=data)

    def _credentials(self, access: Access) -> Credentials:
        values = tuple(self._value(access, key) for key in access.secret_keys())
        built = self._built.get(access)
        if built is None or built.values != values:
            built = self._built[access] = _Built(values=values, credentials=self._build(access))
        return built.credentials

    def _build(self, access: Access) -> Credentials:
        return Credentials(
            authorization=self._authorization(access),
            trust=self._trust(access, access.tls) if access.tls else True,
            server_name=access.tls.server_name if access.tls else None,
        )

    def _authorization(self, access: Access) -> str | None:
        if access.bearer:
            token = self._value(access, access.bearer).strip()
            if not token.isascii() or not token.decode("ascii").isprintable() or b" " in token:
                raise _invalid(
                    access, access.bearer, "is not a bearer token: it holds blanks or unprintable characters"
                )
            return f"Bearer {token.decode('ascii')}"
        if access.basic:
            username = self._value(access, access.basic.username).rstrip(b"\r\n")
            password = self._value(access, access.basic.password).rstrip(b"\r\n")
            return f"Basic {base64.b64encode(username + b':' + password).decode('ascii')}"
        return None

    def _trust(self, access: Access, tls: Tls) -> ssl.SSLContext:
        context = self._context(access, tls.ca)
        if tls.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if tls.certificate and tls.key:
            self._load_client(context, access, tls.certificate, tls.key)
        return context

    def _context(self, access: Access, authority: SecretKey | None) -> ssl.SSLContext:
        if authority is None:
            return ssl.create_default_context()
        try:
            return ssl.create_default_context(cadata=self._value(access, authority).decode("ascii"))
        except (ssl.SSLError, ValueError):
            raise _invalid(access, authority, "is not a PEM certificate") from None

    def _load_client(self, context: ssl.SSLContext, access: Access, certificate: SecretKey, key: SecretKey) -> None:
        """The ssl module reads files only: give it files in memory, so that no key touches a disk."""
        with ExitStack() as stack:
            paths = [_file_in_memory(stack, self._value(access, part)) for part in (certificate, key)]
            try:
                context.load_cert_chain(*paths)
            except (ssl.SSLError, ValueError):
                raise _invalid(access, certificate, "and its key are not a matching pair in PEM") from None

    def _value(self, access: Access, key: SecretKey) -> bytes:
        data = self._read[access.namespace or "", key.name].data
        if isinstance(data, SecretError):
            raise MetricError(MetricReason.SECRET_INVALID, str(data)) from data
        if not data.get(key.key):
            raise _invalid(access, key, "is missing or empty")
        return data[key.key]


def _file_in_memory(stack: ExitStack, content: bytes) -> str:
    descriptor = os.memfd_create("pem")
    stack.callback(os.close, descriptor)
    os.write(descriptor, content)
    return f"/proc/self/fd/{descriptor}"


def _invalid(access: Access, key: SecretKey, what: str) -> MetricError:
    return MetricError(MetricReason.SECRET_INVALID, f'key "{key.key}" of Secret {access.namespace}/{key.name} {what}')
