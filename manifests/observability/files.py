"""Which files does the chart ship for Grafana and Prometheus? `python -m manifests` writes them."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from manifests.install import CHART
from manifests.observability import alerts, fleet_dashboard, metrics_page, recordings, scaler_dashboard
from manifests.observability.screen import filled

DASHBOARDS = CHART / "dashboards"
RULES = CHART / "rules"


def files() -> dict[Path, str]:
    """The content of each."""
    made = {
        DASHBOARDS / f"{each.UID}.json": json.dumps(filled(each.build(), each.sections()), cls=JSONEncoder, indent=1)
        for each in (scaler_dashboard, fleet_dashboard)
    }
    rules = {RULES / "alerts.yaml": alerts.groups(), RULES / "recordings.yaml": recordings.groups()}
    made |= {path: yaml.safe_dump({"groups": groups}, sort_keys=False, width=120) for path, groups in rules.items()}
    return {path: f"{text.rstrip()}\n" for path, text in made.items()} | {metrics_page.FILE: metrics_page.page()}


def write() -> None:
    """Write all of them."""
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
