"""Which events stand in a file? iCalendar (RFC 5545) or a small YAML; both become the same Calendar.

A YAML event is rewritten as an iCalendar one, so that one implementation of recurrence serves both. Must not guess:
what is wrong is named by file, event and field. `docs/examples/` shows both formats.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import icalendar
import recurring_ical_events
import yaml

from training import written
from training.calendars.event import IMPACTS, Calendar, CalendarError, Event, Impact, Span

_MAX_BYTES = 8 * 2**20
_FIELDS = {"name", "start", "end", "duration", "rule", "except", "impact", "multiplier", "time_zone"}
_TOP = {"events", "time_zone"}
_PREFIX = "X-PREDICTIVE-SCALER-"
_RARE = {"HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"}  # more often than that is no event but the load itself
_MARGIN = timedelta(days=2)  # floating times are compared with UTC when rules are followed
_LOWEST, _HIGHEST = 0.01, 1000.0  # beyond these a multiplier is a slip of the pen


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Whose wall clock a time without zone means, and from when to when events matter (aware)."""

    zone: tzinfo
    since: datetime
    until: datetime


def read(path: Path, reach: Reach) -> Calendar:
    """The events of the file that touch the reach, rules written out. Raises CalendarError."""
    if reach.until <= reach.since:
        raise CalendarError(f"{path}: its rules are followed until {reach.until}, before the data begins")
    text = _text(path)
    if path.suffix.lower() == ".ics":
        components = list(_from_ics(path, text))
    elif path.suffix.lower() in {".yaml", ".yml"}:
        components = list(_from_yaml(path, text))
    else:
        raise CalendarError(f"{path}: a calendar must end in .ics, .yaml or .yml")
    events = [event for component in components for event in _events(path, component, reach)]
    told = sum(_impact(path, component) is not None for component in components)
    if not told:
        raise CalendarError(f"{path}: no event says what it does to the load; give impact high, low or outage")
    return Calendar(name=path.name, until=reach.until, events=tuple(events), left_out=len(components) - told)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CalendarError(f"{path} is larger than {_MAX_BYTES} bytes; is it a calendar?")
        return path.read_text("utf-8")
    except OSError as error:
        raise CalendarError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CalendarError(f"{path} is not UTF-8 text: {error}") from error


def _from_ics(path: Path, text: str) -> Iterator[icalendar.Event]:
    try:
        calendars = icalendar.Calendar.from_ical(text, multiple=True)
    except (ValueError, IndexError, KeyError) as error:
        raise CalendarError(f"{path} is not an iCalendar file: {error}") from error
    events = [event for calendar in calendars for event in calendar.walk("VEVENT")]
    if not events:
        raise CalendarError(f"{path} holds no VEVENT")
    for event in events:
        for field, problem in event.errors:
            raise _problem(path, event, field or "text", problem)
    _set_apart(events)
    for event in events:
        if str(event.get("STATUS", "")).upper() != "CANCELLED":
            yield event  # type: ignore[misc]  # what `walk` finds by this name


def _set_apart(events: list[icalendar.Component]) -> None:
    """A changed occurrence of a rule becomes an event of its own, and the rule an exception."""
    rules = {str(event.get("UID")): event for event in events if "RRULE" in event}
    for event in events:
        if "RECURRENCE-ID" in event and "RRULE" not in event:
            moved = event.pop("RECURRENCE-ID")
            if (rule := rules.get(str(event.get("UID")))) is not None:
                rule.add("EXDATE", moved.dt)


def _from_yaml(path: Path, text: str) -> Iterator[icalendar.Event]:
    try:
        top = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CalendarError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(top, dict) or not isinstance(top.get("events"), list) or top.keys() - _TOP:
        raise CalendarError(f"{path}: write `events:` with a list of events, and `time_zone:` if you like")
    if not top["events"]:
        raise CalendarError(f"{path}: the list of events is empty")
    for number, raw in enumerate(top["events"], 1):
        yield _YamlEvent(path=path, number=number, raw=raw, zone=top.get("time_zone")).component()


@dataclass(frozen=True, slots=True, kw_only=True)
class _YamlEvent:
    """One entry of the list `events`. `zone`: what the file says for all of them."""

    path: Path
    number: int
    raw: Any
    zone: Any

    def component(self) -> icalendar.Event:
        """The same as iCalendar writes it. Raises CalendarError."""
        if not isinstance(self.raw, dict):
            raise self._error("entry", "must be a mapping with name, start, end and impact")
        if unknown := self.raw.keys() - _FIELDS:
            raise self._error(str(min(map(str, unknown))), f"is not known; there are {', '.join(sorted(_FIELDS))}")
        event = icalendar.Event()
        self._zone()
        event.add("SUMMARY", self._name())
        event.add("DTSTART", self._time("start"))
        event.add("DTEND", self._end())
        self._add_rule(event)
        for field in ("impact", "multiplier"):
            if self.raw.get(field) is not None:
                event.add(f"{_PREFIX}{field.upper()}", str(self.raw[field]))
        if "impact" not in self.raw and "multiplier" not in self.raw:
            raise self._error("impact", f"is missing; choose from {', '.join(IMPACTS)}")
        return event

    def _error(self, field: str, problem: str) -> CalendarError:
        name = self.raw.get("name") if isinstance(self.raw, dict) else None
        return CalendarError(
            f"{self.path}, event {self.number}{f' ({name})' if name else ''}: {field} {problem}".replace(" : ", ": ")
        )

    def _name(self) -> str:
        name = self.raw.get("name")
        if not isinstance(name, str) or not name.strip():
            raise self._error("name", "must be a text")
        return name.strip()

    def _time(self, field: str) -> date | datetime:
        if field not in self.raw:
            raise self._error(field, "is missing")
        return self._parsed(field, self.raw[field])

    def _parsed(self, field: str, value: object) -> date | datetime:
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError as error:
                raise self._error(field, f"{value!r} is not a time such as 2026-01-31T12:00") from error
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=self._zone())
        if isinstance(value, date):
            return value
        raise self._error(field, f"{value!r} is not a time such as 2026-01-31T12:00")

    def _zone(self) -> tzinfo | None:
        name = self.raw.get("time_zone", self.zone)
        if name is None:
            return None
        try:
            return written.zone(str(name))
        except ValueError as error:
            raise self._error("time_zone", f": {error}") from error

    def _end(self) -> date | datetime:
        if ("end" in self.raw) == ("duration" in self.raw):
            raise self._error("end", "or duration must be given, and not both")
        if "end" in self.raw:
            return self._time("end")
        start = self._time("start")
        if not isinstance(start, datetime):
            raise self._error("duration", f"needs a start with a time of day, as in {start:%Y-%m-%d}T00:00")
        try:
            return start + written.duration(str(self.raw["duration"]))
        except (ValueError, OverflowError) as error:
            raise self._error("duration", f": {error}") from error

    def _add_rule(self, event: icalendar.Event) -> None:
        if "rule" in self.raw:
            try:
                event.add("RRULE", icalendar.vRecur.from_ical(str(self.raw["rule"])))
            except ValueError as error:
                raise self._error("rule", f"is not an RRULE of RFC 5545: {error}") from error
        excepted = self.raw.get("except", [])
        if not isinstance(excepted, list):
            raise self._error("except", "must be a list of starts that do not happen")
        for value in excepted:
            event.add("EXDATE", self._parsed("except", value))


def _problem(path: Path, event: icalendar.Component, field: str, problem: str) -> CalendarError:
    return CalendarError(f"{path}, event {event.get('SUMMARY', event.get('UID', '?'))}: {field}: {problem}")


def _events(path: Path, component: icalendar.Event, reach: Reach) -> Iterator[Event]:
    """At most one: none where the component says nothing about the load, or nothing within the reach."""
    impact = _impact(path, component)
    if impact is None:
        return
    _check(path, component, reach.zone)
    spans = _spans(path, component, reach)
    if spans:
        yield Event(
            name=str(component.get("SUMMARY", component.get("UID", "unnamed"))),
            impact=impact,
            multiplier=None if impact == "outage" else _multiplier(path, component),
            spans=tuple(spans),
        )


def _check(path: Path, component: icalendar.Event, zone: tzinfo) -> None:
    if component.get("DTSTART") is None:
        raise _problem(path, component, "DTSTART", "is missing")
    try:
        length = _utc(component.end, zone) - _utc(component.start, zone)
    except (ValueError, OverflowError) as error:
        raise _problem(path, component, "DTSTART, DTEND or DURATION", str(error)) from error
    if length <= timedelta(0):
        raise _problem(path, component, "DTEND", "is not after DTSTART")
    rules = component.get("RRULE", [])
    for rule in rules if isinstance(rules, list) else [rules]:
        often = "".join(rule.get("FREQ", []))
        if often not in _RARE:
            raise _problem(path, component, "RRULE", f"FREQ must be one of {', '.join(sorted(_RARE))}, not {often!r}")


def _spans(path: Path, component: icalendar.Event, reach: Reach) -> list[Span]:
    """Every time that it happens within the reach."""
    if component.get("UID") is None:
        component.add("UID", "event")
    try:
        query = recurring_ical_events.of(_alone(component))
        found = query.between(reach.since.astimezone(UTC) - _MARGIN, reach.until.astimezone(UTC) + _MARGIN)
    except (ValueError, TypeError) as error:
        raise _problem(path, component, "DTSTART, DTEND or RRULE", " ".join(str(error).split())) from error
    spans = [Span(start=_utc(each.start, reach.zone), end=_utc(each.end, reach.zone)) for each in found]
    return sorted(
        (span for span in spans if span.start < reach.until and span.end > reach.since), key=lambda span: span.start
    )


def _alone(component: icalendar.Event) -> icalendar.Calendar:
    calendar = icalendar.Calendar()
    calendar.add_component(component)
    return calendar


def _utc(time: date, zone: tzinfo) -> datetime:
    """A day without time begins at midnight; a time without zone is the load's own wall clock."""
    moment = time if isinstance(time, datetime) else datetime(time.year, time.month, time.day)  # noqa: DTZ001  # next line
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _impact(path: Path, component: icalendar.Event) -> Impact | None:
    """By its own property, a line of the description, a category, or else by what the multiplier says."""
    said = _said(component, "IMPACT")
    known: Mapping[str, Impact] = {impact: impact for impact in IMPACTS}
    if said is not None:
        if said.lower() not in known:
            raise _problem(path, component, "impact", f"must be one of {', '.join(IMPACTS)}, not {said!r}")
        return known[said.lower()]
    for category in _categories(component):
        if category in known:
            return known[category]
    multiplier = _multiplier(path, component)
    return None if multiplier is None else "high" if multiplier >= 1 else "low"


def _multiplier(path: Path, component: icalendar.Event) -> float | None:
    said = _said(component, "MULTIPLIER")
    if said is None:
        return None
    try:
        value = float(said)
    except ValueError:
        value = math.nan
    if not _LOWEST <= value <= _HIGHEST:
        raise _problem(path, component, "multiplier", f"must be from {_LOWEST:g} to {_HIGHEST:g}, not {said!r}")
    return value


def _said(component: icalendar.Event, field: str) -> str | None:
    """What X-PREDICTIVE-SCALER-<field>, or the line `<field>: …` of the description, holds."""
    own = component.get(f"{_PREFIX}{field}")
    if own is not None:
        return str(own).strip()
    line = re.search(rf"^\s*{field}\s*:\s*(\S+)", str(component.get("DESCRIPTION", "")), re.IGNORECASE | re.MULTILINE)
    return line.group(1) if line else None


def _categories(component: icalendar.Event) -> Iterator[str]:
    found = component.get("CATEGORIES", [])
    for group in found if isinstance(found, list) else [found]:
        yield from (str(category).strip().lower() for category in group.cats)
