"""The dashboards are fresh, are what Grafana's own types say, and ask only for what the controller exposes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from controller.metrics import Family, Metrics
from manifests.install import ROOT
from manifests.observability import files
from tests.contracts.dashboards import FILES, Asked, Json, filled, load, panels, queries, variables
from tests.contracts.grafana_types import misfits

NAMES = [path.stem for path in FILES]
GRID = 24
OF_GRAFANA = {"__interval": "1m", "__rate_interval": "5m", "__range": "6h"}
OF_PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
_SELECTOR = re.compile(r"\b([a-z_]+)\{([^}]*)\}|\b((?:predictive_scaler|process)_[a-z_]+)\b")
_MATCHER = re.compile(r"(\w+)(?:=~|!~|!=|=)")

EVERY_QUERY = [pytest.param(asked, id=f"{name}-{asked.panel}") for name in NAMES for asked in queries(load(name))]
EVERY_PANEL = [pytest.param(panel, id=f"{name}-{panel['title']}") for name in NAMES for panel in panels(load(name))]


@pytest.fixture(scope="module")
def rendered() -> dict[Path, str]:
    return files.files()


def test_what_is_rendered_is_fresh(rendered: dict[Path, str]) -> None:
    stale = [path.name for path, text in rendered.items() if path.read_text() != text]
    assert stale == [], "run `make manifests`"


def test_there_are_no_other_files(rendered: dict[Path, str]) -> None:
    assert {*files.DASHBOARDS.iterdir(), *files.RULES.iterdir()} <= rendered.keys()


@pytest.fixture(scope="module", autouse=True)
def _plugins() -> None:
    """The types of each kind of panel."""
    plugins.register_default_plugins()


@pytest.mark.parametrize("name", NAMES)
def test_every_part_is_of_grafanas_own_type(name: str) -> None:
    assert list(misfits(Dashboard.from_json(load(name)), Dashboard, name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_grafana_reads_back_all_that_is_written(name: str) -> None:
    """A field that it does not know would be lost."""
    read = Dashboard.from_json(load(name))
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == load(name)


def test_what_is_no_field_of_grafanas_or_of_another_type_is_found() -> None:
    broken = load(NAMES[0])
    broken["panels"][1]["gridPos"]["w"] = "wide"
    broken["refreshes"] = "30s"
    read = Dashboard.from_json(broken)
    assert any("wide" in one for one in misfits(read, Dashboard, ""))
    assert json.loads(json.dumps(read, cls=JSONEncoder)) != broken


@pytest.mark.parametrize("name", NAMES)
def test_panels_are_numbered_and_do_not_overlap(name: str) -> None:
    all_of_them = load(name)["panels"]
    assert len({panel["id"] for panel in all_of_them}) == len(all_of_them)
    places = [panel["gridPos"] for panel in all_of_them]
    assert all(place["x"] + place["w"] <= GRID for place in places)
    assert [pair for pair in combinations(places, 2) if _overlap(*pair)] == []


def _overlap(one: Json, other: Json) -> bool:
    return all(one[at] < other[at] + other[size] and other[at] < one[at] + one[size] for at, size in ("xw", "yh"))


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_every_panel_says_how_to_read_it(panel: Json) -> None:
    assert len(panel["description"].split()) >= 4
    assert panel["type"] in ("state-timeline", "table") or panel["fieldConfig"]["defaults"]["unit"]


@pytest.mark.parametrize("panel", EVERY_PANEL)
def test_every_runbook_that_is_named_exists(panel: Json) -> None:
    named = re.findall(r"docs/runbooks/\w+\.md", panel["description"])
    assert [page for page in named if not (ROOT / page).is_file()] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_that_is_used_is_there(name: str) -> None:
    dashboard = load(name)
    there = {one["name"] for one in dashboard["templating"]["list"]} | OF_GRAFANA.keys()
    assert variables(json.dumps(dashboard)) <= there


def asked_for(expr: str) -> Iterator[tuple[str, list[str]]]:
    """Each metric in a query with the labels that it is chosen by."""
    for name, matchers, bare in _SELECTOR.findall(expr):
        yield name or bare, _MATCHER.findall(matchers)


@cache
def exposed() -> dict[str, Family]:
    """By the names of the series: a histogram has three."""
    families = Metrics().families
    return {
        f"{one.name}{suffix}": one
        for one in families
        for suffix in (("_bucket", "_sum", "_count") if one.kind == "histogram" else ("",))
    }


@pytest.mark.parametrize("asked", EVERY_QUERY)
def test_every_query_asks_for_what_the_controller_exposes(asked: Asked) -> None:
    found = list(asked_for(asked.expr))
    assert found, "no metric is asked for"
    for name, labels in found:
        if name not in OF_PROCESS:
            assert set(labels) <= set(exposed()[name].labels), f"{name} has no label of {labels}"


def test_every_query_is_promql(promtool: Path, tmp_path: Path) -> None:
    """As recording rules, which promtool parses."""
    values = OF_GRAFANA | {"namespace": "shop", "scaler": "web", "lead": "135"}
    found = [filled(asked.expr, values) for name in NAMES for asked in queries(load(name))]
    rules = [{"record": f"query:{index}", "expr": expr} for index, expr in enumerate(found)]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
