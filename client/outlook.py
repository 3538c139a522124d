"""What was the load, what is forecast, and what was decided for? What a chart shows of one scaler, as plain data.

Pure: of the controller's records where there are any, and of the object's status, which knows less of the past and of
the near future. Loads are in the metric's unit. Missing is not zero: what is not known is not there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from controller.account import Account
from controller.core.record import Record
from controller.fields import SpecError
from controller.spec import parse

Json = Mapping[str, Any]

_MEDIAN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """From `time` on so many replicas were asked for, which serve `load` well."""

    time: datetime
    replicas: int
    load: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What is forecast of the step that ends at `time`: `upper` is the level that is prepared for, uncorrected."""

    time: datetime
    median: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The load that the last decision made ready for, from `time` until a replica of the next one would serve."""

    time: datetime
    until: datetime
    load: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One scaler at `time`. `seen`, `sizes`, `points`: oldest first. `level`: of `upper`; None without a forecast.

    `origin`: until when the model knew the load. `each`: the load that one replica serves well. `ready`: replicas that
    serve now. `decided`: when the last decision was made. `is_recorded`: whether the controller's records are in it,
    or only the status.
    """

    namespace: str
    name: str
    time: datetime
    is_recorded: bool
    each: float | None
    current: int | None
    ready: int | None
    desired: int | None
    decided: datetime | None
    seen: tuple[tuple[datetime, float], ...]
    sizes: tuple[Size, ...]
    level: float | None
    origin: datetime | None
    points: tuple[Point, ...]
    demand: Demand | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; times are ISO 8601 in UTC."""
        return {
            "namespace": self.namespace,
            "name": self.name,
            "time": _iso(self.time),
            "decided": None if self.decided is None else _iso(self.decided),
            "from": "records" if self.is_recorded else "status",
            "targetPerReplica": self.each,
            "replicas": {"current": self.current, "ready": self.ready, "desired": self.desired},
            "seen": [{"time": _iso(time), "load": load} for time, load in self.seen],
            "sizes": [{"time": _iso(one.time), "replicas": one.replicas, "load": one.load} for one in self.sizes],
            "forecast": self._forecast(),
            "demand": self._demand(),
        }

    def _forecast(self) -> dict[str, Any] | None:
        if not self.points:
            return None
        points = [{"time": _iso(one.time), "median": one.median, "upper": one.upper} for one in self.points]
        origin = None if self.origin is None else _iso(self.origin)
        return {"origin": origin, "quantile": self.level, "points": points}

    def _demand(self) -> dict[str, Any] | None:
        found = self.demand
        if found is None:
            return None
        return {"from": _iso(found.time), "until": _iso(found.until), "load": found.load, "source": found.source}


def outlook(
    body: Json, accounts: Sequence[Account], now: datetime, *, back: timedelta, ahead: timedelta | None
) -> Outlook:
    """Of the object (its namespace and name at least), and of the controller's `accounts`, oldest first.

    Only what is within `back` before and `ahead` after `now`; None: as far as the forecast reaches.
    """
    status = _object(body, "status")
    records = [one.record for one in accounts if one.record is not None and now - back <= one.time <= now]
    newest = records[-1] if records else None
    each = _each(body) if newest is None else newest.inputs.policy.target_per_replica
    end = None if ahead is None else now + ahead
    points = tuple(one for one in _points(status, newest, now) if end is None or one.time <= end)
    desired = status.get("desiredReplicas") if newest is None else newest.decision.replicas
    return Outlook(
        namespace=str(_object(body, "metadata").get("namespace", "")),
        name=str(_object(body, "metadata").get("name", "")),
        time=now,
        is_recorded=newest is not None,
        each=each,
        current=status.get("currentReplicas") if newest is None else newest.decision.current,
        ready=_object(status, "target").get("ready"),
        desired=desired,
        decided=_time(_object(status, "lastDecision").get("time")) if newest is None else newest.inputs.now,
        seen=_seen(status, records, now - back, now),
        sizes=_sizes(records) or _size_told(status, each, now - back, now),
        level=_level(status, newest) if points else None,
        origin=_origin(status, newest) if points else None,
        points=points,
        demand=_told_demand(body, now) if newest is None else _demand(newest),
    )


def _points(status: Json, newest: Record | None, now: datetime) -> list[Point]:
    """The near ones of the record, step by step, and beyond them those few that the status has."""
    near = [] if newest is None else _recorded(newest)
    last = near[-1].time if near else now
    told = [] if newest is not None and not near else [one for one in _told(status) if one.time > last]
    return [one for one in near if one.time > now] + told


def _recorded(record: Record) -> list[Point]:
    forecast = record.inputs.forecast
    if forecast is None:
        return []
    median, upper = forecast.at_level(_MEDIAN), forecast.at_level(record.inputs.policy.level)
    return [
        Point(time=forecast.origin + (step + 1) * forecast.step, median=float(median[step]), upper=float(upper[step]))
        for step in range(len(median))
        if math.isfinite(median[step]) and math.isfinite(upper[step])
    ]


def _told(status: Json) -> list[Point]:
    points = _object(status, "forecast").get("points") or ()
    return [
        Point(time=datetime.fromisoformat(one["time"]), median=one["median"], upper=one["upper"])
        for one in points
        if "median" in one and "upper" in one
    ]


def _level(status: Json, newest: Record | None) -> float | None:
    return _object(status, "forecast").get("quantile") if newest is None else newest.inputs.policy.level


def _origin(status: Json, newest: Record | None) -> datetime | None:
    if newest is not None and newest.inputs.forecast is not None:
        return newest.inputs.forecast.origin
    return _time(_object(status, "forecast").get("origin"))


def _seen(
    status: Json, records: Sequence[Record], start: datetime, now: datetime
) -> tuple[tuple[datetime, float], ...]:
    """The loads that decisions were made on, each once, at the time that it was measured."""
    loads = {
        one.inputs.observation.latest.time: one.inputs.observation.latest.value
        for one in records
        if one.inputs.observation is not None and one.inputs.observation.latest is not None
    }
    last = _object(status, "lastDecision")
    time = _time(last.get("time"))
    if not records and time is not None and last.get("seen") is not None:
        loads = {time: float(last["seen"])}
    return tuple((at, load) for at, load in sorted(loads.items()) if start <= at <= now and math.isfinite(load))


def _sizes(records: Sequence[Record]) -> tuple[Size, ...]:
    """What was found at each decision, where it changed, and the newest."""
    sizes = [
        Size(
            time=one.inputs.now,
            replicas=one.decision.current,
            load=one.decision.current * one.inputs.policy.target_per_replica,
        )
        for one in records
    ]
    changed = [after for before, after in pairwise(sizes) if after.load != before.load]
    ends = {one.time: one for one in (*sizes[:1], *changed, *sizes[-1:])}
    return tuple(ends.values())


def _size_told(status: Json, each: float | None, start: datetime, now: datetime) -> tuple[Size, ...]:
    time, replicas = _time(_object(status, "lastDecision").get("time")), status.get("currentReplicas")
    if time is None or each is None or replicas is None or not start <= time <= now:
        return ()
    return (Size(time=time, replicas=replicas, load=replicas * each),)


def _demand(record: Record) -> Demand | None:
    found, now = record.decision.demand, record.inputs.now
    if found.value is None:
        return None
    return Demand(time=now, until=now + record.inputs.policy.window, load=found.value, source=str(found.source))


def _told_demand(body: Json, now: datetime) -> Demand | None:
    status = _object(body, "status")
    last = _object(status, "lastDecision")
    time = _time(last.get("time"))
    if time is None or last.get("demand") is None or time > now:
        return None
    lead = timedelta(seconds=float(_object(status, "leadTime").get("seconds") or 0.0))
    interval = timedelta(seconds=float(_object(body, "spec").get("intervalSeconds") or 0.0))
    return Demand(time=time, until=time + lead + interval, load=float(last["demand"]), source=str(last["source"]))


def _each(body: Json) -> float | None:
    try:
        return parse(_object(body, "spec")).policy.target_per_replica
    except SpecError:
        return None


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def _object(found: Json, name: str) -> Json:
    value = found.get(name)
    return value if isinstance(value, Mapping) else {}
