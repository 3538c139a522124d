"""How is it told? The cells of a table and a few sentences, the same in a terminal and on a page.

Must not compute scores.
"""

from __future__ import annotations

from collections.abc import Iterator

from training.simulate.bootstrap import LEVEL, Interval, Paired
from training.simulate.comparison import AtRisk, at_risk, worth
from training.simulate.frontier import Point
from training.simulate.study import AWS, AWS_PREDICTIVE, HPA, ORACLE, PREDICTIVE, Study

HEADINGS = (
    "policy",
    "replica-hours",
    "short",
    "unserved",
    "changes",
    "turns",
    "used",
    "cost",
    "below static",
    "below HPA",
    "gap closed",
)


def cells(study: Study, name: str, point: Point) -> list[str]:
    """One policy's figures under HEADINGS; a dash where a sweep does not reach."""
    score, value = point.score, worth(study, point)
    return [
        _titled(study, name, point),
        f"{score.replica_hours:,.0f}",
        f"{score.under_provisioned:.2%}",
        f"{score.unserved:.3%}",
        f"{score.changes:,}",
        f"{score.turns:,}",
        f"{score.utilisation:.0%}",
        f"{point.cost:,.2f}",
        _share(value.cost_below_static),
        _share(value.cost_below_hpa),
        _share(value.gap_closed),
    ]


def sentences(study: Study, risk: float, sure: Paired | None) -> Iterator[str]:
    """What the figures say; `risk`, `sure`: as in `comparison.summary`."""
    price = study.scene.price
    yield (
        "short: share of the time in which the load was more than what ready replicas serve; turns: changes that "
        "undo the last one; used: of what was ready."
    )
    yield (
        f"cost: {price.currency}, {price.hourly:.6g} for a replica-hour, by the second, at least "
        f"{price.minimum.total_seconds():g} s of each replica started ({price.name}, {price.date}, {price.source})."
    )
    yield (
        "below static, below HPA: the cost that is saved against the smallest fixed size that never falls short, and "
        "against the HPA that is short as often. gap closed: of the way from that HPA to the oracle, in replica-hours."
    )
    goal = at_risk(study, risk)
    if goal is not None:
        yield from _at_risk(study, goal)
    yield from _aws(study, goal)
    if sure is not None:
        yield (
            f"predictive less HPA at {study.reference.setting:.0%}, with {LEVEL:.0%} intervals over the hours of this "
            f"load: {_interval(sure.replica_hours, 1.0, 'replica-hours')}, "
            f"{_interval(sure.under_provisioned, 100.0, 'points of the time short')}, "
            f"{_interval(sure.unserved, 100.0, 'points of the load unserved')}."
        )


def _interval(interval: Interval, scale: float, unit: str) -> str:
    difference, low, high = (f"{scale * value:+,.4g}" for value in (interval.difference, interval.low, interval.high))
    return f"{difference} {unit} ({low} to {high})"


def _at_risk(study: Study, goal: AtRisk) -> Iterator[str]:
    hours, changes = goal.replica_hours, goal.changes
    yield (
        f"With {goal.under_provisioned * 100:g} % of the time short: predictive {_count(hours[PREDICTIVE])} "
        f"replica-hours, HPA {_count(hours[HPA])}, oracle {_count(hours[ORACLE])}: {_share(goal.gap_closed)} of the "
        f"gap closed, with {_count(changes[PREDICTIVE])} changes of size (HPA {_count(changes[HPA])})."
    )
    saved = goal.unserved_below_hpa
    if saved is not None:
        yield (
            f"For at most the replica-hours of the HPA at {study.reference.setting:.0%} it leaves {abs(saved):.1%} "
            f"{'less' if saved >= 0.0 else 'more'} load unserved."
        )


def _aws(study: Study, goal: AtRisk | None) -> Iterator[str]:
    """Whose rules they are and whose forecast, and what is saved beside them."""
    if any(name in study.runs for name in AWS):
        yield (
            "aws-predictive, aws-tracking: AWS's published rules of scaling a group, with predictive scaling and by "
            "target tracking alone. AWS does not publish how it forecasts: a seasonal hourly forecast of ours stands "
            "in for it, which is not AWS's model."
        )
    theirs = study.frontiers.get(AWS_PREDICTIVE)
    if theirs is None:
        return
    if goal is not None:
        told = {name: _count(hours) for name, hours in goal.replica_hours.items() if name in AWS}
        yield (
            f"With {goal.under_provisioned * 100:g} % of the time short: "
            + ", ".join(f"{name} {hours} replica-hours" for name, hours in told.items())
            + f", predictive {_count(goal.replica_hours[PREDICTIVE])}."
        )
    if PREDICTIVE in study.runs:
        saved = worth(study, study.scene.point(study.runs[PREDICTIVE])).hours_below_aws
        yield f"Beside the aws-predictive that is as often short, predictive saves {_share(saved)} of replica-hours."


def _titled(study: Study, name: str, point: Point) -> str:
    if name in (HPA, *AWS):
        return f"{name} at {point.setting:.0%}"
    if name == PREDICTIVE:
        knob = study.frontiers[PREDICTIVE].knob
        return f"{name}, {knob} " + (f"{point.setting:g}" if knob == "quantile" else f"{point.setting * 100:g} %")
    return name


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
