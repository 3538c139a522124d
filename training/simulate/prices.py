"""What does a capacity cost? Every replica by the second from when it is asked for, and at least a minimum.

The prices stand in a dated file that names its source. Must not know why a replica was there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from training.simulate.capacity import Capacity, SimulationError, lives_of

DEFAULT = Path(__file__).with_name("fargate.yaml")
_PARTS = {"vcpu": "vcpu-hour", "gib": "gib-hour"}
_FIELDS = {"name", "date", "source", "currency", "replica", "replica-hour", "minimum-seconds", *_PARTS.values()}
_WORDS = ("name", "source", "currency")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a replica costs. `hourly`: `currency` an hour; `minimum`: the least that a started replica is billed for.

    `date`: when `source` said so.
    """

    name: str
    date: date
    source: str
    currency: str
    hourly: float
    minimum: timedelta

    def cost(self, capacity: Capacity, *, initial: int, step: timedelta) -> float:
        """Of the whole span, `currency`. The `initial` replicas were paid their minimum before it began."""
        lives, second = lives_of(capacity.desired, initial=initial), timedelta(seconds=1)
        least = self.minimum / second
        billed = np.maximum(lives.started * (step / second), least).sum() + lives.lasting.sum() * (step / second)
        return float(billed) * self.hourly / 3600.0


def read(path: Path) -> Price:
    """The prices in a YAML or JSON file. Raises SimulationError naming the field."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SimulationError(f"--price: {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SimulationError(f"--price: {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise SimulationError(f"--price: {path} must hold fields such as name, date and replica-hour")
    unknown = sorted(str(name) for name in raw.keys() - _FIELDS)
    if unknown:
        raise SimulationError(f"--price: {path} has unknown fields: {', '.join(unknown)}; known are {_known()}")
    return Price(
        **{name: _text(path, raw, name) for name in _WORDS},
        date=_date(path, raw),
        hourly=_hourly(path, raw),
        minimum=timedelta(seconds=_number(path, raw, "minimum-seconds", default=0.0)),
    )


def _known() -> str:
    return ", ".join(sorted(_FIELDS))


def _hourly(path: Path, raw: Mapping[str, Any]) -> float:
    """The price of a replica itself, or of the parts that it has."""
    if "replica-hour" in raw:
        if "replica" in raw:
            raise SimulationError(f"--price: {path} has replica and replica-hour; remove one of them")
        return _number(path, raw, "replica-hour")
    size = raw.get("replica")
    if not isinstance(size, dict) or not size or size.keys() - _PARTS.keys():
        raise SimulationError(
            f"--price: {path} needs replica-hour, or replica with vcpu and gib, as in replica: {{vcpu: 1, gib: 2}}"
        )
    return sum(_number(path, size, part) * _number(path, raw, _PARTS[part]) for part in size)


def _number(path: Path, raw: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = raw.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise SimulationError(f"--price: {path} needs a number from 0 on as {name}, not {value!r}")
    return float(value)


def _text(path: Path, raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise SimulationError(f"--price: {path} needs a text as {name}, not {value!r}")
    return value


def _date(path: Path, raw: Mapping[str, Any]) -> date:
    value = raw.get("date")
    try:
        return value if isinstance(value, date) else date.fromisoformat(str(value))
    except ValueError as error:
        raise SimulationError(f"--price: {path} needs the day of its prices as date, such as 2026-04-01") from error
