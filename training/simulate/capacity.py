"""Which replicas can serve at each step? Those that were asked for a start-up time ago and wanted ever since.

The youngest end first, as a ReplicaSet does it. Must not know who asked, nor for what load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class SimulationError(ValueError):
    """What is asked cannot be replayed; the message names the option and the cure."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Capacity:
    """Replicas over time: `ready` and `desired`, int64, shape [n]; entry i holds for step i of the load."""

    ready: Ints
    desired: Ints

    @classmethod
    def of(cls, desired: Ints, *, initial: int, lag: int) -> Self:
        """Of the sizes that were asked for, where `initial` were ready before and starting takes `lag` steps."""
        return cls(ready=ready_of(desired, initial=initial, lag=lag), desired=desired)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lives:
    """How many steps each replica was there; int64. `started` and ended, or `lasting`: there before or at the end."""

    started: Ints
    lasting: Ints


def lag_of(startup: timedelta, step: timedelta) -> int:
    """The steps until a replica can serve: within a step it is not ready before the next one."""
    return -(-startup // step)


def ready_of(desired: Ints, *, initial: int, lag: int) -> Ints:
    """The replicas that can serve at each step, [n]: the fewest that were wanted in the last `lag` steps."""
    padded = np.concatenate([np.full(lag, initial, np.int64), desired])
    ready: Ints = np.lib.stride_tricks.sliding_window_view(padded, lag + 1).min(axis=1)
    return ready


def lives_of(desired: Ints, *, initial: int) -> Lives:
    """How long the replicas behind these sizes lived, where `initial` were there before."""
    running: list[tuple[int | None, int]] = [(None, initial)]  # since when, and how many of them; the youngest last
    started: list[tuple[int, int]] = []
    lasting: list[tuple[int, int]] = []
    size = initial
    for place in np.flatnonzero(np.diff(desired, prepend=initial)).tolist():
        surplus, size = size - int(desired[place]), int(desired[place])
        if surplus < 0:
            running.append((place, -surplus))
        while surplus > 0:
            since, count = running.pop()
            ended = min(count, surplus)
            surplus -= ended
            if ended < count:
                running.append((since, count - ended))
            (lasting if since is None else started).append((place - (since or 0), ended))
    lasting.extend((len(desired) - (since or 0), count) for since, count in running)
    return Lives(started=_each(started), lasting=_each(lasting))


def _each(lives: Sequence[tuple[int, int]]) -> Ints:
    """Pairs of a life and how many had it, one by one."""
    pairs = np.array(lives, np.int64).reshape(-1, 2)
    return np.repeat(pairs[:, 0], pairs[:, 1])
