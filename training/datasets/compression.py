"""How are the bytes of a file reached, whatever packed them? Blocks of whole lines, in constant memory.

The packing is told by the first bytes, not by the name. Must not know what the lines mean.
"""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import zstandard

from training.datasets.request import DataError

BLOCK = 1 << 20
"""Bytes read at a time: what lies in the cache of a core is scanned fastest."""
_LONGEST_LINE = 16 << 20  # beyond it, it is no text, and memory would grow with the file
_LINE_END = b"\n"


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The unpacked bytes of `path`. Raises DataError, also while they are read."""
    try:
        with path.open("rb") as packed:
            yield _unpacked(packed)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _unpacked(packed: IO[bytes]) -> IO[bytes]:
    magic = packed.read(4)
    packed.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=packed))
    if magic.startswith(b"BZh"):
        return cast("IO[bytes]", bz2.BZ2File(packed))
    if magic == b"\x28\xb5\x2f\xfd":
        return zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
    return packed


def blocks(path: Path, size: int = BLOCK) -> Iterator[bytes]:
    """Whole lines, about `size` bytes of them at a time; the last one may lack its line end. Raises DataError."""
    with opened(path) as file:
        rest: list[bytes] = []  # put together once: a line may be longer than many blocks
        held = 0
        while read := file.read(size):
            cut = read.rfind(_LINE_END) + 1
            if cut:
                yield b"".join([*rest, read[:cut]])
                rest, held = [], 0
            rest.append(read[cut:])
            held += len(rest[-1])
            if held > _LONGEST_LINE:
                raise DataError(f"{path} has no line end within {_LONGEST_LINE >> 20} MiB; it is no text")
        if held:
            yield b"".join(rest)


def first_lines(path: Path, count: int) -> list[bytes]:
    """Up to `count` lines from the beginning that are not blank, without line ends. Raises DataError."""
    lines: list[bytes] = []
    for block in blocks(path, 1 << 16):
        lines.extend(line.rstrip(b"\r") for line in block.split(_LINE_END) if line.strip())
        if len(lines) >= count:
            break
    return lines[:count]
