"""How does a test wait for what another task, thread or process is about to do? For the event, as long as it may take.

`PATIENCE` seconds bound a wait that would never end; no test may take a slow machine for a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE = 60.0


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what nobody tells: asks again and again. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110  # as said
            await asyncio.sleep(0.01)
