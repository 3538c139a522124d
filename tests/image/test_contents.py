"""A tree with anything that has no business in an image is refused, with a sentence that names it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from image.contents import LIBRARY, SBOM, faults, size, tidy

WHOLE = ("app/controller/__main__.py", "app/models/default.onnx", f"{LIBRARY}/numpy/core.py", str(SBOM))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in WHOLE:
        put(tmp_path, name)
    tidy(tmp_path)
    return tmp_path


def put(root: Path, name: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("content")
    path.chmod(0o644)
    return path


def test_a_whole_tree_is_well(root: Path) -> None:
    assert faults(root) == []


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_missing_is_named(root: Path, name: str) -> None:
    (root / name).unlink()
    expected = [] if name.startswith(str(LIBRARY)) else [f"{name} is missing"]
    assert faults(root) == expected


@pytest.mark.parametrize(
    "name",
    [
        f"{LIBRARY}/lightgbm/x.py",
        f"{LIBRARY}/pandas-3.0.dist-info/METADATA",
        f"{LIBRARY}/pip/x.py",
        "app/training/x.py",
        "app/tests.py",
    ],
)
def test_training_and_tools_are_refused(root: Path, name: str) -> None:
    put(root, name)
    assert [fault for fault in faults(root) if "has no business in the image" in fault]


def test_an_innocent_namesake_stays(root: Path) -> None:
    put(root, f"{LIBRARY}/onnxruntime/x.py")
    put(root, f"{LIBRARY}/wheels.py")
    assert faults(root) == []


def test_tests_of_packages_are_refused(root: Path) -> None:
    put(root, f"{LIBRARY}/numpy/tests/x.py")
    assert faults(root) == [f"{LIBRARY}/numpy/tests is no part of what runs"]


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o664, 0o666])
def test_loose_modes_are_refused_until_tidied(root: Path, mode: int) -> None:
    path = put(root, "app/controller/loose.py")
    path.chmod(mode)
    assert len(faults(root)) == 1

    tidy(root)

    assert faults(root) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_what_is_linked_twice_counts_once(root: Path) -> None:
    before = size(root)
    os.link(root / WHOLE[0], root / "app/again.py")
    assert size(root) == before == len("content") * len(WHOLE)
