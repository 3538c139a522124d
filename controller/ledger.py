"""What was decided, and on what? The accounts of each scaler's ticks, in a bounded number of bytes.

A tick resembles the one before, so each is compressed with that one as the dictionary, from one block to the next.
"""

from __future__ import annotations

import itertools
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from controller.account import Account
from controller.core.decide import Decision

MIB = 64.0  # with 1,000 scalers an hour of ticks of 15 s, with ten four days: about 300 bytes each
BLOCK = 64  # accounts that make room together, and that are unpacked for the last one
_OVERHEAD = 64  # bytes that Python and a list need for one account besides its own
_LEVEL, _WINDOW, _MEMORY = 3, -13, 5  # of zlib: the window holds two accounts, and little must be cleared for each


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What there is of a scaler: `size` in bytes, and from when till when."""

    count: int
    size: int
    oldest: datetime
    newest: datetime


@dataclass(slots=True, kw_only=True)
class _Block:
    """Ticks one after the other. `times`: never falling. `packed`: all but the first refer to the one before."""

    times: list[datetime] = field(default_factory=list)
    packed: list[bytes] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.packed)) + _OVERHEAD * (len(self.packed) + 2)

    def texts(self) -> Iterator[tuple[datetime, bytes]]:
        """Time and text of each, oldest first."""
        text = b""
        for time, packed in zip(self.times, self.packed, strict=True):
            text = _unpacked(packed, text)
            yield time, text


@dataclass(slots=True, kw_only=True)
class _Shelf:
    """One scaler's blocks, oldest first. `last`: the text of the newest account."""

    blocks: deque[_Block] = field(default_factory=deque)
    size: int = 0
    last: bytes = b""
    decision: Decision | None = None


class Ledger:
    """The accounts by scaler uid. All scalers share `mib` evenly; of each the newest are kept, at least a block."""

    def __init__(self, mib: float = MIB) -> None:
        self._bytes = mib * 2**20
        self._shelves: dict[str, _Shelf] = {}

    def add(self, uid: str, account: Account) -> None:
        """Remember a tick; the oldest make room."""
        shelf = self._shelves.setdefault(uid, _Shelf())
        text = account.to_text().encode()
        _put(shelf, account.time, text)
        while len(shelf.blocks) > 1 and shelf.size > self._bytes / len(self._shelves):
            shelf.size -= shelf.blocks.popleft().size
        if account.record is not None:
            shelf.decision = account.record.decision

    def decision(self, uid: str) -> Decision | None:
        """The newest decision."""
        shelf = self._shelves.get(uid)
        return None if shelf is None else shelf.decision

    def texts(self, uid: str, limit: int, at: datetime | None = None) -> list[bytes]:
        """The `limit` newest accounts, or of those until `at`, as JSON texts: oldest first."""
        blocks = self._shelves[uid].blocks if uid in self._shelves else ()
        newest_first = (
            text
            for block in reversed(blocks)
            if at is None or block.times[0] <= at
            for time, text in reversed(list(block.texts()))
            if at is None or time <= at
        )
        return list(itertools.islice(newest_first, limit))[::-1]

    def kept(self, uid: str) -> Kept | None:
        """How many accounts there are and of which times; None where there is none."""
        shelf = self._shelves.get(uid)
        if shelf is None:
            return None
        count = sum(len(block.times) for block in shelf.blocks)
        return Kept(count=count, size=shelf.size, oldest=shelf.blocks[0].times[0], newest=shelf.blocks[-1].times[-1])

    def forget(self, uid: str) -> None:
        """Drop a scaler that is gone."""
        self._shelves.pop(uid, None)


def _put(shelf: _Shelf, time: datetime, text: bytes) -> None:
    block = shelf.blocks[-1] if shelf.blocks else None
    if block is None or len(block.times) == BLOCK or time < block.times[-1]:  # the clock may be put back
        block = _Block()
        shelf.blocks.append(block)
        shelf.last = b""
        shelf.size += block.size
    packed = _packed(text, shelf.last)
    shelf.last = text
    block.times.append(time)
    block.packed.append(packed)
    shelf.size += len(packed) + _OVERHEAD


def _packed(text: bytes, before: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, before)
    return packer.compress(text) + packer.flush()


def _unpacked(packed: bytes, before: bytes) -> bytes:
    unpacker = zlib.decompressobj(_WINDOW, before)
    return unpacker.decompress(packed) + unpacker.flush()
