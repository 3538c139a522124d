"""Does what a tick left say what it was made of, by whom, and is everything else refused in words that help?"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller import RELEASE
from controller.account import Account, AccountError
from controller.core.record import difference
from controller.core.startup import LeadTime, LeadTimeSource
from controller.outcome import LoadedModel, Outcome
from tests.builders import FRESH, NOW, account, card, forecast, record, scaler, seconds
from tests.fakes import DIGEST

ROOT = Path(__file__).parents[1]


def _made() -> Account:
    made = record(45, ahead=forecast(60, 70, 80), current=3)
    outcome = Outcome(
        time=NOW,
        model=LoadedModel(card=card(), digest=DIGEST),
        lead_time=LeadTime(duration=seconds(60), source=LeadTimeSource.LEARNT, samples=7),
        record=made,
        decision=made.decision,
        is_written=True,
        memory=made.memory,
    )
    return Account.of(scaler(generation=3), outcome)


def test_it_says_of_what_it_was_made_and_by_whom() -> None:
    told = _made().to_json()
    assert told["release"] == RELEASE
    assert told["scaler"] == {
        "namespace": "shop",
        "name": "web",
        "uid": "uid-web",
        "generation": 3,
        "mode": "Active",
        "target": 'Deployment "web"',
    }
    assert told["model"] == {"name": "seasonal-naive", "version": "1", "family": "seasonal", "digest": DIGEST}
    assert told["leadTime"] == {"source": "Learnt", "samples": 7, "ofPods": 0.0}
    assert told["isWritten"] is True


def test_what_was_written_is_read_bit_for_bit() -> None:
    made = _made()
    found = Account.from_text(made.to_text())
    assert found.to_text() == made.to_text()
    assert found.record is not None
    assert difference(found.record, found.record.replayed()) is None


def test_a_tick_without_a_decision_says_why() -> None:
    found = Account.from_text(account(None).to_text())
    assert found.record is None
    assert [problem.reason for problem in found.problems] == ["TargetNotFound"]


def test_a_refused_spec_is_why_nothing_was_decided() -> None:
    refused = scaler(spec={"maxReplicas": 0})
    found = Account.from_text(Account.of(refused, Outcome(time=NOW, memory=FRESH)).to_text())
    assert (found.scaler.mode, [problem.reason for problem in found.problems]) == (None, ["SpecInvalid"])
    assert "maxReplicas" in found.problems[0].message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2, "release": "9.1"}, "its version is 2, of release 9.1; this one reads 1"),
        (
            {"release": "0.0.9", "record": {"inputs": {"now": 1}}},
            "inputs.now must be.*release 0.0.9, this is 0.1",
        ),
        ({"later": 1}, "later is not known to this release"),
    ],
)
def test_what_another_release_wrote_is_refused_with_its_name(change: dict[str, Any], words: str) -> None:
    with pytest.raises(AccountError, match=words):
        Account.from_json(_made().to_json() | change)


@pytest.mark.parametrize("raw", [[], {}, {"version": 1}, None, 7], ids=str)
def test_what_is_no_record_is_refused_with_the_way_to_get_one(raw: object) -> None:
    with pytest.raises(AccountError, match="explain NAME -o json"):
        Account.from_json(raw)


@pytest.mark.parametrize("text", ["", "{", b"\xff"], ids=repr)
def test_what_is_no_json(text: str | bytes) -> None:
    with pytest.raises(AccountError, match="this is not JSON"):
        Account.from_text(text)


def test_the_release_is_that_of_the_package_and_of_the_chart() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart = yaml.safe_load((ROOT / "charts/predictive-scaler/Chart.yaml").read_text(encoding="utf-8"))
    assert {RELEASE} == {project["version"], chart["appVersion"]}


def test_json_is_one_line_of_plain_values() -> None:
    text = _made().to_text()
    assert "\n" not in text
    assert json.loads(text, parse_constant=pytest.fail)["version"] == 1
