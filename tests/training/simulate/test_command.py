"""`simulate` says what its log says, and fails in one clear line."""

from __future__ import annotations

import csv
import json
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.spec import KIND
from tests.training.shell import invoke

pytestmark = pytest.mark.slow

MODELS = Path(__file__).parents[3] / "models"
_PRESET = Path(__file__).parents[3] / "training" / "presets" / "balanced-reactive.yaml"
_ASKED = [
    *("--data", "generated:1", "--step", "5m", "--startup", "10m", "--workers", "1"),
    *("--model", str(MODELS / "seasonal-naive.onnx")),
]
_HOURS = 5 / 60  # in a step


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of one run with a sweep."""
    out = tmp_path_factory.mktemp("simulate") / "out"
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert invoke(monkeypatch, "simulate", *_ASKED, "--sweep", "--objective", "2%", "--out", str(out)) == 0
    return out


def _summary(out: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return summary


def _rows(out: Path, name: str) -> list[dict[str, str]]:
    with (out / f"decisions-{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["predictive", "hpa", "static", "oracle"])
def test_who_scores_the_decisions_anew_gets_the_figures_of_the_summary(found: Path, name: str) -> None:
    told, rows = _summary(found), _rows(found, name)
    policy, serves = told["policies"][name], told["perReplica"]
    desired = [int(row["desired"]) for row in rows]
    known = [(float(row["load"]), int(row["ready"])) for row in rows if row["load"]]
    missed = [max(0.0, load - ready * serves) for load, ready in known]
    missed = [one if one > 1e-9 * serves else 0.0 for one in missed]
    assert policy["replicaHours"] == pytest.approx(sum(desired) * _HOURS)
    assert policy["underProvisioned"] == pytest.approx(sum(one > 0 for one in missed) / len(known))
    assert policy["unserved"] == pytest.approx(sum(missed) / sum(load for load, _ in known))
    assert policy["changes"] == sum(a != b for a, b in pairwise(desired))


@pytest.mark.parametrize("name", ["predictive", "hpa", "oracle"])
def test_no_replica_of_the_log_serves_before_it_can(found: Path, name: str) -> None:
    rows, lag = _rows(found, name), 2
    desired = [int(row["desired"]) for row in rows]
    for place in range(lag, len(rows)):
        assert int(rows[place]["ready"]) == min(desired[place - lag : place + 1])


def test_every_decision_of_the_log_follows_from_its_words(found: Path) -> None:
    rows = _rows(found, "predictive")
    assert list(rows[0]) == ["time", "load", "demand", "source", "desired", "ready", "steps"]
    assert {row["source"] for row in rows} <= {"Seen", "Reactive", "Forecast", "Burst"}
    for before, row in pairwise(rows):
        if before["desired"] != row["desired"]:
            assert f"-> {row['desired']}:" in row["steps"]


def test_the_oracle_is_cheapest_and_the_fixed_size_never_short(found: Path) -> None:
    told = _summary(found)
    policies = told["policies"]
    assert policies["static"]["underProvisioned"] == 0.0
    assert min(policies, key=lambda name: policies[name]["replicaHours"]) == "oracle"
    assert policies["static"]["costBelowStatic"] == 0.0
    assert (policies["hpa"]["gapClosed"] or 0.0) <= 0.0  # it is one of the settings that it is held against


def test_a_policy_that_costs_what_the_hpa_costs_has_closed_nothing(found: Path) -> None:
    told = _summary(found)
    goal, own = told["atRisk"], told["frontiers"]["predictive"]
    hours = goal["replicaHours"]
    assert goal["underProvisioned"] == 0.02
    assert own["knob"] == "objective"
    assert len(own["points"]) == 9
    if None not in (hours["hpa"], hours["oracle"], hours["predictive"]):
        closed = (hours["hpa"] - hours["predictive"]) / (hours["hpa"] - hours["oracle"])
        assert goal["gapClosed"] == pytest.approx(closed)


def test_the_difference_to_the_hpa_comes_with_its_interval(found: Path) -> None:
    told = _summary(found)
    less, policies = told["lessHpa"], told["policies"]
    assert less["level"] == 0.95
    for name in ("replicaHours", "underProvisioned", "unserved"):
        wanted = policies["predictive"][name] - policies["hpa"][name]
        assert less[name]["difference"] == pytest.approx(wanted)
        assert less[name]["low"] <= wanted <= less[name]["high"]


def test_awss_policies_are_told_in_all_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    asked = [*_ASKED, "--policy", "predictive,aws-predictive,aws-tracking", "--out", str(out)]
    assert invoke(monkeypatch, "simulate", *asked) == 0
    told = _summary(out)
    names = ["aws-predictive", "aws-tracking"]
    assert [one for one in told["policies"] if one.startswith("aws")] == names
    points = {name: {one["setting"]: one for one in told["frontiers"][name]["points"]} for name in names}
    screen, page = " ".join(capsys.readouterr().out.split()), (out / "report.html").read_text()
    for name in names:
        assert told["policies"][name]["replicaHours"] == points[name][0.5]["replicaHours"]
        assert f"{name} at 50%" in page
        assert f"{name}, ready" in page
        desired = [int(row["desired"]) for row in _rows(out, name)]
        assert told["policies"][name]["replicaHours"] == pytest.approx(sum(desired) * _HOURS)
        for before, row in pairwise(_rows(out, name)):
            if before["desired"] != row["desired"]:
                assert row["steps"].startswith(f"{before['desired']} -> {row['desired']}: ")
    saved = told["policies"]["predictive"]["hoursBelowAws"]
    assert saved is not None
    for place in (screen, page):
        assert "which is not AWS's model" in place.replace("&#39;", "'")
        assert f"predictive saves {saved:.1%} of replica-hours" in place
    assert "When and why aws-predictive was short" in page


def test_the_page_stands_alone(found: Path) -> None:
    page = (found / "report.html").read_text()
    assert page.count("<svg") >= 2
    assert not re.search(r"<script|<link|src=|href=\"http|url\(http", page)
    assert "When and why predictive was short" in page


def test_a_real_spec_brings_its_own_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = {
        "targetRef": {"name": "web"},
        "minReplicas": 3,
        "maxReplicas": 9,
        "metric": {"prometheus": {"query": "q"}, "targetPerReplica": "100m"},
        "forecast": {"quantile": 0.75, "leadTime": "auto"},
    }
    path = tmp_path / "scaler.yaml"
    path.write_text(yaml.safe_dump_all([{"kind": "Deployment"}, {"kind": KIND, "spec": spec}]))
    out = tmp_path / "out"
    asked = [*_ASKED, "--spec", str(path), "--policy", "predictive,static", "--out", str(out)]
    assert invoke(monkeypatch, "simulate", *asked) == 0
    told = _summary(out)
    assert list(told["policies"]) == ["predictive", "static"]
    assert told["perReplica"] == pytest.approx(0.1)
    assert told["policies"]["predictive"]["setting"] == 0.75
    sizes = {int(row["desired"]) for row in _rows(out, "predictive")}
    assert min(sizes) >= 3
    assert max(sizes) <= 9


def test_without_a_model_what_needs_none_is_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    asked = ["--data", "generated:1", "--step", "5m", "--workers", "1", "--policy", "hpa,oracle", "--out", str(out)]
    assert invoke(monkeypatch, "simulate", *asked) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "decisions-hpa.csv",
        "decisions-oracle.csv",
        "report.html",
        "summary.json",
    ]
    assert all(math.isfinite(one["replicaHours"]) for one in _summary(out)["policies"].values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--policy", "hpa,magic"],
            "there is no policy 'magic'; there are predictive, hpa, static, oracle, aws-predictive, aws-tracking",
        ),
        (["--objective", "30%"], "--objective must be above 0% and at most 20%, not 30%"),
        (["--objective", "1%", "--quantile", "0.9"], "--quantile has no effect beside --objective"),
        (["--quantile", "0.999"], "--quantile must be from 0.5 to 0.99"),
        (["--per-replica", "1", "--mean-replicas", "8"], "remove one of them"),
        (["--per-replica", "0"], "--per-replica must be above 0"),
        (["--from", "2030-01-01"], "--from: the load is known from"),
        (["--from", "1990-01-01"], "--from: the load is known from"),
        (["--scheduling-buffer", "60s"], "--scheduling-buffer has no effect without the policy aws-predictive"),
        (["--policy", "aws-predictive", "--scheduling-buffer", "1h"], "--scheduling-buffer must be from 0s to less"),
        (["--step", "10m"], "--step: the model answers in steps of 0:05:00"),
        (["--spec", "absent.yaml"], "--spec: absent.yaml cannot be read"),
        (["--price", "absent.yaml"], "--price: absent.yaml cannot be read"),
        (["--spec", str(_PRESET)], "--model has no effect beside --spec, whose forecast.model is none"),
        (["--out", "absent/out"], "--out: absent/out cannot be made a directory"),
        (["--model", "absent.onnx"], "--model: file: absent.onnx cannot be read"),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(monkeypatch, "simulate", *_ASKED, "--out", "out", *arguments) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_predictive_policy_needs_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(monkeypatch, "simulate", "--data", "generated:1", "--out", "out") == 2
    assert "--model: the policy predictive needs a model file" in capsys.readouterr().err


@pytest.mark.parametrize("utilisation", ["50", "0.5", "120%", "half"])
def test_a_share_is_written_with_its_sign(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], utilisation: str
) -> None:
    assert invoke(monkeypatch, "simulate", *_ASKED, "--out", "out", "--utilisation", utilisation) == 2
    assert "is not a share such as 1% or 0.5%" in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_the_matrix_is_told_in_all_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    asked = [*_ASKED, "--policy", "hpa", "--matrix", "--out", str(out)]
    assert invoke(monkeypatch, "simulate", *asked) == 0
    presets = _summary(out)["presets"]
    assert len(presets["cells"]) == 9
    assert list(presets["beside"]) == ["HPA at 50 %", "objective 1 %", "static"]
    screen, page = capsys.readouterr().out, (out / "report.html").read_text()
    for cell in presets["cells"]:
        for place in (screen, page):
            assert f"{cell['underProvisioned']:.2%} short" in place
            assert f"{cell['replicaHours']:,.0f} replica-hours" in place


def test_the_matrix_needs_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["--data", "generated:1", "--policy", "hpa", "--matrix", "--out", "out"]
    assert invoke(monkeypatch, "simulate", *asked) == 2
    assert "--matrix: three of the presets go by a forecast; give a model file with --model" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
