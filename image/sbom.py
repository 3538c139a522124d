"""What is in the image, by name, version and license? A bill of materials as CycloneDX 1.6 writes it.

It tells of the packages that are really there, as their own metadata does, of the shipped models by their hashes, and
of the base by the name and digest that it was built on; the base's own packages are told by its own metadata, which
scanners read. The same tree gives the same text. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

Json = dict[str, Any]

NAME = "predictive-scaler"
LICENSE = "Apache-2.0"
_LONGEST_NAME = 64  # of a license; some packages put its whole text there


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What an image was built from. `created`: as RFC 3339 writes it; empty texts are not known.

    `base` and `base_digest`: the image below, and sha256:... of it.
    """

    version: str
    revision: str = ""
    created: str = ""
    base: str = ""
    base_digest: str = ""


def sbom(library: Path, models: Path, build: Build) -> str:
    """The bill of the packages installed in `library` and the *.onnx of `models`, as JSON."""
    packages = sorted(distributions(path=[str(library)]), key=lambda one: _key(one.name))
    refs = {_key(package.name): _purl(package) for package in packages}
    parts = [*map(_package, packages), *map(_model, sorted(models.glob("*.onnx"))), *_base(build)]
    root = _root(build)
    needs = [{"ref": refs[_key(one.name)], "dependsOn": sorted(set(_needs(one, refs)))} for one in packages]
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": _stated(build) | {"component": root},
        "components": parts,
        "dependencies": [{"ref": root["bom-ref"], "dependsOn": sorted(part["bom-ref"] for part in parts)}, *needs],
    }
    serial = uuid5(NAMESPACE_URL, json.dumps(bill, sort_keys=True))
    return json.dumps(bill | {"serialNumber": f"urn:uuid:{serial}"}, indent=1, sort_keys=True) + "\n"


def _stated(build: Build) -> Json:
    return {"timestamp": build.created} if build.created else {}


def _root(build: Build) -> Json:
    revision = [{"name": "org.opencontainers.image.revision", "value": build.revision}] if build.revision else []
    return {
        "type": "container",
        "bom-ref": f"{NAME}@{build.version}",
        "name": NAME,
        "version": build.version,
        "licenses": [{"license": {"id": LICENSE}}],
        "properties": revision,
    }


def _package(package: Distribution) -> Json:
    return {
        "type": "library",
        "bom-ref": _purl(package),
        "name": package.name,
        "version": package.version,
        "purl": _purl(package),
        "licenses": _licenses(_metadata(package)),
    }


def _model(file: Path) -> Json:
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    return {
        "type": "machine-learning-model",
        "bom-ref": f"models/{file.name}",
        "name": file.stem,
        "version": content[:12],
        "hashes": [{"alg": "SHA-256", "content": content}],
        "licenses": [{"license": {"id": LICENSE}}],
    }


def _base(build: Build) -> list[Json]:
    if not build.base:
        return []
    digest = {"version": build.base_digest} if build.base_digest else {}
    return [{"type": "container", "bom-ref": "base", "name": build.base} | digest]


def _metadata(package: Distribution) -> Message:
    """Typed as what it is: a message with several lines of one name."""
    metadata: Message = package.metadata  # type: ignore[assignment]  # importlib tells only a part of its type
    return metadata


def _licenses(metadata: Message) -> list[Json]:
    """As an SPDX expression where the package gives one, else by the names it gives."""
    expression = metadata["License-Expression"]
    if expression:
        return [{"expression": str(expression)}]
    lines = [str(line) for line in metadata.get_all("Classifier", [])]
    classified = [line.rpartition(" :: ")[2] for line in lines if line.startswith("License ::")]
    told = str(metadata["License"] or "").strip()
    names = [told] if 0 < len(told) <= _LONGEST_NAME and "\n" not in told else classified
    return [{"license": {"name": name}} for name in names]


def _needs(package: Distribution, refs: Mapping[str, str]) -> Iterator[str]:
    """Of the packages that are there, those that it asks for without any extra."""
    for requirement in package.requires or ():
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        if name and _key(name[0]) in refs and "extra ==" not in requirement:
            yield refs[_key(name[0])]


def _purl(package: Distribution) -> str:
    return f"pkg:pypi/{_key(package.name)}@{package.version}"


def _key(name: str) -> str:
    """A name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
