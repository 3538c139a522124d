"""Which series are to be forecast, and how? The fleet file: read, checked, and spread out into members.

    defaults: {data: loads.parquet, step: 5m, season: 1d, horizon: 6h, family: lightgbm}
    series:
      - {name: checkout, column: checkout, time-zone: Europe/Berlin}
      - {columns: "shop-*"}                                     # a series for each column
      - {name: "app-{}", data: "prometheus://prometheus:9090", by: app,
         query: 'sum by (app) (rate(requests_total{app=~"$app"}[5m]))'}   # a series for each value of the label

Fields are the options of `fit`. Every error names the file, the entry and the field. Must not read any load.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import polars as pl
import yaml

from controller.ports import MetricError
from controller.sources.prometheus import fetch_label
from training import written
from training.cleaning.flags import HOWS, How
from training.datasets import DataError
from training.datasets.prometheus import SCHEMES
from training.families.catalogue import family_of
from training.families.family import FitError
from training.member import AUTO, Member
from training.windows import WindowError

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")  # as the controller looks for models
_NOT_IN_A_NAME = re.compile(r"[^-A-Za-z0-9_.]+")
_LABEL = re.compile(r"[a-zA-Z_]\w*", re.ASCII)
_PLACE = "{}"  # in a name: where the column or the label's value goes
_TIMESTAMP = "timestamp"
_MOST_BYTES = 16 * 2**20  # of a fleet file; ten thousand series need less than two


class RosterError(ValueError):
    """The fleet file cannot be meant; the message names the entry, the field and the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the list. `columns`: a pattern; `by`: a label. With either it stands for several members."""

    member: Member
    columns: str | None = None
    by: str | None = None

    def members(self, now: datetime) -> Iterator[Member]:
        """Whom it stands for at `now`. Raises DataError where that cannot be found out."""
        if self.columns is not None:
            yield from (self._named(column, column=column) for column in self._columns(self.columns))
        elif self.by is not None:
            yield from (self._named(value, query=self._query(self.by, value)) for value in self._values(self.by, now))
        else:
            yield self.member

    def _named(self, part: str, **changes: str) -> Member:
        name = self.member.name.replace(_PLACE, _NOT_IN_A_NAME.sub("-", part).strip("-._"))
        return replace(self.member, name=name, **changes)  # type: ignore[arg-type]  # all of these fields are texts

    def _columns(self, pattern: str) -> list[str]:
        names = [name for name in _heading(Path(self.member.data)) if name != _TIMESTAMP]
        found = [name for name in names if fnmatchcase(name, pattern)]
        if not found:
            raise DataError(f"no column of {self.member.data} is like {pattern!r}; it has {_some(names)}")
        return found

    def _values(self, label: str, now: datetime) -> list[str]:
        parts = urlsplit(self.member.data)
        address = f"{SCHEMES[parts.scheme]}://{parts.netloc}{parts.path.rstrip('/')}"
        every = (self.member.query or "").replace(f"${label}", ".+")
        try:
            found = asyncio.run(fetch_label(address, every, label, now))
        except MetricError as error:
            raise DataError(f"{address}: {error}") from error
        if not found:
            raise DataError(f"{address}: nothing that the query gives now has a label {label!r}; write `by ({label})`")
        return found

    def _query(self, label: str, value: str) -> str:
        """The query for one value only: by the matcher that the user left room for, or else cut out of the whole."""
        query = self.member.query or ""
        if f"${label}" in query:
            return query.replace(f"${label}", _quoted(re.escape(value)))
        only = f'label_replace(vector(1), "{label}", "{_quoted(value.replace("$", "$$"))}", "", "")'
        return f"({query}) and on ({label}) {only}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _some(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _heading(path: Path) -> list[str]:
    """The columns of a table. Raises DataError."""
    try:
        if path.suffix == ".parquet":
            return list(pl.read_parquet_schema(path))
        return [str(name) for name in pd.read_csv(path, nrows=0).columns]
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(f"the columns of {path} cannot be read: {error}") from error


def read(path: Path) -> list[Entry]:
    """Every entry of the fleet file, checked so far as that needs no data. Raises RosterError."""
    content = _parsed(path)
    if not isinstance(content, dict) or not set(content) <= {"defaults", "series"}:
        raise RosterError(f"{path}: write `defaults:`, a mapping, and `series:`, a list, and nothing else")
    defaults, listed = content.get("defaults") or {}, content.get("series")
    if not isinstance(defaults, dict):
        raise RosterError(f"{path}: defaults: must be a mapping of fields")
    if not isinstance(listed, list) or not listed:
        raise RosterError(f"{path}: series: must be a list with at least one entry")
    where = {number: _where(path, number, entry) for number, entry in enumerate(listed, start=1)}
    entries = [_entry(where[number], path.parent, defaults, entry) for number, entry in enumerate(listed, start=1)]
    _refuse_twins(path, [entry.member.name for entry in entries if not (entry.by or entry.columns)])
    return entries


def _parsed(path: Path) -> object:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise RosterError(f"{path} is larger than {_MOST_BYTES} bytes, which no list of series is")
        # BaseLoader makes texts, lists and mappings only: what a field is, its reader knows.
        return yaml.load(data, yaml.BaseLoader)  # noqa: S506
    except OSError as error:
        raise RosterError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RosterError(f"{path} is not YAML: {' '.join(str(error).split())}") from error


def _where(path: Path, number: int, entry: object) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    return f"{path}: series {number}" + (f" ({name})" if name else "")


def _entry(where: str, folder: Path, defaults: Mapping[str, object], entry: object) -> Entry:
    if not isinstance(entry, dict):
        raise RosterError(f"{where}: must be a mapping of fields such as name, data and column")
    given = {name: _read(where, name, value) for name, value in {**defaults, **entry}.items()}
    columns, by = given.pop("columns", None), given.pop("by", None)
    if "data" not in given:
        raise RosterError(f"{where}: data: is missing; name a file or prometheus://HOST:PORT, here or in defaults")
    if not urlsplit(given["data"]).scheme:
        given["data"] = str(folder / given["data"])
    if "calendar" in given:
        given["calendar"] = str(folder / given["calendar"])
    given.setdefault("name", _PLACE if columns or by else given.get("column", ""))
    member = Member(**{_ATTRIBUTES.get(name, name.replace("-", "_")): value for name, value in given.items()})
    _check(where, member, columns, by)
    return Entry(member=member, columns=columns, by=by)


def _read(where: str, name: str, value: object) -> Any:  # noqa: ANN401  # each field has its own type
    if name not in _READERS:
        raise RosterError(f"{where}: there is no field {name!r}; there are {', '.join(_READERS)}")
    if not isinstance(value, str) or not value:
        raise RosterError(f"{where}: {name}: must be a text, not {value!r}")
    try:
        return _READERS[name](value)
    except (ValueError, FitError) as error:
        raise RosterError(f"{where}: {name}: {error}") from error


def _check(where: str, member: Member, columns: str | None, by: str | None) -> None:
    """What no field can know alone. Raises RosterError."""
    is_prometheus = urlsplit(member.data).scheme in SCHEMES
    if columns and by:
        raise RosterError(f"{where}: columns: cannot stand beside by; a series is a column or a label's value")
    if (columns or by) and _PLACE not in member.name:
        raise RosterError(f"{where}: name: must hold {_PLACE}, where the {'column' if columns else by} goes")
    if by and not (is_prometheus and member.query):
        raise RosterError(f"{where}: by: needs a query and data: prometheus://HOST:PORT")
    if is_prometheus and not member.query and "query=" not in member.data:
        raise RosterError(f"{where}: query: is missing; say what Prometheus is to be asked")
    if not _NAME.fullmatch(member.name.replace(_PLACE, "x")):
        raise RosterError(f"{where}: name: {member.name!r} is no model's name; use letters, digits, '-', '_' and '.'")
    try:
        _ = member.window
    except WindowError as error:
        raise RosterError(f"{where}: step, season, horizon: {error}") from error


def _text(text: str) -> str:
    return text


def _label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError(f"{text!r} is not a label's name")
    return text


def _family(text: str) -> str:
    if text != AUTO:
        family_of(text)
    return text


def _how(text: str) -> How:
    for how in HOWS:
        if how == text:
            return how
    raise ValueError(f"{text!r} is none of {', '.join(HOWS)}")


_READERS: dict[str, Callable[[str], object]] = {
    "name": _text,
    "data": _text,
    "query": _text,
    "by": _label,
    "column": _text,
    "columns": _text,
    "aggregate": written.aggregate,
    "time-zone": written.zone,
    "start": written.moment,
    "every": written.duration,
    "from": written.moment,
    "until": written.moment,
    "step": written.duration,
    "season": written.duration,
    "horizon": written.duration,
    "family": _family,
    "unit": _text,
    "test-from": written.moment,
    "clean": _how,
    "calendar": _text,
    "budget": written.duration,
    "because": _text,
}
_ATTRIBUTES = {"time-zone": "zone", "from": "since"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Whom the file stands for now. `lost`: entries that could not be spread out, by name, and why."""

    members: tuple[Member, ...]
    lost: Mapping[str, str]


def spread(path: Path, now: datetime) -> Roster:
    """The members of the fleet file. Raises RosterError; what Prometheus or a table does not tell is `lost`."""
    members: list[Member] = []
    lost: dict[str, str] = {}
    for entry in read(path):
        try:
            members += entry.members(now)
        except DataError as error:
            lost[entry.member.name] = str(error)
    _refuse_twins(path, [member.name for member in members])
    return Roster(members=tuple(members), lost=lost)


def _refuse_twins(path: Path, names: Iterable[str]) -> None:
    twins = [name for name, count in Counter(names).items() if count > 1]
    if twins:
        raise RosterError(f"{path}: several series have the name {_some(twins)}; a name is a model's file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One of `of` parts of a fleet; `index` counts from 0 as Kubernetes does."""

    index: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.of:
            raise RosterError(f"share {self.index}/{self.of}: the first number counts from 0 and is below the second")

    @classmethod
    def parse(cls, text: str) -> Share:
        """'0/4', '3/4'. Raises RosterError."""
        index, _, of = text.partition("/")
        if not (index.isdecimal() and of.isdecimal()):
            raise RosterError(f"share {text!r} is not INDEX/COUNT such as 0/4")
        return cls(index=int(index), of=int(of))

    @classmethod
    def of_pod(cls, environment: Mapping[str, str]) -> Share:
        """What an Indexed Job says: Kubernetes sets JOB_COMPLETION_INDEX, the manifest JOB_COMPLETIONS."""
        index, of = (environment.get(name, "") for name in ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"))
        return cls.parse(f"{index}/{of}") if index and of else cls()

    def has(self, name: str) -> bool:
        """Whether the series is in this part: by a digest of its name, so that others may come and go."""
        return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % self.of == self.index
