"""What is kept on an autoscaler whose floor was raised? What its user had, so that it can be given back by anybody.

It is an annotation of the HorizontalPodAutoscaler itself: it goes where the object goes and outlives the
PredictiveScaler, the controller and its memory. Whoever writes minReplicas in between changes what is theirs: a floor
that is not the one that was set here is the user's own. Must not talk to anybody.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from typing import Any

from controller.spec import GROUP

ANNOTATION = f"{GROUP}/floor"
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
"""As objects are named. Whoever may annotate an autoscaler writes it, and it becomes part of a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """`own`: the minReplicas of the user; `set`: the one that was written over it, for `scaler` (its name) of `uid`.

    `scaler`: empty where it is not known, or no name that one could have.
    """

    scaler: str
    uid: str
    own: int
    set: int

    @classmethod
    def of(cls, autoscaler: dict[str, Any]) -> Floor | None:
        """The one that an object tells; None where it tells none, or nothing that could be ours."""
        try:
            kept = json.loads((autoscaler["metadata"].get("annotations") or {})[ANNOTATION])
            floor = cls(scaler=kept["scaler"], uid=kept["uid"], own=kept["own"], set=kept["set"])
        except (KeyError, TypeError, ValueError, RecursionError):
            return None
        is_good = all(type(one) is str for one in (floor.scaler, floor.uid)) and all(
            type(one) is int and one >= 0 for one in (floor.own, floor.set)
        )
        if not is_good or floor.own > floor.set:
            return None
        return floor if _NAME.fullmatch(floor.scaler) else replace(floor, scaler="")

    def text(self) -> str:
        """As an annotation's value."""
        return json.dumps(asdict(self), sort_keys=True)


def lowest(autoscaler: dict[str, Any]) -> int:
    """Its minReplicas, which the API server fills in."""
    return int(autoscaler["spec"].get("minReplicas", 1))


def own(autoscaler: dict[str, Any]) -> int:
    """The minReplicas of its user: what is kept, unless somebody has written another one since."""
    floor, now = Floor.of(autoscaler), lowest(autoscaler)
    return floor.own if floor is not None and floor.set == now else now
