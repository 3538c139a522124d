"""How is much work done on one machine? Each task in a process of its own, some at a time.

A process is forked from one that has imported everything already, so it begins at once; what it held is given back when
it ends, and what kills it costs its own task only. Must not know what is done.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from time import monotonic
from typing import Generic, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")

_CONTEXT = multiprocessing.get_context("forkserver")
_PRELOAD = (
    "__main__",
    "training.__main__",
    "training.families.lightgbm",
    "training.families.pooled",
    "training.families.seasonal",
)
LONGEST = timedelta(minutes=30)
_END_SECONDS = 5.0
# One worker, one core: libraries that take all cores for themselves would take them from one another.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


class BrokenError(Exception):
    """The process of a task ended without an answer; the message says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running(Generic[_T]):
    """`until`: when its time is over, in the seconds of `monotonic`."""

    task: _T
    process: ForkServerProcess
    until: float


def each(
    work: Callable[[_T], _R],
    tasks: Sequence[_T],
    *,
    workers: int,
    longest: timedelta = LONGEST,
    preload: Sequence[str] = _PRELOAD,
) -> Iterator[tuple[_T, _R | BrokenError]]:
    """Every task with what `work` makes of it, in the order in which they are done.

    `work` and the tasks are pickled. `preload`: modules that they need; the first call says it for all. Whatever ends
    the iteration, an interruption as well, ends all processes first.
    """
    prepare(preload)
    running: dict[Connection, _Running[_T]] = {}
    waiting = deque(tasks)
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                task = waiting.popleft()
                answer, process = _begin(work, task)
                running[answer] = _Running(task=task, process=process, until=monotonic() + longest.total_seconds())
            yield from _answered(running)
    finally:
        for left in running.values():
            left.process.terminate()
        for left in running.values():
            _end(left.process)


def prepare(preload: Sequence[str] = _PRELOAD) -> None:
    """Start the process from which the others are forked, once and for all; it imports while other work is done."""
    _CONTEXT.set_forkserver_preload(list(preload))
    with _single_threaded():
        forkserver.ensure_running()


def _begin(work: Callable[[_T], _R], task: _T) -> tuple[Connection, ForkServerProcess]:
    """The process of a task, and where its answer comes in."""
    ours, theirs = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_run, args=(work, task, theirs), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _run(work: Callable[[_T], _R], task: _T, answer: Connection) -> None:
    """In the process of the task; who interrupts the whole ends it through the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answer.send(work(task))
    answer.close()


def _answered(running: dict[Connection, _Running[_T]]) -> Iterator[tuple[_T, _R | BrokenError]]:
    """Wait until some are done, or their time is over; they run no more."""
    soonest = min(each.until for each in running.values())
    ready = wait(list(running), timeout=max(0.0, soonest - monotonic()))
    for connection in [one for one in running if one in ready or running[one].until <= monotonic()]:
        done = running.pop(connection)
        yield done.task, _answer(connection, done.process, is_late=connection not in ready)


def _answer(connection: Connection, process: ForkServerProcess, *, is_late: bool) -> _R | BrokenError:
    try:
        if is_late:
            process.kill()
            return BrokenError("it took too long and was ended")
        answer: _R = connection.recv()
    except EOFError:
        process.join(_END_SECONDS)
        return BrokenError(_how_it_ended(process.exitcode))
    else:
        return answer
    finally:
        connection.close()
        _end(process)


def _how_it_ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"its process was killed by signal {-code}; 9 is most often too little memory"
    return f"its process ended with code {code}; its last words are above"


def _end(process: ForkServerProcess) -> None:
    process.join(_END_SECONDS)
    if process.is_alive():
        process.kill()
        process.join(_END_SECONDS)
    process.close()


@contextmanager
def _single_threaded() -> Iterator[None]:
    """For what is started meanwhile, where the user has not said otherwise."""
    added = [name for name in _ONE_THREAD if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
