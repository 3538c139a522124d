"""Is a write sent again only while what it was decided on stands, and never over somebody else's change?"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.kubernetes_api import ConflictError, NotFoundError
from controller.targets.conflicts import WRITE_ATTEMPTS, retry_on_conflict

FOUND, WANTED, THEIRS = 3, 7, 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    size: int = FOUND
    version: int = 1


@dataclass(slots=True, kw_only=True)
class Server:
    """One object. `others`: the size that somebody writes just before each send arrives; None where nobody does."""

    others: list[int | None]
    thing: Thing = field(default_factory=Thing)
    sent: int = 0

    async def send(self, read: Thing) -> None:
        """Refused unless `read` is as new as the object."""
        other = self.others[self.sent]
        self.sent += 1
        if other is not None:
            self._write(other)
        if read.version != self.thing.version:
            raise ConflictError("modified")
        self._write(WANTED)

    async def again(self) -> Thing:
        return self.thing

    def _write(self, size: int) -> None:
        self.thing = replace(self.thing, size=size, version=self.thing.version + 1)


def written(server: Server) -> bool:
    send = retry_on_conflict(server.thing, send=server.send, again=server.again, basis=lambda thing: thing.size)
    try:
        asyncio.run(send)
    except ConflictError:
        return False
    return True


@given(st.lists(st.sampled_from([None, FOUND, THEIRS]), min_size=WRITE_ATTEMPTS, max_size=WRITE_ATTEMPTS))
def test_the_first_send_that_meets_nobody_arrives_unless_the_size_was_changed_before(others: list[int | None]) -> None:
    server = Server(others=others)
    quiet = others.index(None) if None in others else WRITE_ATTEMPTS
    changed = others.index(THEIRS) if THEIRS in others else WRITE_ATTEMPTS
    is_written = quiet < changed
    sends = min(quiet + 1, changed + 1, WRITE_ATTEMPTS)
    size = WANTED if is_written else THEIRS if changed < WRITE_ATTEMPTS else FOUND
    assert (written(server), server.sent, server.thing.size) == (is_written, sends, size)


async def test_what_cannot_be_read_again_tells_why() -> None:
    server = Server(others=[FOUND])

    async def again() -> Thing:
        raise NotFoundError("deleted meanwhile")

    with pytest.raises(NotFoundError, match="deleted meanwhile"):
        await retry_on_conflict(server.thing, send=server.send, again=again, basis=lambda thing: thing.size)
    assert server.sent == 1
