"""What is a policy worth? Beside the fixed size that never fails, and beside the HPA and the oracle at the same risk.

Where a sweep does not reach, nothing is said. Must not replay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from training.simulate.bootstrap import LEVEL, Paired
from training.simulate.frontier import Frontier, Point
from training.simulate.study import AWS_PREDICTIVE, HPA, ORACLE, PREDICTIVE, Study

VERSION = 1  # of what `summary` gives


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """Shares (1 is all of it), None where nothing can be said.

    `hours_*`, `cost_*`: saved against the fixed size that never fails, and against the HPA at the same share of
    under-provisioned time. `gap_closed`: of the way in replica-hours from that HPA to the oracle at the same share.
    `hours_below_aws`: as below that HPA, but below `aws-predictive`, where that was asked for.
    """

    hours_below_static: float
    cost_below_static: float
    hours_below_hpa: float | None
    cost_below_hpa: float | None
    gap_closed: float | None
    hours_below_aws: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRisk:
    """The predictive policy's own sweep, read where `under_provisioned` (a share of time) is the goal.

    `replica_hours`: by policy. `gap_closed`: as in Worth. `changes`: of size, by policy. `unserved_below_hpa`: the
    share of unserved load that is saved against the HPA that is shown, for at most its
    replica-hours.
    """

    under_provisioned: float
    replica_hours: Mapping[str, float | None]
    changes: Mapping[str, float | None]
    gap_closed: float | None
    unserved_below_hpa: float | None


def worth(study: Study, point: Point) -> Worth:
    """What a point is worth."""
    risk, spent = point.score.under_provisioned, point.score.replica_hours
    rival, best, aws = study.frontiers[HPA], study.frontiers[ORACLE], study.frontiers.get(AWS_PREDICTIVE)
    return Worth(
        hours_below_static=1.0 - spent / study.static.score.replica_hours,
        cost_below_static=_saved(point.cost, study.static.cost) or 0.0,
        hours_below_hpa=_saved(spent, rival.hours_at(risk)),
        cost_below_hpa=_saved(point.cost, rival.cost_at(risk)),
        gap_closed=_closed(spent, rival.hours_at(risk), best.hours_at(risk)),
        hours_below_aws=None if aws is None else _saved(spent, aws.hours_at(risk)),
    )


def at_risk(study: Study, under_provisioned: float) -> AtRisk | None:
    """What the sweep of the predictive policy gives at that risk; None where it was not swept."""
    own = study.frontiers.get(PREDICTIVE)
    if own is None or len(own.points) == 1:
        return None
    hours = {name: frontier.hours_at(under_provisioned) for name, frontier in study.frontiers.items()}
    reference = study.reference.score
    return AtRisk(
        under_provisioned=under_provisioned,
        replica_hours=hours,
        changes={name: frontier.changes_at(under_provisioned) for name, frontier in study.frontiers.items()},
        gap_closed=_closed(hours[PREDICTIVE], hours[HPA], hours[ORACLE]),
        unserved_below_hpa=_saved(own.unserved_within(reference.replica_hours), reference.unserved),
    )


def summary(study: Study, risk: float, sure: Paired | None) -> dict[str, Any]:
    """All figures as plain JSON values; `risk`: the share of time at which sweeps are compared.

    `sure`: the predictive policy less the HPA that is shown, with intervals.
    """
    scene, goal = study.scene, at_risk(study, risk)
    return {
        "version": VERSION,
        "from": scene.load.start.isoformat(),
        "until": scene.load.end.isoformat(),
        "stepSeconds": scene.load.step.total_seconds(),
        "startupSeconds": scene.startup.total_seconds(),
        "perReplica": scene.per_replica,
        "price": {
            "name": scene.price.name,
            "date": scene.price.date.isoformat(),
            "source": scene.price.source,
            "currency": scene.price.currency,
            "replicaHour": scene.price.hourly,
            "minimumSeconds": scene.price.minimum.total_seconds(),
        },
        "policies": {
            name: {**figures(point := scene.point(run)), **_camel(asdict(worth(study, point)))}
            for name, run in study.runs.items()
        },
        "frontiers": {name: _frontier(frontier) for name, frontier in study.frontiers.items()},
        "atRisk": None if goal is None else _camel(asdict(goal)),
        "lessHpa": None if sure is None else {"level": LEVEL, **_camel(asdict(sure))},
    }


def figures(point: Point) -> dict[str, Any]:
    """A point as plain JSON values."""
    return {"setting": point.setting, **_camel(asdict(point.score)), "cost": point.cost}


def _frontier(frontier: Frontier) -> dict[str, Any]:
    return {"knob": frontier.knob, "points": [figures(point) for point in frontier.points]}


def _camel(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {name.split("_")[0] + "".join(map(str.capitalize, name.split("_")[1:])): one for name, one in raw.items()}


def _saved(own: float | None, other: float | None) -> float | None:
    return None if own is None or not other else 1.0 - own / other


def _closed(own: float | None, rival: float | None, best: float | None) -> float | None:
    if own is None or rival is None or best is None or rival <= best:
        return None
    return (rival - own) / (rival - best)
