"""Alerts fire when they must and not when they must not, as Prometheus itself evaluates them; each has its page."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.metrics import Metrics
from manifests.install import ROOT, render
from manifests.observability.alerts import ALERTS, CRITICAL, PREFIX, WARNING
from manifests.observability.files import RULES
from tests.contracts.alert_cases import CASES, Case, condition, selector

pytestmark = pytest.mark.slow

HEADINGS = ["What it means", "What it does to you", "How to see it", "Causes and cures", "When to silence it"]

Rule = dict[str, Any]


@cache
def rules(name: str) -> list[Rule]:
    groups = yaml.safe_load((RULES / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


EVERY_ALERT = [pytest.param(rule, id=rule["alert"]) for rule in rules("alerts.yaml")]


def checked(promtool: Path, *arguments: str | Path) -> str:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["alerts.yaml", "recordings.yaml"])
def test_promtool_finds_nothing_wrong(promtool: Path, name: str) -> None:
    assert "SUCCESS" in checked(promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES / name)


def fired(case: Case) -> Rule:
    """As promtool has a test: the series ALERTS is what Prometheus itself writes of an alert that fires."""
    name = f"{PREFIX}{case.alert}"
    severity = next(rule["labels"]["severity"] for rule in rules("alerts.yaml") if rule["alert"] == name)
    expected = [
        {
            "labels": selector("ALERTS", {"alertname": name, "alertstate": "firing", "severity": severity} | labels),
            "value": 1,
        }
        for labels in case.fires
    ]
    asked = {"expr": f'ALERTS{{alertname="{name}",alertstate="firing"}}', "eval_time": f"{case.at}m"}
    return {
        "name": case.name,
        "interval": "1m",
        "input_series": [{"series": series, "values": _each(values)} for series, values in case.series.items()],
        "promql_expr_test": [asked | {"exp_samples": expected}],
    }


def _each(values: str) -> str:
    """promtool repeats no NaN by itself."""
    return re.sub(r"NaNx(\d+)", lambda found: " ".join(["NaN"] * (int(found[1]) + 1)), values)


def run(promtool: Path, folder: Path, alert: str, *tests: Rule) -> None:
    """With no other rule: promtool evaluates each at every minute."""
    alone = [rule for rule in rules("alerts.yaml") if rule["alert"] == f"{PREFIX}{alert}"]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "alone", "rules": alone}]}))
    file = folder / "test.yaml"
    content = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": list(tests)}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    checked(promtool, "test", "rules", file)


@pytest.mark.parametrize("alert", [alert.name for alert in ALERTS])
def test_it_fires_when_it_must_and_not_when_it_must_not(promtool: Path, tmp_path: Path, alert: str) -> None:
    cases = [case for case in CASES if case.alert == alert]
    assert any(case.fires for case in cases)
    assert not all(case.fires for case in cases)
    run(promtool, tmp_path, alert, *map(fired, cases))


def test_a_case_that_is_wrong_is_found(promtool: Path, tmp_path: Path) -> None:
    (right,) = (case for case in CASES if (case.alert, case.name) == ("SpecInvalid", "fires"))
    with pytest.raises(AssertionError, match="SpecInvalid"):
        run(promtool, tmp_path, right.alert, fired(Case(alert=right.alert, name="", series=right.series, at=right.at)))


def test_an_alert_says_whom_it_is_about_and_why(promtool: Path, tmp_path: Path) -> None:
    text = (
        "PredictiveScaler shop/web cannot read its metric (MetricEmpty). It holds the size, or goes to its fallback; "
    )
    said = {
        "summary": "shop/web: the load is not known (MetricEmpty)",
        "description": f"{text}it will not grow when the load does.",
        "runbook_url": "docs/runbooks/PredictiveScalerMetricsMissing.md",
    }
    labels = {"namespace": "shop", "scaler": "web", "severity": CRITICAL}
    asked = {"eval_time": "9m", "alertname": "PredictiveScalerMetricsMissing"}
    asked |= {"exp_alerts": [{"exp_labels": labels, "exp_annotations": said}]}  # type: ignore[dict-item]  # nested
    series = {"series": condition("MetricsAvailable", "False", "MetricEmpty"), "values": "1x30"}
    test = {"interval": "1m", "input_series": [series], "alert_rule_test": [asked]}
    run(promtool, tmp_path, "MetricsMissing", test)


@pytest.mark.parametrize("rule", EVERY_ALERT)
def test_it_has_all_that_a_person_needs(rule: Rule) -> None:
    assert rule["labels"]["severity"] in {CRITICAL, WARNING}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert re.fullmatch(r"[0-9]+[mh]", rule["for"])
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"


@pytest.mark.parametrize("rule", EVERY_ALERT)
def test_its_page_answers_all_that_is_asked_at_night(rule: Rule) -> None:
    page = (ROOT / rule["annotations"]["runbook_url"]).read_text()
    found = re.findall(r"^## (.*)$", page, flags=re.MULTILINE)
    assert [one.split(",")[0] for one in found] == HEADINGS
    assert page.startswith(f"# {rule['alert']}\n")
    assert rule["labels"]["severity"] in page.split("\n")[2].lower()
    assert "```" in page, "no command"


def test_there_is_a_page_for_each_alert_and_no_other() -> None:
    pages = {page.stem for page in (ROOT / "docs/runbooks").glob(f"{PREFIX}*.md")}
    assert pages == {rule["alert"] for rule in rules("alerts.yaml")}
    index = (ROOT / "docs/runbooks/README.md").read_text()
    assert set(re.findall(r"\((\w+)\.md\)", index)) == pages


@pytest.mark.parametrize(
    "rule", [*rules("alerts.yaml"), *rules("recordings.yaml")], ids=lambda rule: str(list(rule)[:1])
)
def test_it_asks_only_for_what_the_controller_exposes(rule: Rule) -> None:
    known = {one.name for one in Metrics().families} | {recorded["record"] for recorded in rules("recordings.yaml")}
    named = re.findall(r"(?<![\w:])predictive_scaler_\w+|namespace_scaler:[\w:]+", rule["expr"])
    assert named
    assert {re.sub("_(bucket|sum|count)$", "", one) for one in named} <= known


@pytest.mark.parametrize(("monitor", "endpoints"), [("service", "endpoints"), ("pod", "podMetricsEndpoints")])
def test_the_chart_has_series_scraped_with_the_namespace_of_the_scaler(
    helm: Path, monitor: str, endpoints: str
) -> None:
    """Else Prometheus would rename it, and no rule and no dashboard would find anything."""
    rendered = yaml.safe_load_all(render(helm, f"--set=metrics.{monitor}Monitor.enabled=true"))
    (found,) = (one for one in rendered if one and one["kind"] == f"{monitor.title()}Monitor")
    assert [each["honorLabels"] for each in found["spec"][endpoints]] == [True]
