"""How is one field of a user's document read, and how is it refused?

`Fields` is one object of the document with its path; each method reads one kind of value, checks its type and bounds,
and names the path and the cure when it refuses. Nothing is converted in silence: "3" is not 3 and "yes" is not true.
Must not know what any field means; that is `controller.spec`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeGuard, TypeVar

Choice = TypeVar("Choice", bound=StrEnum)

_DURATION = re.compile(r"([0-9]{1,5}(h|m|s|ms)){1,4}")
_DURATION_PART = re.compile(r"([0-9]+)(ms|h|m|s)")
_DURATION_UNITS = {
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?[0-9]{1,2}))?")
_QUANTITY_SCALES = {
    **{
        suffix: Decimal(10) ** power
        for suffix, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
    },
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}
_PERCENTAGE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)%")
_LONGEST_QUANTITY = 32
_LONGEST_DURATION = 24
_LONGEST_SHOWN = 60


class SpecError(ValueError):
    """The spec cannot be used. `field` is its path, e.g. "spec.metric.targetPerReplica"; the message names the cure."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a text must look like. `words` says it to a user: "a name such as web-1"."""

    pattern: re.Pattern[str]
    longest: int
    words: str


def duration(text: str) -> timedelta:
    """A duration such as "90s" or "1h30m". Raises ValueError."""
    if len(text) > _LONGEST_DURATION or not _DURATION.fullmatch(text):
        raise ValueError(text)
    return sum((int(count) * _DURATION_UNITS[unit] for count, unit in _DURATION_PART.findall(text)), timedelta())


def quantity(text: str) -> float:
    """A Kubernetes quantity that is not negative, such as "250", "12.5", "500m", "2Ki" or "1e3". Raises ValueError."""
    match = _QUANTITY.fullmatch(text)
    if len(text) > _LONGEST_QUANTITY or match is None:
        raise ValueError(text)
    number, suffix, exponent = match.groups()
    scale = _QUANTITY_SCALES[suffix] if suffix else Decimal(10) ** int(exponent or 0)
    return float(Decimal(number) * scale)


def share(text: str) -> float:
    """A percentage such as "1%" or "0.25%", as a share: 0.01 or 0.0025. Raises ValueError."""
    match = _PERCENTAGE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return float(Decimal(match.group(1)) / 100)


@dataclass(frozen=True, slots=True)
class Fields:
    """One object of the document. `path` is where it stands, e.g. "spec.metric". A null counts as absent."""

    path: str
    values: Mapping[str, Any]

    @classmethod
    def open(cls, path: str, value: object, *known: str) -> Fields:
        """The object at `path`, which may hold the fields `known` and no others."""
        if not isinstance(value, Mapping):
            raise SpecError(path, f"must be an object with the fields {', '.join(known)}, not {_shown(value)}")
        for name in value:
            if name not in known:
                raise SpecError(
                    f"{path}.{name}", f"unknown field{_nearest(str(name), known)}; known: {', '.join(known)}"
                )
        return cls(path, {name: inner for name, inner in value.items() if inner is not None})

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def refusal(self, name: str, message: str) -> SpecError:
        """The error to raise about the field `name`."""
        return SpecError(f"{self.path}.{name}", message)

    def child(self, name: str, *known: str) -> Fields:
        """A required object."""
        return Fields.open(f"{self.path}.{name}", self._required(name), *known)

    def child_or_empty(self, name: str, *known: str) -> Fields:
        """An object whose fields all have defaults."""
        return Fields.open(f"{self.path}.{name}", self.values.get(name, {}), *known)

    def children(self, name: str, *known: str, most: int) -> list[Fields]:
        """A list of one to `most` objects."""
        values = self._required(name)
        if not isinstance(values, list) or not 1 <= len(values) <= most:
            raise self.refusal(name, f"must be a list of 1 to {most} objects, not {_shown(values)}")
        return [Fields.open(f"{self.path}.{name}[{index}]", value, *known) for index, value in enumerate(values)]

    def choices(self, name: str, choices: type[Choice], default: tuple[Choice, ...]) -> tuple[Choice, ...]:
        """A list of as many values of an enumeration as `default` has, each spelled exactly."""
        values = self._required(name, list(default))
        if not isinstance(values, list) or len(values) != len(default):
            raise self.refusal(name, f"must be a list of {len(default)} of {', '.join(choices)}, not {_shown(values)}")
        return tuple(
            Fields(self.path, {f"{name}[{index}]": value}).choice(f"{name}[{index}]", choices)
            for index, value in enumerate(values)
        )

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number from `low` to `high`."""
        value = self._required(name, default)
        if not _is_number(value) or value != int(value) or not low <= value <= high:
            raise self.refusal(name, f"must be a whole number from {low} to {high}, not {_shown(value)}")
        return int(value)

    def number(self, name: str, low: float, high: float, default: float) -> float:
        """A number from `low` to `high`."""
        value = self._required(name, default)
        if not _is_number(value) or not low <= value <= high:
            raise self.refusal(name, f"must be a number from {low} to {high}, not {_shown(value)}")
        return float(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self._required(name, default)
        if not isinstance(value, bool):
            raise self.refusal(name, f"must be true or false without quotes, not {_shown(value)}")
        return value

    def text(self, name: str, form: Form, default: str | None = None) -> str:
        """A text of the given form."""
        value = self._required(name, default)
        if not isinstance(value, str) or len(value) > form.longest or not form.pattern.fullmatch(value):
            raise self.refusal(name, f"must be {form.words}, not {_shown(value)}")
        return value

    def texts(self, name: str, names: Form, form: Form, most: int) -> dict[str, str]:
        """At most `most` texts of the given form, by names of the form `names`; none where the field is absent."""
        values = self.values.get(name, {})
        if not isinstance(values, Mapping) or len(values) > most:
            raise self.refusal(name, f"must be an object of at most {most} texts, not {_shown(values)}")
        inner = Fields(f"{self.path}.{name}", values)
        for key in values:
            if not isinstance(key, str) or len(key) > names.longest or not names.pattern.fullmatch(key):
                raise self.refusal(name, f"must have {names.words} for each name, not {_shown(key)}")
        return {key: inner.text(key, form) for key in values}

    def choice(self, name: str, choices: type[Choice], default: Choice | None = None) -> Choice:
        """One of the values of an enumeration, spelled exactly."""
        value = self._required(name, default)
        if not isinstance(value, str) or value not in list(choices):
            hint = _nearest(str(value), tuple(choices))
            raise self.refusal(name, f"must be one of {', '.join(choices)}, not {_shown(value)}{hint}")
        return choices(value)

    def duration(
        self, name: str, longest: timedelta, default: str, *, shortest: timedelta = timedelta(0), also: str = ""
    ) -> timedelta:
        """A duration from `shortest`, of whole minutes, to `longest`, of whole hours.

        `also`: what whoever calls takes beside a duration, for the message alone.
        """
        value = self._required(name, default)
        at_least = f"at least {shortest // timedelta(minutes=1)}m and " if shortest else ""
        words = f"a duration such as 90s or 2m, {at_least}at most {longest // timedelta(hours=1)}h"
        words = f"{also} or {words}" if also else words
        try:
            parsed = duration(str(value))
        except ValueError:
            raise self.refusal(name, f"must be {words}, not {_shown(value)}") from None
        if not shortest <= parsed <= longest:
            raise self.refusal(name, f"must be {words}, not {value}")
        return parsed

    def share(self, name: str, most: int) -> float:
        """A percentage above 0% and at most `most`, as a share. A number without the sign could mean either."""
        value = self._required(name)
        words = f'must be a percentage above 0% and at most {most}%, such as "1%", not {_shown(value)}'
        try:
            parsed = share(value) if isinstance(value, str) else 0.0
        except ValueError:
            raise self.refusal(name, words) from None
        if not 0.0 < parsed <= most / 100:
            raise self.refusal(name, words)
        return parsed

    def quantity(self, name: str, default: str | None = None) -> float:
        """A Kubernetes quantity that is not negative."""
        value = self._required(name, default)
        if isinstance(value, float) and not value.is_integer():
            raise self.refusal(name, f'a fraction needs quotes: "{value}"')
        try:
            return quantity(str(int(value) if isinstance(value, float) else value))
        except ValueError:
            raise self.refusal(name, f'must be a quantity such as 250, "12.5" or 500m, not {_shown(value)}') from None

    def _required(self, name: str, default: object = None) -> object:
        value = self.values.get(name, default)
        if value is None:
            raise self.refusal(name, "is required; add it")
        return value


def _is_number(value: object) -> TypeGuard[float]:
    """A finite int or float; a bool is neither."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _shown(value: object) -> str:
    """`value` as an error message shows it, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _nearest(name: str, known: tuple[str, ...]) -> str:
    """A hint at the known name that `name` most resembles, or nothing."""
    by_folded = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_folded, n=1)
    return f"; did you mean {by_folded[near[0]]}?" if near else ""
