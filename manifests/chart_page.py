"""What can the chart be told? Its values.yaml as a page for people; `python -m manifests` writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from manifests.install import CHART, ROOT

FILE = ROOT / "docs/reference/chart.md"
VALUES = CHART / "values.yaml"
HEAD = """\
# Values of the chart

<!-- Written by `make manifests` from charts/predictive-scaler/values.yaml; change that instead. -->

Everything that `helm install` takes by `--set` or `--values`, from
[values.yaml](../../charts/predictive-scaler/values.yaml). A misspelt value, or one of another type, is refused by the
chart's schema.
"""
TABLE = "\n| value | default | meaning |\n|---|---|---|\n"
_Path = tuple[str, ...]


def page(text: str) -> str:
    """The whole page, of the text of values.yaml. Raises ValueError for a value that no comment explains."""
    meanings = dict(_meanings(text))
    rows = list(_rows(yaml.safe_load(text), (), meanings))
    return HEAD + "".join(_section(rows, title) for title in ("", *_sections(rows)))


def _sections(rows: list[tuple[_Path, str, str]]) -> list[str]:
    """What has values below it, in the order of the file."""
    return list(dict.fromkeys(path[0] for path, _, _ in rows if len(path) > 1))


def _section(rows: list[tuple[_Path, str, str]], title: str) -> str:
    """The table of one part; that without a title has what stands alone."""
    parts = set(_sections(rows))
    inside = [row for row in rows if (row[0][0] if row[0][0] in parts else "") == title]
    heading = f"\n## {title}\n" if title else "\n## At the top\n"
    return heading + TABLE + "".join(_row(*row) for row in inside)


def _row(path: _Path, default: str, meaning: str) -> str:
    cells = (f"`{'.'.join(path)}`", f"`{default}`" if default else "", meaning)
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |\n"


def escaped(cell: str) -> str:
    """`cell` as a part of a table in Markdown."""
    return cell.replace("|", "\\|").replace("<", "&lt;")


def _rows(values: Mapping[str, Any], above: _Path, meanings: Mapping[_Path, str]) -> Iterator[tuple[_Path, str, str]]:
    """Every value with its default and its meaning; a part of which a comment speaks as a whole is one row."""
    for name, value in values.items():
        path = (*above, name)
        has_parts = isinstance(value, dict) and any(known[: len(path)] == path != known for known in meanings)
        if not has_parts and path not in meanings:
            raise ValueError(f"values.yaml says nothing above {'.'.join(path)}; write a comment there")
        if path in meanings:
            yield path, "" if has_parts else _default(value), meanings[path]
        if has_parts:
            yield from _rows(value, path, meanings)


def _default(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n").removesuffix("\n...")


def _meanings(text: str) -> Iterator[tuple[_Path, str]]:
    """The comment above each key, by the key's path; a blank line ends what a comment speaks of."""
    comment: list[str] = []
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        stripped = line.lstrip()
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
            continue
        indent, (name, colon, _) = len(line) - len(stripped), stripped.partition(":")
        if colon and not stripped.startswith("- "):
            above = [(depth, each) for depth, each in above if depth < indent] + [(indent, name)]
            if comment:
                yield tuple(each for _, each in above), " ".join(comment)
        comment = []
