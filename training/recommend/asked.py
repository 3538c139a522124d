"""What is asked for? The target that all candidates have in common, and the two spans that they meet.

Must not replay.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import numpy as np

from controller.core.series import Series
from training.datasets.prometheus import SCHEMES
from training.recommend.candidates import Target, most
from training.simulate.capacity import SimulationError
from training.simulate.material import FEWEST, Material
from training.simulate.study import Scene

SHARE = 0.3  # of the data, where nobody says: the first half to choose by, the second to judge on
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HOUR = timedelta(hours=1)
_WEST, _EAST = -12, 14  # hours: the fixed zones that the database has


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Who is scaled, and by which metric, as the options say it."""

    name: str
    kind: str
    namespace: str | None
    lowest: int
    highest: int | None
    query: str | None
    address: str | None


def named(
    *,
    name: str,
    kind: str,
    namespace: str | None,
    lowest: int,
    highest: int | None,
    data: str,
    query: str | None,
) -> Named:
    """What the options say. Raises SimulationError."""
    if namespace is not None and not _NAMESPACE.fullmatch(namespace):
        raise SimulationError(f"--namespace: {namespace!r} is not a name of lower-case letters, digits and -")
    parts = urlsplit(data)
    is_live = parts.scheme in SCHEMES
    return Named(
        name=name,
        kind=kind,
        namespace=namespace,
        lowest=lowest,
        highest=highest,
        query=query or ("".join(parse_qs(parts.query).get("query", [])) if is_live else None) or None,
        address=f"{SCHEMES[parts.scheme]}://{parts.netloc}{parts.path.rstrip('/')}" if is_live else None,
    )


def halves(material: Material, at: datetime | None, season: timedelta) -> tuple[Material, Material]:
    """What is searched on and what is judged on; `at`: where the second begins. Raises SimulationError."""
    load = material.load
    begin = at or load.end - _half(load, season)
    first, second = material.parts(begin)
    if any(len(one.load) < FEWEST or not np.isfinite(one.load.values).any() for one in (first, second)):
        raise SimulationError(
            f"--test-from: the load from {load.start} to {load.end} must hold {FEWEST} steps of {load.step} and a "
            f"value on either side of {begin}; name another time, or an earlier --from"
        )
    return first, second


def _half(load: Series, season: timedelta) -> timedelta:
    """Whole seasons where there are two of them."""
    length = len(load) * load.step
    return max(season * (length // season // 2), timedelta(0)) or length // (2 * load.step) * load.step


def target(who: Named, material: Material, scene: Scene, *, model: str | None, zone: str) -> Target:
    """What every candidate has in common; `material`, `scene`: what is searched on. Raises SimulationError."""
    known = np.concatenate([material.before.values, material.load.values])
    highest = who.highest or most(float(np.nanmax(known)), scene.per_replica, who.lowest)
    return Target(
        name=who.name,
        kind=who.kind,
        lowest=who.lowest,
        highest=highest,
        per_replica=scene.per_replica,
        startup=scene.startup,
        interval=scene.load.step,
        query=who.query,
        address=who.address,
        model=model,
        zone=zone,
    )


def bounded(scene: Scene, target: Target) -> Scene:
    """Between the bounds that are printed."""
    initial = min(max(scene.initial, target.lowest), target.highest)
    return replace(scene, initial=initial, lowest=target.lowest, highest=target.highest)


def zone_name(zone: tzinfo, at: datetime) -> str:
    """As the database calls it; a clock that is whole hours from UTC has a name there. Raises SimulationError."""
    if isinstance(zone, ZoneInfo) and zone.key:
        return zone.key
    ahead = zone.utcoffset(at) or timedelta(0)
    hours = ahead / _HOUR
    if not ahead:
        return "UTC"
    if hours.is_integer() and _WEST <= hours <= _EAST:
        return f"Etc/GMT{-math.trunc(hours):+d}"  # where the sign says how far it is to Greenwich
    raise SimulationError(f"--time-zone: the clock of the data, {zone}, has no name; give one, such as Asia/Kolkata")
