"""What may be left out of installed packages, and is it gone? Takes the files away that surplus.toml lists.

A file goes only if its package's RECORD lists it, and the RECORD then says so no more: what is there and what the
metadata tells stay the same. Must not guess: a pattern without a match is an error, since it tells of a package that
has changed. Standard library only.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

RULES = Path(__file__).with_name("surplus.toml")
ANY = "*"


class PruneError(Exception):
    """The rules and the packages do not fit; the message names the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Files of the package `of` that match one of `paths` and none of `keep` are surplus; `why` is for readers."""

    of: str
    why: str
    paths: tuple[str, ...]
    keep: tuple[str, ...] = ()

    def takes(self, path: str) -> bool:
        """Whether the file at `path`, as the RECORD writes it, is surplus."""
        return matches(path, self.paths) and not matches(path, self.keep)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a rule took away."""

    rule: Rule
    files: int
    bytes: int


def read(text: str) -> tuple[Rule, ...]:
    """The rules in `text`, TOML as in surplus.toml. Raises PruneError for one that is not whole."""
    try:
        return tuple(_rule(entry) for entry in tomllib.loads(text)["surplus"])
    except (KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        raise PruneError(f"surplus.toml: each [[surplus]] has of, why, paths and perhaps keep: {error}") from error


def prune(library: Path, rules: Sequence[Rule]) -> list[Taken]:
    """Take away from the packages in `library` what `rules` list; one Taken for each rule.

    `library`: a folder as `pip install --target` fills it. Raises PruneError, and takes nothing, when a pattern
    matches no file.
    """
    records = {record.parent.name: _entries(record) for record in _records(library)}
    _refuse_stale(rules, records)
    taken = [_take(library, rule, records) for rule in rules]
    for name, entries in records.items():
        _write(library / name / "RECORD", entries)
    _remove_empty(library)
    return taken


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether `path` is like one of `patterns`."""
    return any(_compiled(pattern).fullmatch(path) for pattern in patterns)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """`**/` is any number of folders, also none; `**` anything; `*` and `?` what has no slash."""
    likes = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(likes.get(part, re.escape(part)) for part in parts))


def _rule(entry: dict[str, Any]) -> Rule:
    lists = {name: tuple(entry[name]) for name in ("paths", "keep") if name in entry}
    fields: dict[str, Any] = entry | lists
    return Rule(**fields)


def _records(library: Path) -> list[Path]:
    found = sorted(library.glob("*.dist-info/RECORD"))
    if not found:
        raise PruneError(f"{library} holds no installed package")
    return found


def _entries(record: Path) -> list[list[str]]:
    with record.open(newline="", encoding="utf-8") as lines:
        return list(csv.reader(lines))


def _write(record: Path, entries: list[list[str]]) -> None:
    """Never in place: an installer may have linked the file to its cache."""
    fresh = record.with_name("RECORD.new")
    with fresh.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines, lineterminator="\n").writerows(entries)
    fresh.replace(record)


def _refuse_stale(rules: Sequence[Rule], records: dict[str, list[list[str]]]) -> None:
    for rule in rules:
        paths = [entry[0] for name in _of(rule, records) for entry in records[name]]
        for pattern in (*rule.paths, *rule.keep):
            if not any(matches(path, [pattern]) for path in paths):
                raise PruneError(f"no file of {rule.of} is like {pattern} any more: change image/surplus.toml")


def _of(rule: Rule, records: dict[str, list[list[str]]]) -> Iterator[str]:
    """The .dist-info folders that a rule is about."""
    yield from (name for name in records if rule.of in {ANY, name.partition("-")[0]})


def _take(library: Path, rule: Rule, records: dict[str, list[list[str]]]) -> Taken:
    """Also what an earlier rule took is no longer there to be counted twice."""
    files = size = 0
    for name in _of(rule, records):
        surplus = [entry for entry in records[name] if rule.takes(entry[0])]
        records[name] = [entry for entry in records[name] if not rule.takes(entry[0])]
        for path in (library / entry[0] for entry in surplus):
            size += path.lstat().st_size
            path.unlink()
        files += len(surplus)
    return Taken(rule=rule, files=files, bytes=size)


def _remove_empty(library: Path) -> None:
    """Folders in which nothing is left, the deepest first."""
    for folder in sorted((path for path in library.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
