"""`recommend` prints a spec that was not chosen by what it is judged on, and that comes to what it says."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml

from controller.spec import parse
from tests.contracts.specs import resource_schema, strict
from tests.training.shell import invoke

pytestmark = pytest.mark.slow

MODEL = Path(__file__).parents[3] / "models" / "seasonal-naive.onnx"
_SPANS = ["--from", "2024-01-25T00:00Z", "--test-from", "2024-01-26T00:00Z", "--until", "2024-01-27T00:00Z"]
_BLIND = ["--data", "generated:1", "--step", "5m", "--startup", "10m", "--workers", "1", "--per-replica", "0.1"]
_ASKED = [*_BLIND, "--model", str(MODEL)]
Run = Callable[..., tuple[str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The two streams of `recommend ARGUMENTS`."""

    def invoked(*arguments: str) -> tuple[str, str]:
        assert invoke(monkeypatch, "recommend", *arguments) == 0
        told = capsys.readouterr()
        return told.out, told.err

    return invoked


def _spec(text: str) -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load(text)["spec"]
    return spec


@dataclass(frozen=True)
class Found:
    """What one run printed on stdout and stderr, and its figures."""

    text: str
    aside: str
    figures: dict[str, Any]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    kept = tmp_path_factory.mktemp("recommend") / "figures.json"
    asked = ["--objective", "2%", "--name", "shop", "--namespace", "sales", "--json", str(kept)]
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as monkeypatch, redirect_stdout(out), redirect_stderr(err):
        assert invoke(monkeypatch, "recommend", *_ASKED, *_SPANS, *asked) == 0
    return Found(out.getvalue(), err.getvalue(), json.loads(kept.read_text()))


def test_what_is_printed_can_be_applied(found: Found) -> None:
    document = yaml.safe_load(found.text)
    jsonschema.Draft202012Validator(strict(resource_schema()["properties"]["spec"])).validate(document["spec"])
    assert parse(document["spec"]).target.name == "shop"
    assert document["metadata"] == {"name": "shop", "namespace": "sales"}
    assert found.figures["recommended"]["spec"] == document["spec"]


def test_the_figures_are_told_above_it_and_the_tables_aside(found: Found) -> None:
    judged = found.figures["judged"]["recommended"]
    comment = _comment(found.text)
    assert f"short {judged['underProvisioned']:.2%} of the time" in comment
    assert ("; as wanted." in comment) is found.figures["isKept"] is (judged["underProvisioned"] <= 0.02)
    assert "candidates on the span to choose by" in found.aside
    assert len(found.figures["candidates"]) == 32


def test_what_is_printed_comes_to_what_it_says(found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scaler, out = tmp_path / "scaler.yaml", tmp_path / "out"
    scaler.write_text(found.text)
    asked = _BLIND if _spec(found.text)["forecast"].get("model") == "none" else _ASKED
    again = [*asked, "--spec", str(scaler), "--from", "2024-01-26T00:00Z", "--until", "2024-01-27T00:00Z"]
    assert invoke(monkeypatch, "simulate", *again, "--out", str(out)) == 0
    judged, told = found.figures["judged"], json.loads((out / "summary.json").read_text())["policies"]
    for ours, theirs in (("recommended", "predictive"), ("static", "static"), ("oracle", "oracle")):
        for figure in ("replicaHours", "underProvisioned", "unserved", "changes", "cost"):
            assert judged[ours][figure] == pytest.approx(told[theirs][figure]), (ours, figure)


def test_the_choice_is_the_best_by_its_own_figures(found: Found) -> None:
    told = found.figures
    fit = [one for one in told["candidates"] if one["underProvisioned"] <= 0.02]
    cheap = [one for one in fit if one["cost"] <= 1.01 * min(each["cost"] for each in fit)]
    assert told["recommended"] == min(cheap, key=lambda one: (one["changes"], one["cost"]))
    assert told["isMet"] is True
    assert f"Recommended: {told['recommended']['about']}." in _comment(found.text)


def _comment(text: str) -> str:
    return " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# "))


def _trace(path: Path, factor: float) -> Path:
    """Four days in steps of five minutes, of which the last is multiplied."""
    rng = np.random.default_rng(3)  # seeded
    places = np.arange(4 * 288)
    load = 300 + 200 * np.sin(2 * np.pi * places / 288) + rng.normal(0, 20, len(places))
    load[3 * 288 :] *= factor
    start = datetime(2026, 3, 2, tzinfo=UTC)
    times = (start + timedelta(minutes=5) * int(place) for place in places)
    rows = (f"{time:%Y-%m-%dT%H:%M:%SZ},{value:.0f}\n" for time, value in zip(times, load, strict=True))
    path.write_text("timestamp,requests\n" + "".join(rows))
    return path


def test_what_it_is_judged_on_has_no_say_in_the_choice(run: Run, tmp_path: Path) -> None:
    asked = ["--step", "5m", "--startup", "5m", "--workers", "1", "--mean-replicas", "8"]
    spans = ["--from", "2026-03-04", "--test-from", "2026-03-05"]
    calm, wild = (
        run("--data", str(_trace(tmp_path / f"{factor}.csv", factor)), *asked, *spans)[0] for factor in (1.0, 3.0)
    )
    assert _spec(calm) == _spec(wild)
    assert _spec(calm)["forecast"]["model"] == "none"
    assert "NOT as wanted" in wild
    assert _comment(calm).split("Judged")[0] == _comment(wild).split("Judged")[0]


def test_a_budget_is_kept_to_and_json_can_be_had(run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    text, _ = run(*_BLIND, *_SPANS, "--budget", "250h", "-o", "json", "--json", str(kept))
    found = json.loads(kept.read_text())
    assert json.loads(text)["spec"] == found["recommended"]["spec"]
    fit = [one for one in found["candidates"] if one["replicaHours"] <= 250]
    least = min(one["underProvisioned"] for one in fit)
    assert found["recommended"] in fit
    assert found["recommended"]["underProvisioned"] <= 1.1 * least


def test_what_nobody_can_meet_is_said(run: Run) -> None:
    text, _ = run(*_BLIND, *_SPANS, "--budget", "1h")
    assert "None keeps to that: it comes nearest." in _comment(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--priority", "speed"], "--priority: there is no priority 'speed'"),
        (["--priority", "risk", "--budget", "3h"], "--priority, --objective and --budget each name the goal"),
        (["--budget", "3EUR"], "--budget: '3EUR' is not an amount a day such as 200h, in replica-hours, or 12.50USD"),
        (["--test-from", "2024-01-27"], "--test-from: give --from as well"),
        (["--from", "2030-01-01"], "--from: the load is known from"),
        (["--from", "2024-01-25", "--test-from", "2024-01-01"], "--test-from: the load from"),
        (["--mean-replicas", "8"], "--per-replica and --mean-replicas say the same"),
        (["--name", "Web"], "--name: spec.targetRef.name"),
        (["--namespace", "A b"], "--namespace: 'A b' is not a name"),
        (["--min-replicas", "9", "--max-replicas", "8"], "--max-replicas: spec.maxReplicas"),
        (["--startup", "7h"], "--startup: spec.forecast.leadTime"),
        (["--step", "10m"], "--step: the model answers in steps of 0:05:00"),
        (["--output", "xml"], "--output: there is no form 'xml'; there are yaml, json"),
        (["--model", "absent.onnx"], "--model: file: absent.onnx cannot be read"),
        (["--price", "absent.yaml"], "--price: absent.yaml cannot be read"),
        (["--json", "absent/figures.json"], "--json: there is no directory absent"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_nothing_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert invoke(monkeypatch, "recommend", *_ASKED, *arguments) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    assert told.out == ""
