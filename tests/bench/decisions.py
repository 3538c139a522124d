"""What are the decisions worth on public traces? `python -m tests.bench.decisions [nasa] [twitter] [cloudwatch]`.

Each policy is replayed at many settings and read where all are short equally often. Two models: the shipped default,
and a LightGBM of five minutes that is fitted here on what came before the test (or `--model FILE`, for NASA). Minutes
on two cores. Not a test.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from controller.core.policy import Policy
from controller.forecaster import Model, load_model
from controller.spec import parse
from tests.bench import floor
from training import datasets, export, shipped
from training.datasets import Request
from training.families.lightgbm import LightGBM
from training.job import Job
from training.simulate import hpa, prices
from training.simulate.capacity import Capacity, lag_of
from training.simulate.comparison import AtRisk, at_risk
from training.simulate.foresight import Forecasts
from training.simulate.frontier import Frontier, Point
from training.simulate.log import Run
from training.simulate.material import Material, gather
from training.simulate.study import HPA, OBJECTIVES, ORACLE, PREDICTIVE, STATIC, Question, Scene, Study, study
from training.simulate.trials import Trial, points
from training.simulate.wanted import Wanted
from training.windows import Window

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
TICK, STEP, HORIZON = timedelta(seconds=15), timedelta(minutes=5), timedelta(hours=6)
NASA_TEST = datetime.fromisoformat("1995-08-23T00:00:00-04:00")
TWITTER_TEST = datetime(2021, 8, 17, tzinfo=UTC)
STARTUPS = (timedelta(seconds=60), timedelta(seconds=300))
GAP_GOALS, UNSERVED_GOAL = (0.65, 0.8), 0.7
GOAL = 0.01  # the share of time at which all are compared
SMOOTHED = (0.5, 1, 2, 5, 10)  # minutes
RISKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
SWEEP = (0.07, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005)  # objectives, beyond RISKS at both ends
RIVALS = tuple(percent / 100 for percent in (*range(1, 20), *range(20, 121, 2)))  # targets of HPAs, beyond the usual
MEAN_REPLICAS = 8.0
BESIDE_A_LOAD = ("cloudwatch/ec2_request_latency_system_failure",)  # a time that requests take is no load
CLOUD_OBJECTIVES = (0.05, 0.02)  # of some 1,200 steps each: less than 2 % would be a matter of a few
_DEFAULT = Path(__file__).parents[2] / "models" / "default.onnx"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """A trace to replay, how a replica starts, and what each model said of it."""

    material: Material
    scene: Scene
    policy: Policy
    forecasts: Mapping[str, Forecasts]

    def trials(self, objectives: Sequence[float]) -> list[Trial]:
        """Each model at each objective."""
        return [
            Trial(
                scene=self.scene,
                policy=replace(self.policy, objective=objective),
                setting=objective,
                forecasts=forecasts,
            )
            for forecasts in self.forecasts.values()
            for objective in objectives
        ]

    def frontiers(self, found: Sequence[Point]) -> dict[str, Frontier]:
        """What `trials` came to, by model."""
        each = len(found) // len(self.forecasts)
        return {
            name: Frontier(knob="objective", points=tuple(found[place * each : (place + 1) * each]))
            for place, name in enumerate(self.forecasts)
        }


def stage(material: Material, startup: timedelta, said: Mapping[str, Forecasts], interval: timedelta = TICK) -> Stage:
    """The defaults of the spec, replicas that start in `startup`, eight of them on average at 70 %."""
    spec = {
        "targetRef": {"name": "web"},
        "maxReplicas": 100_000,
        "metric": {"prometheus": {"query": "q"}, "targetPerReplica": 1},
        "objective": {"underProvisionedTime": "1%"},
    }
    policy = replace(parse(spec).policy, lead_time=startup, interval=interval)
    wish = Wanted(policy=policy, model=None, has_spec=False, zone=None)
    scene = wish.scene(
        material,
        startup=startup,
        per_replica=None,
        mean_replicas=MEAN_REPLICAS,
        price=prices.read(prices.DEFAULT),
    )
    return Stage(material=material, scene=scene, policy=wish.aimed(scene, MEAN_REPLICAS), forecasts=said)


def request(trace: str, step: timedelta) -> Request:
    """A public trace."""
    return Request(data=f"public:{trace}", step=step, season=DAY, now=NOW)


def fitted(trace: str, since: datetime) -> Model:
    """A LightGBM of what came before `since`, not cleaned, as `fit --test-from ... --clean off` makes it."""
    window = Window.fitting(step=STEP, season=DAY, horizon=HORIZON)
    job = Job.of(datasets.load(request(trace, STEP)), window, since, how="off")
    return export.draft(job.fit(LightGBM()), job.lessons, window, name="lightgbm", unit="load")


def heard(material: Material, models: Mapping[str, Model]) -> dict[str, Forecasts]:
    """What each model said, far enough ahead for every start-up time."""
    reach = STARTUPS[-1] + STEP
    return {
        name: material.forecasts(model, material.zone, reach, lambda _done, _all: None)
        for name, model in models.items()
    }


def rivals(scene: Scene) -> Frontier:
    """HPAs from far too careful to far too bold: the best of them at a risk lies on this."""
    asked = hpa.sizes(
        scene.load,
        np.array([scene.target(utilisation) for utilisation in RIVALS]),
        initial=scene.initial,
        lowest=scene.lowest,
        highest=scene.highest,
        before=scene.before,
    )
    lag = lag_of(scene.startup, scene.load.step)
    runs = (
        Run(name=HPA, setting=utilisation, capacity=Capacity.of(asked[:, place], initial=scene.initial, lag=lag))
        for place, utilisation in enumerate(RIVALS)
    )
    return Frontier(knob="target utilisation", points=tuple(scene.point(run) for run in runs))


def nasa(console: Console, path: Path | None) -> None:
    """The goals of the decisions, and what stands in the way."""
    material = gather(request("nasa", TICK), NASA_TEST)
    models = {"lightgbm": fitted("nasa", NASA_TEST) if path is None else load_model(path)}
    said = heard(material, models | {"default": load_model(_DEFAULT)})
    stages = [stage(material, startup, said) for startup in STARTUPS]
    found = points([trial for each in stages for trial in each.trials(OBJECTIVES)])
    half = len(found) // len(stages)
    frontiers = [each.frontiers(found[place * half : (place + 1) * half]) for place, each in enumerate(stages)]
    baselines = [study(each.scene, Question(names=(HPA, STATIC, ORACLE), policy=None), None) for each in stages]
    _tell_met(console, stages, frontiers)
    _tell_goals(console, baselines, frontiers)
    _tell_floor(console, material, baselines)


def _tell_met(console: Console, stages: Sequence[Stage], frontiers: Sequence[Mapping[str, Frontier]]) -> None:
    table = Table("objective", *_headings(stages), title="NASA: share of the time that was really short")
    for place, objective in enumerate(OBJECTIVES):
        found = [frontier.points[place].score for each in frontiers for frontier in each.values()]
        table.add_row(_percent(objective), *(f"{score.under_provisioned:.3%}" for score in found))
    console.print(table)


def _headings(stages: Sequence[Stage]) -> Iterator[str]:
    return (f"{name}, {each.scene.startup.total_seconds():.0f} s" for each in stages for name in each.forecasts)


def _tell_goals(console: Console, baselines: Sequence[Study], frontiers: Sequence[Mapping[str, Frontier]]) -> None:
    headings = ("hours", "HPA", "oracle", "gap closed", "goal", "unserved less", "goal", "changes", "HPA 50 %")
    table = Table("start-up, model", *headings, title=f"NASA at {_percent(GOAL)} under-provisioned time")
    for baseline, models, goal in zip(baselines, frontiers, GAP_GOALS, strict=True):
        for name, frontier in models.items():
            held = replace(baseline, frontiers={**baseline.frontiers, PREDICTIVE: frontier})
            value = at_risk(held, GOAL)
            if value is not None:
                table.add_row(*_goal_cells(baseline, name, value, goal))
    console.print(table)
    budgets = ", ".join(f"{one.reference.score.replica_hours:,.0f}" for one in baselines)
    console.print(f"unserved less: than the HPA at 50 %, for no more than its replica-hours ({budgets})")


def _goal_cells(baseline: Study, name: str, value: AtRisk, goal: float) -> list[str]:
    hours = (value.replica_hours[one] for one in (PREDICTIVE, HPA, ORACLE))
    return [
        f"{baseline.scene.startup.total_seconds():.0f} s, {name}",
        *(_count(one) for one in hours),
        _share(value.gap_closed),
        f">= {goal:.0%}",
        _share(value.unserved_below_hpa),
        f">= {UNSERVED_GOAL:.0%}",
        _count(value.changes[PREDICTIVE]),
        f"{baseline.reference.score.changes:,}",
    ]


def _tell_floor(console: Console, material: Material, baselines: Sequence[Study]) -> None:
    """For each who knows too much: the fewest replica-hours, and the most of each gap that they would close."""
    load, each = material.load, baselines[0].scene.per_replica
    headings = ("replica-hours", *(f"of the gap at {one.scene.startup.total_seconds():.0f} s" for one in baselines))
    table = Table("knows", *headings, f"in {floor.MORE_GROUPS} groups")
    table.title = f"NASA: the fewest replica-hours at {_percent(GOAL)} under-provisioned time"
    for name, known in _known(material):
        hours = floor.fewest_hours(load, known, each, GOAL)
        finer = floor.fewest_hours(load, known, each, GOAL, groups=floor.MORE_GROUPS)
        table.add_row(name, f"{hours:,.0f}", *(_share(_closed(one, hours)) for one in baselines), f"{finer:,.0f}")
    for goal, one in zip(GAP_GOALS, baselines, strict=True):
        table.add_row(f"the goal of {goal:.0%} asks for", _count(_asked(one, goal)), "", "", "")
    console.print(table)
    for minutes in SMOOTHED:
        left = floor.remainder(load, floor.smoothed(load, minutes * MINUTE), STARTUPS[0] + TICK)
        console.print(
            f"beside the load smoothed by {minutes:g} min: {left.dispersion:.2f} times the variance of independent "
            f"requests, and an autocorrelation of {left.autocorrelation:+.3f} after {left.after.total_seconds():.0f} s"
        )


def _known(material: Material) -> Iterator[tuple[str, floor.Floats]]:
    """What nobody can know of each step, in words and in figures."""
    for minutes in SMOOTHED:
        name = f"the load smoothed by {minutes:g} min, itself and all that follows included"
        yield name, floor.smoothed(material.load, minutes * MINUTE)
    for is_told in (False, True):
        for startup in (timedelta(0), *STARTUPS):
            name = f"what was seen until {startup.total_seconds():.0f} s before" + ", and all after" * is_told
            yield name, floor.linear(material.before, material.load, startup, is_told_future=is_told)


def _closed(baseline: Study, hours: float) -> float | None:
    rival, best = (baseline.frontiers[name].hours_at(GOAL) for name in (HPA, ORACLE))
    return None if rival is None or best is None else (rival - hours) / (rival - best)


def _asked(baseline: Study, goal: float) -> float | None:
    rival, best = (baseline.frontiers[name].hours_at(GOAL) for name in (HPA, ORACLE))
    return None if rival is None or best is None else rival - goal * (rival - best)


def twitter(console: Console) -> None:
    """Against the best HPA at each risk."""
    material = gather(request("twitter", TICK), TWITTER_TEST)
    said = heard(material, {"lightgbm": fitted("twitter", TWITTER_TEST), "default": load_model(_DEFAULT)})
    stages = [stage(material, startup, said) for startup in STARTUPS]
    found = points([trial for each in stages for trial in each.trials(SWEEP)])
    half = len(found) // len(stages)
    for place, each in enumerate(stages):
        _tell_risks(console, each, each.frontiers(found[place * half : (place + 1) * half]))


def _tell_risks(console: Console, each: Stage, frontiers: Mapping[str, Frontier]) -> None:
    best = rivals(each.scene)
    headings = [f"{name} {what}" for name in frontiers for what in ("hours", "less")]
    title = f"Twitter, start-up {each.scene.startup.total_seconds():.0f} s: replica-hours at equal risk"
    table = Table("short", "best HPA", *headings, title=title)
    for risk in RISKS:
        theirs = best.hours_at(risk)
        cells = (one.hours_at(risk) for one in frontiers.values())
        table.add_row(
            _percent(risk), _count(theirs), *(cell for own in cells for cell in (_count(own), _less(own, theirs)))
        )
    console.print(table)
    _tell_objectives(console, title, best, frontiers)


def _tell_objectives(console: Console, title: str, best: Frontier, frontiers: Mapping[str, Frontier]) -> None:
    """What each objective came to, beside the HPA that is short as often as it really was."""
    headings = [f"{name} {what}" for name in frontiers for what in ("short", "hours", "less")]
    table = Table("objective", *headings, title=title.replace("at equal risk", "by objective"))
    for place, objective in enumerate(SWEEP):
        cells: list[str] = []
        for frontier in frontiers.values():
            score = frontier.points[place].score
            theirs = best.hours_at(score.under_provisioned)
            cells += [f"{score.under_provisioned:.2%}", _count(score.replica_hours), _less(score.replica_hours, theirs)]
        table.add_row(_percent(objective), *cells)
    console.print(table)


def cloudwatch(console: Console) -> None:
    """The last 30 % of each, which no shipped model has seen; a decision each five minutes."""
    headings = [f"{_percent(one)}: {what}" for one in CLOUD_OBJECTIVES for what in ("short", "hours", "HPA", "less")]
    table = Table("series", "steps", *headings, title="CloudWatch: objectives, and HPAs that are short as often")
    model, ahead = load_model(_DEFAULT), []
    for trace in shipped.TRACES:
        if trace.name.startswith("cloudwatch/") and trace.name not in BESIDE_A_LOAD:
            since = trace.test(trace.read(STEP, NOW))
            material = gather(request(trace.name, STEP), since)
            ahead.append((trace.name, stage(material, STEP, heard(material, {"default": model}), interval=STEP)))
    found = points([trial for _, each in ahead for trial in each.trials(CLOUD_OBJECTIVES)])
    for place, (name, each) in enumerate(ahead):
        best, cells = rivals(each.scene), []
        for point in found[place * len(CLOUD_OBJECTIVES) : (place + 1) * len(CLOUD_OBJECTIVES)]:
            own, theirs = point.score.replica_hours, best.hours_at(point.score.under_provisioned)
            cells += [f"{point.score.under_provisioned:.1%}", _count(own), _count(theirs), _less(own, theirs)]
        table.add_row(name.removeprefix("cloudwatch/"), str(len(each.scene.load)), *cells)
    console.print(table)


def _less(own: float | None, theirs: float | None) -> str:
    return "-" if own is None or theirs is None else f"{1.0 - own / theirs:+.1%}"


def _percent(share: float) -> str:
    return f"{share * 100:g} %"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def main() -> None:
    parts = ("nasa", "twitter", "cloudwatch")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; by default all")
    parser.add_argument("--model", type=Path, help="a model of five minutes instead of one fitted to NASA here")
    options = parser.parse_args()
    unknown = sorted(set(options.parts) - set(parts))
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(parts)}")
    console = Console(width=170)
    chosen = options.parts or parts
    if "nasa" in chosen:
        nasa(console, options.model)
    if "twitter" in chosen:
        twitter(console)
    if "cloudwatch" in chosen:
        cloudwatch(console)


if __name__ == "__main__":
    main()
