"""How are many replays done at once? Each in a process of its own, as many at a time as there are cores.

Must not know what they replay.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from training import workers
from training.simulate.capacity import SimulationError

_COMMANDS = "training.__main__"  # a process imports what its parent was started by
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)


class Task(Protocol[_R_co]):
    """What is pickled, run, and answered."""

    def run(self) -> _R_co:
        """In a process of its own; what it raises ends that process."""
        ...


def prepare(modules: Sequence[str], cores: int | None = None) -> None:
    """Begin to import `modules`, of which tasks will be, for all processes to come; `cores` as for `answers`."""
    if _count(cores) > 1:
        workers.prepare([_COMMANDS, *modules])


def answers(tasks: Sequence[Task[_R]], cores: int | None = None) -> Iterator[tuple[int, _R]]:
    """The place of each task and what it answered, in the order in which they are done; `cores`: all by default.

    One core or one task needs no other process. Raises SimulationError, and there what a task raises.
    """
    count = _count(cores)
    if count == 1 or len(tasks) <= 1:
        yield from ((place, task.run()) for place, task in enumerate(tasks))
        return
    needed = [_COMMANDS, *sorted({type(task).__module__ for task in tasks})]
    for (place, _), answer in workers.each(_run, list(enumerate(tasks)), workers=count, preload=needed):
        if isinstance(answer, workers.BrokenError):
            raise SimulationError(f"a replay did not end: {answer}")
        yield place, answer


def _count(cores: int | None) -> int:
    return cores or len(os.sched_getaffinity(0))


def _run(numbered: tuple[int, Task[_R]]) -> _R:
    return numbered[1].run()
