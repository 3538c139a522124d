"""May this be written now? Only for a scaler, and only while this process is sure to be the one that serves it.

Whoever writes for a scaler says so around all that it does (`writing`); whoever sends a write to a server asks just
before (`seconds_left`), whatever has been waited for in between. So no caller has to remember to ask, and a write that
nobody permitted is refused. Must not know how that sureness comes about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

Left = Callable[[], float]
"""For how many seconds from now writes are permitted; none where that is 0 or less."""

REFUSED = "not sent: this replica may not write here now, another one may serve it"


def _nothing() -> float:
    return 0.0


_left: ContextVar[Left] = ContextVar("left", default=_nothing)


@contextmanager
def writing(left: Left) -> Iterator[None]:
    """Permit writes of this task, and of those that it starts, for as long as `left` tells."""
    token = _left.set(left)
    try:
        yield
    finally:
        _left.reset(token)


def always(_: object) -> AbstractContextManager[Left]:
    """Permit without end, for who writes alone."""
    return nullcontext(lambda: math.inf)


def seconds_left() -> float:
    """How long whoever asks may still write; it must be with the server by then."""
    return _left.get()()
