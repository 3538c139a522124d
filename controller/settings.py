"""How does this process run? Settings from the environment, each documented under itself.

What users decide for one workload is in its PredictiveScaler, never here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from ipaddress import IPv6Address
from pathlib import Path
from typing import Self

PREFIX = "PREDICTIVE_SCALER_"
ALL_PLACES = ("s3://", "https://", "oci://")


class SettingsError(ValueError):
    """A setting cannot be used; the message names the variable and the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every field is read from the environment variable PREDICTIVE_SCALER_<FIELD>."""

    prometheus_address: str = ""
    """Where scalers without `metric.prometheus.address` ask; empty: each must name its own."""

    models_dirs: tuple[Path, ...] = (Path("models"),)
    """Directories with <name>.onnx, separated by ':'; the first that has the name wins."""

    models_cache: Path = Path("models-cache")
    """A directory of this controller alone, for models that are fetched from elsewhere. Made when one is."""

    models_cache_mib: float = 512.0
    """How much these models may take there; beside it come downloads under way, at most 256 MiB."""

    model_places: tuple[str, ...] = ALL_PLACES
    """Prefixes of places that models may be fetched from, separated by ','. One without a host, such as https://,
    means public addresses only; https://models.internal/ vouches for that host, wherever it is. "none" means none."""

    http_address: str = "127.0.0.1:8080"
    """Where /metrics, /healthz, /readyz and the read-only API listen, as HOST:PORT; :PORT is every address of this
    machine, of IPv4 and IPv6, whichever it has."""

    namespaces: tuple[str, ...] = ()
    """Namespaces to watch, separated by ','; none means all."""

    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    log_format: str = "json"
    """json (one object a line) or text."""

    records_mib: float = 64.0
    """How much memory the records of past decisions may take, shared evenly: with 1,000 scalers it holds an hour."""

    query_timeout_seconds: float = 5.0
    """How long one query may take; all questions of a tick together get three times as long."""

    aws_timeout_seconds: float = 5.0
    """How long one attempt of a call to AWS may take, of three; all metrics of a tick get three times as long."""

    lease_namespace: str = ""
    """Where the Leases are by which controllers share the scalers; empty: this one alone serves them all."""

    lease_name: str = "predictive-scaler"
    """What the names of these Leases begin with; controllers with the same are replicas of one another."""

    shards: int = 1
    """Over how many Leases the scalers are spread, the same for every replica; each has one holder at a time."""

    instance: str = ""
    """Who this controller is among its replicas, such as its pod's name; empty: the host's name."""

    peer_address: str = ""
    """Where the other replicas reach this one's HTTP API, as HOST:PORT (of IPv6 also without brackets); empty:
    nowhere."""

    keda_address: str = ""
    """Where KEDA's external scaler is served, as HOST:PORT or :PORT; empty: not at all."""

    keda_tls: Path | None = None
    """A directory with tls.crt and tls.key to serve it with, and with client-ca.crt where clients must show a
    certificate that it signed; such as a mounted Secret, which may be renewed. Empty: served without TLS."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read every setting that is there; raises SettingsError for a value or a name that cannot be meant."""
        given = {
            name.removeprefix(PREFIX).lower(): text for name, text in environment.items() if name.startswith(PREFIX)
        }
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(given) - known):
            names = ", ".join(PREFIX + name.upper() for name in sorted(known))
            raise SettingsError(f"{PREFIX}{unknown[0].upper()} is not a setting; there are {names}")
        return cls(**{name: _READERS.get(name, _text)(name, text) for name, text in given.items() if text})  # type: ignore[arg-type]  # each reader gives its field's type

    @property
    def http_endpoint(self) -> tuple[str | None, int]:
        """Host and port of `http_address`; None is every address."""
        host, _, port = self.http_address.rpartition(":")
        return host.strip("[]") or None, int(port)


def _text(name: str, text: str) -> str:
    del name
    return text


def _paths(name: str, text: str) -> tuple[Path, ...]:
    del name
    return tuple(Path(part) for part in text.split(":") if part)


def _path(name: str, text: str) -> Path:
    del name
    return Path(text)


def _words(name: str, text: str) -> tuple[str, ...]:
    del name
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _places(name: str, text: str) -> tuple[str, ...]:
    if text.strip() == "none":
        return ()
    found = _words(name, text)
    for place in found:
        if not place.startswith(ALL_PLACES) or (place not in ALL_PLACES and "/" not in place.partition("://")[2]):
            raise _refused(name, text, "prefixes such as s3://, https://models.internal/ or oci://ghcr.io/me/, or none")
    return found


def _one_of(*choices: str) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        if text not in choices:
            raise _refused(name, text, f"one of {', '.join(choices)}")
        return text

    return read


def _address(name: str, text: str) -> str:
    host, _, port = text.rpartition(":")
    if not (_is_host(host) and _is_port(port)):
        raise _refused(name, text, "HOST:PORT, e.g. 0.0.0.0:8080 or [::1]:8080")
    return bracketed(text)


def _listening(name: str, text: str) -> str:
    """Where a server listens: beside HOST:PORT also :PORT, which is every address, as elsewhere in Kubernetes."""
    return text if text.startswith(":") and _is_port(text[1:]) else _address(name, text)


def _is_host(text: str) -> bool:
    """A name or an address; where there are colons, a whole one of IPv6."""
    if not {":", "[", "]"} & set(text):
        return bool(text)
    try:
        IPv6Address(text[1:-1] if text.startswith("[") and text.endswith("]") else text)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text[:9]) <= MAX_PORT


def bracketed(address: str) -> str:
    """HOST:PORT in which the colons of an IPv6 address are told from that of the port, as in [::1]:8080.

    A pod learns its address without brackets, and Kubernetes can put a port behind it and no more.
    """
    host, _, port = address.rpartition(":")
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else address


def _url(name: str, text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise _refused(name, text, "an http:// or https:// address")
    return text


def _label(name: str, text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise _refused(name, text, "at most 63 of a-z, 0-9 and -, with a letter or digit at either end")
    return text


def _shards(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MOST_SHARDS):
        raise _refused(name, text, f"a whole number from 1 to {MOST_SHARDS}")
    return int(text)


def _positive(unit: str) -> Callable[[str, str], float]:
    def read(name: str, text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = 0.0
        if not 0.0 < number < float("inf"):
            raise _refused(name, text, f"a number of {unit} above 0")
        return number

    return read


def _refused(name: str, text: str, wanted: str) -> SettingsError:
    return SettingsError(f"{PREFIX}{name.upper()} must be {wanted}, not {text!r}")


MAX_PORT = 65535
MOST_SHARDS = 256
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""What names of objects may begin with and labels may hold."""

_READERS: dict[str, Callable[[str, str], object]] = {
    "prometheus_address": _url,
    "models_dirs": _paths,
    "models_cache": _path,
    "models_cache_mib": _positive("MiB"),
    "model_places": _places,
    "http_address": _listening,
    "namespaces": _words,
    "log_level": _one_of("DEBUG", "INFO", "WARNING", "ERROR"),
    "log_format": _one_of("json", "text"),
    "records_mib": _positive("MiB"),
    "query_timeout_seconds": _positive("seconds"),
    "aws_timeout_seconds": _positive("seconds"),
    "lease_namespace": _label,
    "lease_name": _label,
    "shards": _shards,
    "peer_address": _address,
    "keda_address": _listening,
    "keda_tls": _path,
}
