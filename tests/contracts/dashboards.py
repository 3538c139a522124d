"""What does a test read of a dashboard? Its JSON as the chart ships it, and the queries in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from manifests.observability.files import DASHBOARDS

FILES = tuple(sorted(DASHBOARDS.glob("*.json")))
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One query of a panel, or of an annotation. `is_instant`: of one moment only."""

    panel: str
    expr: str
    is_instant: bool


def load(name: str) -> Json:
    """A dashboard by its file's stem."""
    return dict(json.loads((DASHBOARDS / f"{name}.json").read_text()))


def panels(dashboard: Json) -> list[Json]:
    """All but the headings."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard: Json) -> Iterator[Asked]:
    """Every one of every panel, and of every annotation."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield Asked(panel=panel["title"], expr=target["expr"], is_instant=bool(target.get("instant")))
    for annotation in dashboard["annotations"].get("list", []):
        yield Asked(panel=f"annotation {annotation['name']}", expr=annotation["expr"], is_instant=False)


def variables(text: str) -> set[str]:
    """The names of the variables that a text uses."""
    return {one or other for one, other in _VARIABLE.findall(text)}


def filled(text: str, values: Mapping[str, str]) -> str:
    """With each variable's value in its place, as Grafana does it."""
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], text)
