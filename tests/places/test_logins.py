"""As whom a registry is asked, by a config.json as Docker writes it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from controller.places.logins import Logins
from controller.ports import ModelError

AUTH = base64.b64encode(b"robot:secret").decode()
BASIC = f"Basic {AUTH}"


def logins(folder: Path, **auths: Any) -> Logins:
    (folder / "config.json").write_text(json.dumps({"auths": auths, "credsStore": "desktop"}))
    return Logins.from_environment({"DOCKER_CONFIG": str(folder)})


@pytest.mark.parametrize(
    ("written", "registry"),
    [
        ("ghcr.io", "ghcr.io"),
        ("GHCR.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v2/", "ghcr.io"),
        ("registry:5000", "registry:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
    ],
)
def test_a_registry_is_found_however_it_is_written(tmp_path: Path, written: str, registry: str) -> None:
    assert logins(tmp_path, **{written: {"auth": AUTH}}).basic(registry) == BASIC


@pytest.mark.parametrize("registry", ["quay.io", "ghcr.io:5000", "ghcr.io.example", "evil-ghcr.io"])
def test_no_other_registry_gets_a_login(tmp_path: Path, registry: str) -> None:
    assert logins(tmp_path, **{"ghcr.io": {"auth": AUTH}}).basic(registry) is None


def test_user_and_password_do_as_well(tmp_path: Path) -> None:
    assert logins(tmp_path, **{"ghcr.io": {"username": "robot", "password": "secret"}}).basic("ghcr.io") == BASIC


def test_a_login_left_to_a_helper_is_none(tmp_path: Path) -> None:
    assert logins(tmp_path, **{"ghcr.io": {}}).basic("ghcr.io") is None


@pytest.mark.parametrize("environment", [{}, {"DOCKER_CONFIG": ""}, {"HOME": "/nowhere"}])
def test_without_a_configuration_there_is_no_login(environment: dict[str, str]) -> None:
    assert Logins.from_environment(environment).basic("ghcr.io") is None


def test_a_folder_without_the_file_has_no_login(tmp_path: Path) -> None:
    assert Logins(tmp_path).basic("ghcr.io") is None


def test_a_changed_file_counts(tmp_path: Path) -> None:
    found = logins(tmp_path)
    assert found.basic("ghcr.io") is None
    logins(tmp_path, **{"ghcr.io": {"auth": AUTH}})
    assert found.basic("ghcr.io") == BASIC


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"auths": {"ghcr.io": {"auth": "c2VjcmV0"}}}', '{"auths": {"ghcr.io": {"auth": "\\u00fc"}}}']
)
def test_what_cannot_be_read_is_told_without_a_secret(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"Docker|DOCKER_CONFIG") as caught:
        Logins(tmp_path).basic("ghcr.io")
    assert "c2VjcmV0" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_identity_token_is_refused_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="log in with a password"):
        logins(tmp_path, **{"ghcr.io": {"identitytoken": "x"}}).basic("ghcr.io")
