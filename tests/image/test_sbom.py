"""The bill of materials is valid CycloneDX, the same for the same tree, and tells what packages tell of themselves."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from image.sbom import Build, sbom

BUILD = Build(
    version="1.2.3",
    revision="0" * 40,
    created="2026-01-05T00:00:00Z",
    base="example.invalid/python:3",
    base_digest="sha256:" + "1" * 64,
)
NAMELESS = Build(version="1.2.3")


def install(library: Path, name: str, *lines: str, version: str = "1.0") -> None:
    """The metadata of a package."""
    folder = library / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *lines])
    )


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "lib"
    folder.mkdir()
    install(
        folder,
        "aiohttp",
        "License-Expression: Apache-2.0 AND MIT",
        "Requires-Dist: Multi.Dict>=4",
        "Requires-Dist: gone",
    )
    install(folder, "multi-dict", "License: Apache License 2", "Requires-Dist: aiohttp; extra == 'all'")
    install(
        folder,
        "yaml",
        "License: " + "All of the text of it. " * 9,
        "Classifier: License :: OSI Approved :: MIT License",
    )
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "default.onnx").write_bytes(b"weights")
    (folder / "README.md").write_text("no model")
    return folder


@pytest.fixture
def bill(library: Path, models: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sbom(library, models, BUILD))
    return found


def part(bill: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [one for one in bill["components"] if one["name"] == name]
    return dict(found)


@pytest.mark.parametrize("build", [BUILD, NAMELESS])
def test_it_is_valid(library: Path, models: Path, build: Build) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom(library, models, build)) is None


def test_the_same_tree_gives_the_same_text(library: Path, models: Path) -> None:
    assert sbom(library, models, BUILD) == sbom(library, models, BUILD)


def test_another_tree_has_another_serial_number(library: Path, models: Path, bill: dict[str, Any]) -> None:
    install(library, "more")
    assert json.loads(sbom(library, models, BUILD))["serialNumber"] != bill["serialNumber"]


def test_packages_are_named_as_the_index_names_them(bill: dict[str, Any]) -> None:
    assert part(bill, "multi-dict")["purl"] == "pkg:pypi/multi-dict@1.0"


@pytest.mark.parametrize(
    ("name", "licenses"),
    [
        ("aiohttp", [{"expression": "Apache-2.0 AND MIT"}]),
        ("multi-dict", [{"license": {"name": "Apache License 2"}}]),
        ("yaml", [{"license": {"name": "MIT License"}}]),
    ],
)
def test_licenses(bill: dict[str, Any], name: str, licenses: list[Any]) -> None:
    assert part(bill, name)["licenses"] == licenses


@pytest.mark.parametrize(
    ("name", "needs"), [("aiohttp", ["pkg:pypi/multi-dict@1.0"]), ("multi-dict", []), ("yaml", [])]
)
def test_dependencies_are_those_that_are_there(bill: dict[str, Any], name: str, needs: list[str]) -> None:
    told = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    assert told[part(bill, name)["bom-ref"]] == needs


def test_models_are_told_by_their_digest(bill: dict[str, Any]) -> None:
    model = part(bill, "default")
    assert model["type"] == "machine-learning-model"
    assert model["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(b"weights").hexdigest()}]
    assert "README" not in {one["name"] for one in bill["components"]}


def test_what_it_was_built_from_is_told(bill: dict[str, Any]) -> None:
    root = bill["metadata"]["component"]
    assert (root["version"], root["properties"][0]["value"]) == ("1.2.3", "0" * 40)
    assert part(bill, "example.invalid/python:3")["version"] == BUILD.base_digest
    assert bill["metadata"]["timestamp"] == BUILD.created
