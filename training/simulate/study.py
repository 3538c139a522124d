"""Which policies are replayed, at which settings? Each in a process of its own, as many at a time as there are cores.

Must not read data or write files; what is replayed is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from controller.core.policy import Policy
from controller.core.series import Series
from controller.spec import parse
from training.simulate import aws, hpa, parallel
from training.simulate.capacity import Capacity, SimulationError, lag_of
from training.simulate.engine import replay
from training.simulate.foresight import Forecasts
from training.simulate.frontier import Frontier, Point
from training.simulate.log import Log, Run
from training.simulate.parallel import Task, answers
from training.simulate.policies import oracle, reactive, static
from training.simulate.prices import Price
from training.simulate.scores import score

PREDICTIVE, HPA, STATIC, ORACLE = USUALLY = ("predictive", "hpa", "static", "oracle")
AWS_PREDICTIVE, AWS_TRACKING = AWS = ("aws-predictive", "aws-tracking")  # told apart by what predictive scaling adds
NAMES = (*USUALLY, *AWS)
UTILISATIONS = tuple(percent / 100 for percent in range(40, 91, 5))
AWS_UTILISATIONS = tuple(percent / 100 for percent in range(10, 91, 5))  # three minutes late, so with more to spare
PARTS = tuple(percent / 100 for percent in range(50, 101, 5))
OBJECTIVES = (0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0003, 0.0001, 0.00003)
QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.97, 0.99)
USUAL = 0.7  # the share of what replicas serve that is in use at the beginning

Tell = Callable[[int, int], None]
Keep = Callable[[Run], None]  # hears of each run that is shown as soon as it has ended


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """What all policies meet. `load`: the span, metric's unit a second. `per_replica`: what one replica serves of it.

    `before`: the load of the step before the span, NaN where it is not known. `initial`: replicas that are ready at
    first. `lowest`, `highest`: the bounds of every policy's size.
    """

    load: Series
    before: float
    startup: timedelta
    per_replica: float
    initial: int
    lowest: int
    highest: int
    price: Price

    def point(self, run: Run) -> Point:
        """The run, scored and priced."""
        initial = int(run.capacity.desired[0]) if run.name == STATIC else self.initial
        return Point(
            setting=run.setting,
            score=score(self.load, run.capacity, self.per_replica),
            cost=self.price.cost(run.capacity, initial=initial, step=self.load.step),
        )

    def target(self, utilisation: float) -> float:
        """The load per replica that an HPA with this target utilisation aims at."""
        return utilisation * self.per_replica


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to replay. `names`: of NAMES. `policy`: the predictive one; None where it is not asked for.

    `utilisation`: of the HPA and of AWS's policies that are shown. `is_swept`: the predictive one at many settings as
    well. `past`: the load before the span, in its steps, where AWS's policies are asked for; `buffer`: theirs.
    """

    names: Sequence[str]
    policy: Policy | None
    utilisation: float = 0.5
    is_swept: bool = False
    past: Series | None = None
    buffer: timedelta = aws.BUFFER

    @property
    def knob(self) -> str:
        """What a sweep of the predictive policy varies."""
        return "quantile" if self.policy is not None and self.policy.objective is None else "objective"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """What came of it. `runs`: of the policies that were asked for. `frontiers`: of all but the static one, by name."""

    scene: Scene
    runs: Mapping[str, Run]
    frontiers: Mapping[str, Frontier]
    static: Point
    reference: Point
    """The HPA that is shown."""


_Found = list[tuple[Run, Point]]


def prepare(cores: int | None = None) -> None:
    """Begin with what the replays' processes need, while the load is read."""
    parallel.prepare([__name__], cores)


def study(
    scene: Scene,
    question: Question,
    forecasts: Forecasts | None,
    *,
    cores: int | None = None,
    tell: Tell = lambda _done, _all: None,
    keep: Keep = lambda _run: None,
) -> Study:
    """Replay all that is asked for. Raises SimulationError, and what `keep` raises."""
    tasks = _tasks(scene, question, forecasts)
    found: _Found = []
    for done, (_, answer) in enumerate(answers(tasks, cores), start=1):
        found += answer
        for run, _ in answer:
            if run.log is not None and run.name in question.names:
                keep(run)
        tell(done, len(tasks))
    shown = {run.name: run for run, _ in found if run.log is not None}
    swept = [(run.name, point) for run, point in found]
    targets = dict.fromkeys((HPA, *AWS), "target utilisation")
    knobs = {PREDICTIVE: question.knob, **targets, ORACLE: "part of the load"}
    frontiers = {
        name: Frontier(knob=knob, points=_ordered(point for owner, point in swept if owner == name))
        for name, knob in knobs.items()
    }
    return Study(
        scene=scene,
        runs={name: shown[name] for name in question.names},
        frontiers={name: frontier for name, frontier in frontiers.items() if frontier.points},
        static=scene.point(shown[STATIC]),
        reference=scene.point(shown[HPA]),
    )


def _ordered(points: Iterable[Point]) -> tuple[Point, ...]:
    """Each setting once."""
    return tuple(sorted({point.setting: point for point in points}.values(), key=lambda point: point.setting))


def _tasks(scene: Scene, question: Question, forecasts: Forecasts | None) -> list[Task[_Found]]:
    """The longest first, so that none begins when all others have ended."""
    tasks: list[Task[_Found]] = []
    if question.policy is not None and PREDICTIVE in question.names:
        own = _setting(question.policy)
        swept = [one for one in _settings(question.policy) if one != own] if question.is_swept else []
        tasks += [
            _Predictive(scene=scene, policy=question.policy, setting=one, forecasts=forecasts, is_logged=one == own)
            for one in (own, *swept)
        ]
    tasks.append(_Reactive(scene=scene, utilisation=question.utilisation))
    tasks += [_Aws(scene=scene, question=question, name=name) for name in AWS if name in question.names]
    tasks += [_Sweep(scene=scene, utilisations=(*UTILISATIONS,)), _Known(scene=scene)]
    return tasks


def _setting(policy: Policy) -> float:
    return policy.quantile if policy.objective is None else policy.objective


def _settings(policy: Policy) -> Sequence[float]:
    return QUANTILES if policy.objective is None else OBJECTIVES


def _set(policy: Policy, setting: float) -> Policy:
    return replace(policy, quantile=setting) if policy.objective is None else replace(policy, objective=setting)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Predictive:
    """The policy that is judged, at one setting."""

    scene: Scene
    policy: Policy
    setting: float
    forecasts: Forecasts | None
    is_logged: bool

    def run(self) -> _Found:
        scene = self.scene
        log = Log.of(len(scene.load)) if self.is_logged else None
        watched = {"witness": log.take} if log is not None else {}
        capacity = replay(
            scene.load,
            _set(self.policy, self.setting),
            startup=scene.startup,
            initial=scene.initial,
            before=scene.before,
            foresight=self.forecasts,
            **watched,
        )
        run = Run(name=PREDICTIVE, setting=self.setting, capacity=capacity, log=log)
        return [(run, scene.point(run))]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Reactive:
    """The HPA that is shown, through `decide`, with its reasons."""

    scene: Scene
    utilisation: float

    def run(self) -> _Found:
        scene, log = self.scene, Log.of(len(self.scene.load))
        policy = hpa_policy(scene, self.utilisation)
        capacity = replay(
            scene.load, policy, startup=scene.startup, initial=scene.initial, before=scene.before, witness=log.take
        )
        run = Run(name=HPA, setting=self.utilisation, capacity=capacity, log=log)
        return [(run, scene.point(run))]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sweep:
    """HPAs with many targets."""

    scene: Scene
    utilisations: tuple[float, ...]

    def run(self) -> _Found:
        scene = self.scene
        targets = np.array([scene.target(utilisation) for utilisation in self.utilisations])
        asked = hpa.sizes(
            scene.load, targets, initial=scene.initial, lowest=scene.lowest, highest=scene.highest, before=scene.before
        )
        lag = lag_of(scene.startup, scene.load.step)
        runs = [
            Run(name=HPA, setting=utilisation, capacity=Capacity.of(asked[:, place], initial=scene.initial, lag=lag))
            for place, utilisation in enumerate(self.utilisations)
        ]
        return [(_bare(run), scene.point(run)) for run in runs]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Aws:
    """One of AWS's policies with many targets, and with the one that is shown."""

    scene: Scene
    question: Question
    name: str

    def run(self) -> _Found:
        scene, shown = self.scene, self.question.utilisation
        utilisations = sorted({*AWS_UTILISATIONS, shown})
        targets = np.array([scene.target(utilisation) for utilisation in utilisations])
        asked = aws.sizes(
            scene.load,
            targets,
            startup=scene.startup,
            initial=scene.initial,
            lowest=scene.lowest,
            highest=scene.highest,
            before=scene.before,
            floor=self._floor() if self.name == AWS_PREDICTIVE else None,
        )
        lag, found = lag_of(scene.startup, scene.load.step), []
        for place, utilisation in enumerate(utilisations):
            capacity = Capacity.of(asked.sizes[:, place], initial=scene.initial, lag=lag)
            log = aws.log_of(asked, place, float(targets[place])) if utilisation == shown else None
            run = Run(name=self.name, setting=utilisation, capacity=capacity, log=log)
            found.append((run if log else _bare(run), scene.point(run)))
        return found

    def _floor(self) -> NDArray[np.float64]:
        load, past = self.scene.load, self.question.past
        nothing = Series(end=load.start, step=load.step, values=np.zeros(0))
        return aws.floor_of(nothing if past is None else past, load, self.question.buffer)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Known:
    """What nobody can know beforehand: the smallest size that is always enough, and the load to come."""

    scene: Scene

    def run(self) -> _Found:
        scene = self.scene
        bounds = {"lowest": scene.lowest, "highest": scene.highest}
        fixed = static(scene.load, scene.per_replica, **bounds)
        served = float(fixed.desired[0] * scene.per_replica)
        runs = [Run(name=STATIC, setting=1.0, capacity=fixed, log=Log.saying("Static", [served] * len(scene.load)))]
        for part in PARTS:
            knowing = oracle(
                scene.load,
                scene.per_replica,
                startup=scene.startup,
                initial=scene.initial,
                part=part,
                **bounds,
            )
            log = Log.saying("Oracle", (knowing.desired * scene.per_replica).tolist()) if part == PARTS[-1] else None
            runs.append(Run(name=ORACLE, setting=part, capacity=knowing, log=log))
        return [(run if run.log else _bare(run), scene.point(run)) for run in runs]


def _bare(run: Run) -> Run:
    """Without what nobody asks for: of a sweep only the scores travel between processes."""
    none = np.zeros(0, np.int64)
    return replace(run, capacity=Capacity(ready=none, desired=none))


def hpa_policy(scene: Scene, utilisation: float) -> Policy:
    """The HPA of `hpa.sizes` as `decide` takes it."""
    every = timedelta(seconds=15)
    spec = parse(
        {
            "targetRef": {"name": "any"},
            "minReplicas": scene.lowest,
            "maxReplicas": scene.highest,
            "metric": {"prometheus": {"query": "any"}, "targetPerReplica": 1},
        }
    )
    return replace(reactive(spec.policy), target_per_replica=scene.target(utilisation), interval=every)


def usual_size(before: Series, load: Series, per_replica: float) -> int:
    """The size at the beginning: as for the load of the last minutes before the span, or else of its first."""
    count = max(1, timedelta(minutes=5) // load.step)
    for values in (before.values[-count:], load.values[:count], load.values):
        known = values[np.isfinite(values)]
        if len(known):
            return max(1, math.ceil(float(known.mean()) / (USUAL * per_replica)))
    raise SimulationError("the span holds no load at all; check --from and --until")
