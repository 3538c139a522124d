"""In which order do the units of a group and the pods on them change? Nodes first on the way up, pods first down.

Data in, limits and a lead time out. Whoever does not know the other one keeps what there is: units are held, and pods
never wait for units of which nothing is known. Must not know whose spec says so, nor read a size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controller.core.policy import Limit, Policy
from controller.core.startup import LONGEST, LeadTime

RULE = "Coordination"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """What runs on a group: `replicas` of the scaler `name`, as many as are asked for or there, if these are more."""

    name: str
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """What pods run on: of the `asked` units of the group `name`, `ready` serve, each with room for `per_unit` pods.

    `ready`: None where it is not known. `decided`: when the group last had its say. `patience`: how long pods wait for
    that, and for units that were asked for.
    """

    name: str
    asked: int
    ready: int | None
    per_unit: int
    decided: datetime
    patience: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Since when at least so many replicas were wished for at every decision."""

    since: datetime
    replicas: int


def lead_time(of_units: LeadTime, of_pods: timedelta) -> LeadTime:
    """How far ahead units must be asked for: when the pods are asked for, these have somewhere to start."""
    duration = min(of_units.duration + of_pods, LONGEST)
    return replace(of_units, duration=duration, of_pods=duration - of_units.duration)


def units_kept(pods: Pods | None, per_unit: int, current: int, policy: Policy) -> Limit:
    """What of a group pods need, within its maxReplicas. `pods` None: nobody knows, so that none is released."""
    if pods is None:
        return Limit(rule=RULE, lowest=current, why="none is released while it is not known how many pods run there")
    needed = -(-pods.replicas // per_unit)
    why = f"the {pods.replicas} replicas of {pods.name} need {needed}, at {per_unit} on each"
    if needed > policy.max_replicas:
        needed, why = policy.max_replicas, f"{why}, and maxReplicas is {policy.max_replicas}"
    return Limit(rule=RULE, lowest=needed, why=why)


def pods_held_back(
    now: datetime, units: Units | None, wishes: tuple[Wish, ...], current: int, policy: Policy
) -> Limit | None:
    """While units that were asked for start, or may be asked for yet: no more pods than those that serve have room for.

    None: nothing is waited for. Never fewer pods than `current` and minReplicas, nor than were wished for all through
    the units' patience: a launch that fails must not keep pods from asking, say, another group.
    """
    if units is None or units.ready is None:
        return None
    room = units.ready * units.per_unit
    risen = min((one.since for one in wishes if one.replicas > room), default=now)
    if units.asked <= units.ready and units.decided >= risen:
        return None
    overdue = max((one.replicas for one in wishes if now - one.since >= units.patience), default=0)
    why = f"{units.ready} of the {units.asked} units of {units.name} serve, with room for {room}"
    if units.decided < risen:
        why += ", and it has not decided yet whether to ask for more"
    if overdue > room:
        why += f"; {overdue} have been wished for as long as units may take to start"
    return Limit(rule=RULE, highest=max(room, current, policy.min_replicas, overdue), why=why)


def wished(wishes: tuple[Wish, ...], now: datetime, replicas: int, patience: timedelta) -> tuple[Wish, ...]:
    """With the wish of this decision: since when each number, or more, was wished for without a break, fewest first.

    Of those that have lasted longer than the patience only the largest matters.
    """
    since = next((one.since for one in wishes if one.replicas >= replicas), now)
    held = (*(one for one in wishes if one.replicas < replicas), Wish(since=since, replicas=replicas))
    overdue = sum(now - one.since >= patience for one in held)
    return held[max(0, overdue - 1) :]
