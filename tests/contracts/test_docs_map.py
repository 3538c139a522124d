"""Does who looks for a behaviour find it? README names every folder, CONTRIBUTING every part of the controller."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def tabled(page: str, heading: str) -> set[str]:
    """What stands in backticks in the tables below a heading."""
    below = (REPOSITORY / page).read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in below.splitlines() if line.startswith("|")]
    return set(re.findall(r"`([^`]+)`", "\n".join(rows)))


def parts(folder: Path) -> set[str]:
    """The modules of a package, and the packages in it with a slash behind them."""
    modules = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    return modules | {f"{file.parent.name}/" for file in folder.glob("*/__init__.py")}


def folders() -> set[str]:
    """What Git keeps at the top that one can look into."""
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("Git does not know this folder")
    return {line.partition("/")[0] + "/" for line in listed.stdout.splitlines() if "/" in line and line[0] != "."}


def test_readme_names_every_folder() -> None:
    assert folders() - tabled("README.md", "Where things are") == set()


@pytest.mark.parametrize("folder", ["controller", "controller/core"])
def test_contributing_names_every_part_of_the_controller(folder: str) -> None:
    assert parts(REPOSITORY / folder) - tabled("CONTRIBUTING.md", "Where it lives") == set()


def test_contributing_names_nothing_that_is_gone() -> None:
    known = parts(REPOSITORY / "controller") | parts(REPOSITORY / "controller/core")
    named = {name for name in tabled("CONTRIBUTING.md", "Where it lives") if re.fullmatch(r"[a-z_]+/?", name)}
    assert named - known == set()
