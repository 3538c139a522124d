"""How does each of many policies do on a load? Only its figures, each in a process of its own.

Must not choose among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from controller.core.policy import Policy
from controller.core.series import Series
from training.simulate.engine import replay
from training.simulate.foresight import Forecasts
from training.simulate.frontier import Point
from training.simulate.log import Run
from training.simulate.parallel import answers
from training.simulate.study import Scene

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """A policy on a scene. `setting`: of whatever is varied.

    `forecasts`: None where it is told none. `over`: what it sees is the mean of so long, as of a `rate(...[5m])`; by
    default that of one step.
    """

    scene: Scene
    policy: Policy
    setting: float
    forecasts: Forecasts | None = None
    over: timedelta = timedelta(0)

    def run(self) -> Point:
        """Replayed, scored and priced."""
        scene = self.scene
        capacity = replay(
            averaged(scene.load, self.over),
            self.policy,
            startup=scene.startup,
            initial=scene.initial,
            before=scene.before,
            foresight=self.forecasts,
        )
        return scene.point(Run(name="trial", setting=self.setting, capacity=capacity))


def points(trials: Sequence[Trial], *, cores: int | None = None, tell: Tell = lambda _done, _all: None) -> list[Point]:
    """What came of each, in their order. Raises SimulationError."""
    found: dict[int, Point] = {}
    for place, point in answers(trials, cores):
        found[place] = point
        tell(len(found), len(trials))
    return [found[place] for place in range(len(trials))]


def averaged(load: Series, over: timedelta) -> Series:
    """The mean of what is known of the last `over` (or of the first steps, as far as there are any) at each step."""
    count = over // load.step
    if count <= 1:
        return load
    known = np.isfinite(load.values)
    sums, present = (
        np.lib.stride_tricks.sliding_window_view(np.pad(values, (count - 1, 0)), count).sum(axis=1)
        for values in (np.where(known, load.values, 0.0), known.astype(np.float64))
    )
    means = np.divide(sums, present, out=np.full(len(load), np.nan), where=present > 0.0)
    return replace(load, values=means)
