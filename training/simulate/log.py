"""Which decisions made this capacity? One line a step, so that anyone can score it anew and see why.

Must not decide or score.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Self

import numpy as np

from controller.core.decide import Decision
from controller.core.series import Series
from training import whole
from training.simulate.capacity import Capacity, SimulationError

COLUMNS = ("time", "load", "demand", "source", "desired", "ready", "steps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What was decided at the beginning of each step; all [n], empty where nothing was decided.

    `demand`: the load to be ready for, metric's unit, NaN where there was none. `source`: who named it. `steps`: the
    rules that made the size, in words.
    """

    demand: list[float]
    source: list[str]
    steps: list[str]

    @classmethod
    def of(cls, count: int) -> Self:
        """Of `count` steps in which nothing was decided yet."""
        return cls(demand=[float("nan")] * count, source=[""] * count, steps=[""] * count)

    @classmethod
    def saying(cls, source: str, demand: Sequence[float]) -> Self:
        """Of a policy that has a demand, but no rules."""
        return cls(demand=list(demand), source=[source] * len(demand), steps=[""] * len(demand))

    def take(self, step: int, decision: Decision) -> None:
        """As `engine.Witness`."""
        value = decision.demand.value
        self.demand[step] = float("nan") if value is None else value
        self.source[step] = decision.demand.source.value
        self.steps[step] = decision.message


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """A policy over the whole span. `setting`: of its knob. `log`: None in a sweep."""

    name: str
    setting: float
    capacity: Capacity
    log: Log | None = field(default=None, repr=False)


def check(folder: Path) -> None:
    """That `folder` is a directory, or can become one, before anything takes long. Raises SimulationError."""
    place = folder if folder.is_dir() else folder.parent
    if folder.is_file() or not place.is_dir() or not os.access(place, os.W_OK):
        raise SimulationError(f"--out: {folder} cannot be made a directory; name one where you may write")


def make(folder: Path) -> None:
    """The directory, where there is none yet. Raises SimulationError."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise SimulationError(f"--out: {folder} cannot be made a directory: {error.strerror}") from error


def write(folder: Path, run: Run, *, load: Series) -> None:
    """`decisions-NAME.csv` in `folder`, whole or not at all. Raises SimulationError."""
    keep(folder / f"decisions-{run.name}.csv", _text(run, load))


def keep(path: Path, text: str) -> None:
    """`text` as the file `path`, whole or not at all. Raises SimulationError."""
    try:
        whole.write(path, text.encode())
    except OSError as error:
        raise SimulationError(f"--out: {path} cannot be written: {error.strerror}") from error


def _text(run: Run, load: Series) -> str:
    """The beginning of a step, what came in it, and what was decided at its beginning."""
    log = run.log or Log.of(len(load))
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    start = np.datetime64(load.start.astimezone(UTC).replace(tzinfo=None), "ms")
    times = start + np.arange(len(load)) * np.timedelta64(load.step)
    lines.writerows(
        zip(
            (f"{time}Z" for time in times.astype("M8[ms]" if load.step.microseconds else "M8[s]").astype(str).tolist()),
            map(_number, load.values.tolist()),
            map(_number, log.demand),
            log.source,
            run.capacity.desired.tolist(),
            run.capacity.ready.tolist(),
            log.steps,
            strict=True,
        )
    )
    return text.getvalue()


def _number(value: float) -> str:
    """All digits, so that what is read back is the same; nothing where it is not known."""
    return repr(value) if value == value else ""  # noqa: PLR0124  # NaN, without a call
