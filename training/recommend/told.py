"""How is a recommendation told? As YAML that can be applied, with its figures above it; as a table; as JSON.

Must not choose.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Any

import yaml

from controller.spec import GROUP, KIND, VERSION
from training.recommend.candidates import Candidate, Target
from training.recommend.search import Choice, Tried
from training.simulate.comparison import figures, worth
from training.simulate.frontier import Point
from training.simulate.study import HPA, ORACLE, STATIC, Scene

HEADINGS = ("candidate", "short", "unserved", "replica-hours", "cost", "changes", "turns")
_WIDTH = 118  # of a comment
_SHOWN = 10  # of the candidates

Words = Iterator[str]


def resource(candidate: Candidate, namespace: str | None) -> dict[str, Any]:
    """The whole PredictiveScaler."""
    name = candidate.raw["targetRef"]["name"]
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": metadata,
        "spec": candidate.raw,
    }


def as_yaml(choice: Choice, target: Target, *, namespace: str | None, zone: tzinfo, about: str) -> str:
    """The resource below its reasons. `zone`: whose clock the reasons are told by; `about`: the data."""
    reasons = [*sentences(choice, zone), *_hints(choice, target), f"Data: {about}."]
    comment = "".join(f"# {line}\n" for one in reasons for line in textwrap.wrap(one, _WIDTH, break_on_hyphens=False))
    body = yaml.safe_dump(resource(choice.winner.candidate, namespace), sort_keys=False, width=10_000)
    return comment + body


def as_json(choice: Choice, namespace: str | None) -> str:
    """The resource alone."""
    return json.dumps(resource(choice.winner.candidate, namespace), indent=2) + "\n"


def sentences(choice: Choice, zone: tzinfo) -> Words:
    """Why it, and what became of it where it was not chosen by."""
    winner, searched, held = choice.winner, choice.searched, choice.beside.scene
    outcome = "" if choice.is_met else " None keeps to that: it comes nearest."
    yield f"Recommended: {winner.candidate.about}. Of {len(choice.tried)} candidates {choice.wish.words}.{outcome}"
    yield f"Chosen by {_span(searched, zone)}: {_told(winner.point, searched)}."
    yield from _without(choice)
    kept = "as wanted" if choice.is_kept else "NOT as wanted: choose on more data, or ask for less"
    yield f"Judged on {_span(held, zone)}, which it was not chosen by: {_told(choice.judged, held)}; {kept}."
    yield from _beside(choice)


def _without(choice: Choice) -> Words:
    """What the forecast was worth, where there was one."""
    others = [one for one in choice.tried if not one.candidate.forecasts]
    if len(others) == len(choice.tried) or not choice.winner.candidate.forecasts:
        return
    best = others[choice.wish.best(others, choice.days)]
    yield f"There the best without a forecast, {best.candidate.about}: {_told(best.point, choice.searched)}."


def _beside(choice: Choice) -> Words:
    """What others had on the span that it is judged on."""
    study, price = choice.beside, choice.beside.scene.price
    value = worth(study, choice.judged)
    closed = "" if value.gap_closed is None else f", {value.gap_closed:.0%} of the way from it to an oracle"
    against = (
        "no HPA from 40 % to 90 % is short as often"
        if value.cost_below_hpa is None
        else f"{_less(value.cost_below_hpa)} than the HPA that is short as often{closed}"
    )
    yield (
        f"There it costs {_less(value.cost_below_static)} than the smallest fixed size that is always enough "
        f"({study.static.score.replica_hours:,.0f} replica-hours); {against}."
    )
    yield f"Cost: {price.currency}, {price.hourly:.6g} for a replica-hour ({price.name}, {price.date}, {price.source})."


def _hints(choice: Choice, target: Target) -> Words:
    candidate = choice.winner.candidate
    yield (
        f"A replica was taken to serve {target.per_replica:.4g} (a second, where the data are counts) and to start in "
        f"{target.startup.total_seconds():g} s. mode Observe only reports; set it to Active when you are convinced."
    )
    if target.query is None:
        yield "The query is a guess: write your own, or give it with --query."
    if candidate.forecasts:
        yield f"The controller must have the model {target.model} in its folder of models."


def rows(choice: Choice) -> list[list[str]]:
    """The winner and the next best under HEADINGS, on the span that was searched on."""
    order = _ranked(choice)
    return [_row(one.candidate.about, one.point) for one in order[:_SHOWN]]


def judged_rows(choice: Choice) -> list[list[str]]:
    """The winner and what stands beside it under HEADINGS, on the span that it is judged on."""
    study = choice.beside
    names = {HPA: f"HPA at {study.reference.setting:.0%}", STATIC: "fixed size, always enough", ORACLE: "oracle"}
    others = [_row(names[name], study.scene.point(run)) for name, run in study.runs.items()]
    return [_row(choice.winner.candidate.about, choice.judged), *others]


def summary(choice: Choice, target: Target) -> dict[str, Any]:
    """All figures as plain JSON values."""
    return {
        "version": 1,
        "wish": choice.wish.words,
        "isMet": choice.is_met,
        "isKept": choice.is_kept,
        "perReplica": target.per_replica,
        "startupSeconds": target.startup.total_seconds(),
        "searched": _bounds(choice.searched),
        "judged": {
            **_bounds(choice.beside.scene),
            "recommended": figures(choice.judged),
            **{name: figures(choice.beside.scene.point(run)) for name, run in choice.beside.runs.items()},
        },
        "recommended": _one(choice.winner),
        "candidates": [_one(one) for one in choice.tried],
    }


def _one(tried: Tried) -> dict[str, Any]:
    return {"about": tried.candidate.about, "spec": tried.candidate.raw, **figures(tried.point)}


def _bounds(scene: Scene) -> Mapping[str, str]:
    return {"from": scene.load.start.isoformat(), "until": scene.load.end.isoformat()}


def _ranked(choice: Choice) -> Sequence[Tried]:
    """By what each would be chosen after, the winner first."""
    left, order = list(choice.tried), []
    while left:
        order.append(left.pop(choice.wish.best(left, choice.days)))
    return order


def _row(about: str, point: Point) -> list[str]:
    score = point.score
    return [
        about,
        f"{score.under_provisioned:.2%}",
        f"{score.unserved:.3%}",
        f"{score.replica_hours:,.0f}",
        f"{point.cost:,.2f}",
        f"{score.changes:,}",
        f"{score.turns:,}",
    ]


def _told(point: Point, scene: Scene) -> str:
    score = point.score
    return (
        f"short {score.under_provisioned:.2%} of the time, {score.unserved:.3%} of the load unserved, "
        f"{score.replica_hours:,.0f} replica-hours, {point.cost:,.2f} {scene.price.currency}, "
        f"{score.changes:,} changes of size"
    )


def _span(scene: Scene, zone: tzinfo) -> str:
    since, until = (time.astimezone(zone) for time in (scene.load.start, scene.load.end))
    return f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M %Z}"


def _less(share: float) -> str:
    return f"{share:.1%} less" if share >= 0.0 else f"{-share:.1%} more"
