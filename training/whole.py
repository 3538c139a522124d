"""How is a file written so that nobody ever meets half of it? Through one beside it, which then takes its place.

Must not know what is written.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_READABLE = 0o644


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """An empty file to fill and verify; it becomes `path` at the end, or is gone where that fails. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        _settle(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write(path: Path, data: bytes) -> None:
    """`data` as the file `path`. Raises OSError."""
    with replacing(path) as beside:
        beside.write_bytes(data)


def _settle(path: Path) -> None:
    """On the disk before the name is: else a power cut could leave the name and nothing behind it."""
    path.chmod(_READABLE)
    with path.open("rb") as file:
        os.fsync(file.fileno())
