"""Is a record judged by what it says, to the last bit?"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from controller.account import Account
from tests.builders import account, forecast
from tests.client.conftest import Invoke

MADE = account(45, ahead=forecast(60, 70), current=3)


def _file(folder: Path, *raw: Any) -> str:
    path = folder / "record.json"
    path.write_text(json.dumps(raw[0] if len(raw) == 1 else {"kept": {}, "items": raw}))
    return str(path)


def _changed(**decision: Any) -> dict[str, Any]:
    raw = MADE.to_json()
    raw["record"]["decision"] |= decision
    return raw


async def test_a_record_replays_bit_for_bit(tmp_path: Path, invoke: Invoke) -> None:
    ended = await invoke("replay", _file(tmp_path, MADE.to_json()))
    assert ended.code == 0
    assert ended.out == (
        "shop/web, 2026-03-02T12:00:00Z: 3 -> 7; the same, bit for bit (made by release 0.1.0, this is 0.1.0)\n"
    )


async def test_the_last_bit_counts(tmp_path: Path, invoke: Invoke) -> None:
    demand = MADE.to_json()["record"]["decision"]["demand"]
    ended = await invoke("replay", _file(tmp_path, _changed(demand=demand | {"value": 70.00000000000001})))
    assert ended.code == 1
    assert "decision.demand.value: 70.00000000000001 was kept, 70.0 is what comes of it now" in ended.out


async def test_another_input_gives_another_decision(tmp_path: Path, invoke: Invoke) -> None:
    raw = MADE.to_json()
    raw["record"]["inputs"]["policy"]["maxReplicas"] = 5
    ended = await invoke("replay", _file(tmp_path, raw))
    assert ended.code == 1
    assert "decision.replicas: 7 was kept, 5 is what comes of it now" in ended.out


async def test_every_record_of_an_answer_is_replayed(tmp_path: Path, invoke: Invoke) -> None:
    ended = await invoke("replay", _file(tmp_path, MADE.to_json(), _changed(replicas=8), account(None).to_json()))
    assert ended.code == 1
    verdicts = [line.split("; ")[1][:12] for line in ended.out.splitlines()]
    assert verdicts == ["the same, bi", "decision.rep", "the same, bi"]


async def test_from_stdin(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(MADE.to_text().encode())))
    assert (await invoke("replay", "-")).code == 0


async def test_another_release_is_named(tmp_path: Path, invoke: Invoke) -> None:
    ended = await invoke("replay", _file(tmp_path, MADE.to_json() | {"release": "0.0.9"}))
    assert "(made by release 0.0.9, this is 0.1.0)" in ended.out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "this is no JSON"),
        ("[" * 100_000, "this is no JSON"),
        ("{}", "this is no decision record; print one with: predictive-scaler explain NAME -o json"),
        ('{"items": [7]}', "this is no decision record"),
        (json.dumps(MADE.to_json() | {"version": 9}), "its version is 9"),
    ],
    ids=["nothing", "deep", "empty", "item", "version"],
)
async def test_what_is_no_record(tmp_path: Path, invoke: Invoke, text: str, words: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    ended = await invoke("replay", str(path))
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err


async def test_a_file_that_is_not_there(tmp_path: Path, invoke: Invoke) -> None:
    ended = await invoke("replay", str(tmp_path / "nothing"))
    assert ended.code == 2
    assert "nothing cannot be read: No such file or directory" in ended.err


def test_a_release_reads_its_own_text() -> None:
    assert Account.from_text(MADE.to_text()).to_json() == MADE.to_json()
