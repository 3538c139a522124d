"""Is that all that belongs into the image, and nothing that does not? Looks at the finished tree of files.

Must not change anything but modes, in `tidy`. Standard library only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

LIBRARY = Path("opt/predictive-scaler/lib")
APPLICATION = Path("app")
SBOM = Path("usr/local/share/sbom/predictive-scaler.cdx.json")
"""Where scanners look for what is in an image."""

TRAINING = frozenset(
    {"jax", "jaxlib", "lightgbm", "matplotlib", "onnx", "optax", "pandas", "polars", "prophet", "scipy", "sklearn"}
    | {"statsmodels", "torch", "training"}
)
"""Top-level names of what makes models: none of them may be there."""

TOOLS = frozenset({"pip", "setuptools", "uv", "wheel", "ensurepip", "pytest", "client", "sandbox", "tests", "image"})
"""Names of what installs and tests: none of them either."""

_FOLDER, _FILE = 0o755, 0o644
_LOOSE = stat.S_ISUID | stat.S_ISGID | stat.S_IWGRP | stat.S_IWOTH


def tidy(root: Path) -> None:
    """Everyone may read, only the owner may write, nothing runs with another's rights; a library needs no x."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(_FOLDER if path.is_dir() else _FILE)


def faults(root: Path) -> list[str]:
    """What does not belong into an image whose files are below `root`, each as a sentence; empty when all is well."""
    return [*_strangers(root), *_leftovers(root), *_loose(root), *_missing(root)]


def size(root: Path) -> int:
    """Bytes of all files below `root`; what is linked several times counts once."""
    seen = {(status.st_dev, status.st_ino): status.st_size for status in _statuses(root)}
    return sum(seen.values())


def _statuses(root: Path) -> Iterator[os.stat_result]:
    return (path.lstat() for path in root.rglob("*") if path.is_symlink() or path.is_file())


def _strangers(root: Path) -> Iterator[str]:
    for folder in (root / LIBRARY, root / APPLICATION):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            name = path.name.partition(".")[0].partition("-")[0]
            if name in TRAINING | TOOLS:
                yield f"{path.relative_to(root)} has no business in the image"


def _leftovers(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*")):
        if path.is_dir() and path.name in {"tests", ".git", ".venv"}:
            yield f"{path.relative_to(root)} is no part of what runs"


def _loose(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and mode & _LOOSE:
            yield f"{path.relative_to(root)} has mode {stat.S_IMODE(mode):o}: others write it, or it runs as another"


def _missing(root: Path) -> Iterator[str]:
    wanted = (APPLICATION / "controller/__main__.py", APPLICATION / "models/default.onnx", LIBRARY, SBOM)
    yield from (f"{path} is missing" for path in wanted if not (root / path).exists())
