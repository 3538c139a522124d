"""What can be set in the endpoint while it runs: its clock, how long things take, and what fails.

One object a process, because moto's backends are global as well. Must not know HTTP or moto.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

ENVIRONMENT = "SANDBOX_AWS_"


class SettingError(ValueError):
    """There is no such setting, or it cannot have that value."""


@dataclass(slots=True)
class Settings:
    """What the endpoint goes by. Durations are seconds; each can be set by `SANDBOX_AWS_<NAME>` at the start.

    `now`: the time at which the clock stands still; None lets it follow the machine's, `offset` seconds ahead.
    `launch`: from a launch until the instance is in service; `warm_launch`: the same from a warm pool.
    `terminate`: how long an instance shows as terminating. `delete`: for how long a group
    that is deleted says so.
    `launch_failure`: why every launch fails; empty where none does.
    `describe_lag`: so long after a change of its size, a group is still described with the size from before.
    `visible_after`: so long after it was put, a point of CloudWatch can be read; real points take seconds to minutes.
    `oldest_put`: how old a point may be when it is put. AWS: two weeks; more builds a past that AWS would have kept.
    `page_points`: the most points on a page of GetMetricData.
    """

    now: datetime | None = None
    offset: float = 0.0
    launch: float = 0.0
    warm_launch: float = 0.0
    terminate: float = 0.0
    delete: float = 0.0
    launch_failure: str = ""
    describe_lag: float = 0.0
    visible_after: float = 0.0
    oldest_put: float = 14 * 86_400.0
    page_points: int = 100_800

    def clock(self) -> datetime:
        """The endpoint's time, aware."""
        if self.now is not None:
            return self.now
        return datetime.now(UTC) + timedelta(seconds=self.offset)  # noqa: TID251 - an endpoint has a clock of its own

    def change(self, changes: Mapping[str, Any]) -> None:
        """Set some of them, as JSON or an environment gives them. Raises SettingError, and then none is set."""
        read = {name: _read(name, raw) for name, raw in changes.items()}
        for name, value in read.items():
            setattr(self, name, value)

    def reset(self) -> None:
        """Everything as at the start of a process without an environment."""
        for field in fields(self):
            setattr(self, field.name, field.default)


def from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The changes that an environment asks for. Raises SettingError, by way of `Settings.change`."""
    return {
        name.removeprefix(ENVIRONMENT).lower(): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT)
    }


def _read(name: str, raw: Any) -> object:  # noqa: ANN401 - JSON
    kinds = {field.name: str(field.type) for field in fields(Settings)}
    try:
        match kinds[name]:
            case "float":
                return float(raw)
            case "int":
                return int(raw)
            case "str":
                return str(raw)
            case _:
                return None if raw in {None, ""} else _time(raw)
    except KeyError:
        raise SettingError(f"there is no setting {name}; there are {', '.join(kinds)}") from None
    except (TypeError, ValueError) as error:
        raise SettingError(f"{name} cannot be {raw!r}: {error}") from error


def _time(raw: str) -> datetime:
    time = datetime.fromisoformat(raw)
    if time.tzinfo is None:
        raise ValueError("it has no zone")
    return time.astimezone(UTC)


SETTINGS = Settings()
"""Those of this process."""
