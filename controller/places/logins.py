"""As whom is a registry asked? By the `auths` of the config.json that DOCKER_CONFIG names, as Docker itself has it.

An image pull Secret holds such a file. Credential helpers (`credsStore`, `credHelpers`) are programs, and are not run.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from controller.ports import ModelError

DOCKER_CONFIG = "DOCKER_CONFIG"
HUB = "docker.io"
HUB_HOST = "registry-1.docker.io"
_HUB_NAMES = {HUB, HUB_HOST, "index.docker.io"}


class Logins:
    """Logins by registry, read anew each time: a mounted Secret changes."""

    def __init__(self, folder: Path | None) -> None:
        """`folder`: that holds config.json; None where there are no logins."""
        self._file = None if folder is None else folder / "config.json"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Logins:
        """Those of DOCKER_CONFIG; nobody's home is looked into."""
        folder = environment.get(DOCKER_CONFIG)
        return cls(Path(folder) if folder else None)

    def basic(self, registry: str) -> str | None:
        """The Authorization header for `registry`, or None where there is no login. Raises ModelError("download")."""
        for name, login in self._auths().items():
            if _host(name) == _host(registry):
                return _header(registry, login)
        return None

    def _auths(self) -> Mapping[str, Any]:
        if self._file is None:
            return {}
        try:
            auths = json.loads(self._file.read_bytes()).get("auths") or {}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError) as error:
            raise ModelError(
                "download", f"the logins in {self._file} cannot be read; write them as Docker does"
            ) from error
        return auths if isinstance(auths, dict) else {}


def _header(registry: str, login: Mapping[str, Any]) -> str | None:
    if login.get("auth"):
        encoded = str(login["auth"])
        try:
            is_pair = b":" in base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            is_pair = False
        if not is_pair:
            raise ModelError("download", f'the "auth" of {registry} in {DOCKER_CONFIG} is not base64 of USER:PASSWORD')
        return f"Basic {encoded}"
    if login.get("username") and login.get("password"):
        pair = f"{login['username']}:{login['password']}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"
    if login.get("identitytoken"):
        raise ModelError(
            "download", f"the login of {registry} is an identitytoken, which is not used; log in with a password"
        )
    return None


def _host(name: str) -> str:
    """Docker writes the hub as a URL and others as host:port."""
    host = (urlsplit(name).netloc if "://" in name else name.partition("/")[0]).lower()
    return HUB if host in _HUB_NAMES else host
