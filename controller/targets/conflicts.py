"""What is done about an object that somebody else changed between being read and being written?

A write names the version that was read, so the API server refuses it with 409 when anything has changed since: the
status of what is just being scaled does so all the time. While what was decided on still stands, the write is sent
again, for the version that is there now. It must not know what is written, nor how.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from controller.kubernetes_api import ConflictError

WRITE_ATTEMPTS = 3
"""So often something is written to an object that others keep changing, before it is left to the next tick."""

Read = TypeVar("Read")


async def retry_on_conflict(
    read: Read,
    *,
    send: Callable[[Read], Awaitable[object]],
    again: Callable[[], Awaitable[Read]],
    basis: Callable[[Read], object],
) -> None:
    """`send` on condition of what was `read`, and of what is read `again` while its `basis` is the same.

    Raises what `send` and `again` raise; ConflictError when the basis changed, or after WRITE_ATTEMPTS.
    """
    expected = basis(read)
    for left in reversed(range(WRITE_ATTEMPTS)):
        try:
            await send(read)
        except ConflictError:
            if not left:
                raise
            read = await again()
            if basis(read) != expected:
                raise
        else:
            return
