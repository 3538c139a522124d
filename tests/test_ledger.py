"""What is kept of the past, how much of it, and does it come back as it was?"""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.account import Account
from controller.ledger import BLOCK, Ledger
from tests.builders import NOW, account, seconds

TINY = 1e-6  # MiB: less than any account takes, so that a scaler keeps no more than its newest block


def _tick(number: int, load: float = 30.0) -> Account:
    return account(load, at=NOW + seconds(15 * number))


def _loads(ledger: Ledger, limit: int = 1000, at: float | None = None, uid: str = "a") -> list[float | None]:
    texts = ledger.texts(uid, limit, None if at is None else NOW + seconds(at))
    records = [Account.from_text(text).record for text in texts]
    return [record.decision.demand.seen for record in records if record is not None]


@settings(max_examples=20, deadline=None)
@given(loads=st.lists(st.floats(0, 1e6), max_size=3 * BLOCK))
def test_every_account_comes_back_as_it_was(loads: list[float]) -> None:
    ledger, accounts = Ledger(), [_tick(number, load) for number, load in enumerate(loads)]
    for one in accounts:
        ledger.add("a", one)
    assert ledger.texts("a", 1000) == [one.to_text().encode() for one in accounts]


@pytest.mark.parametrize(
    ("limit", "at", "loads"),
    [
        (2, None, [48, 49]),
        (2, 15 * 33, [32, 33]),
        (2, 15 * 33 + 14, [32, 33]),
        (1, 15 * 32 - 1, [31]),
        (1, 0, [0]),
        (5, 15, [0, 1]),
        (5, -1, []),
        (1, 9e6, [49]),
    ],
)
def test_the_newest_until_a_time(limit: int, at: float | None, loads: list[float]) -> None:
    ledger = Ledger()
    for number in range(50):
        ledger.add("a", _tick(number, number))
    assert _loads(ledger, limit, at) == loads


def test_the_oldest_block_makes_room() -> None:
    ledger = Ledger(TINY)
    for number in range(BLOCK + 1):
        ledger.add("a", _tick(number, number))
    assert _loads(ledger) == [BLOCK]


def test_a_scaler_keeps_what_fits_into_its_share() -> None:
    ledger = Ledger(mib=0.1)
    for number in range(10 * BLOCK):
        for uid in ("a", "b"):
            ledger.add(uid, _tick(number, number * 1.01))
    sizes = [kept.size for uid in ("a", "b") if (kept := ledger.kept(uid))]
    assert all(0.5 < size / (0.05 * 2**20) <= 1 for size in sizes)


def test_more_scalers_make_smaller_shares() -> None:
    ledger = Ledger(mib=0.1)
    for number in range(10 * BLOCK):
        ledger.add("a", _tick(number, number * 1.01))
    before = ledger.kept("a")
    for uid in "bcd":
        ledger.add(uid, _tick(0))
    ledger.add("a", _tick(10 * BLOCK))
    after = ledger.kept("a")
    assert before is not None
    assert after is not None
    assert after.size < before.size / 2


def test_a_clock_that_was_put_back_hides_nothing() -> None:
    ledger = Ledger()
    for number in (100, 101, 0, 1):
        ledger.add("a", _tick(number, number))
    assert _loads(ledger) == [100, 101, 0, 1]
    assert _loads(ledger, at=15 * 50) == [0, 1]


def test_a_tick_resembles_the_one_before_and_costs_few_bytes() -> None:
    ledger = Ledger()
    for number in range(BLOCK):
        ledger.add("a", _tick(number, 30.0 + number / 7))
    kept = ledger.kept("a")
    assert kept is not None
    assert kept.size / BLOCK < len(_tick(0).to_text()) / 5


def test_from_when_till_when_there_are_accounts() -> None:
    ledger = Ledger()
    for number in range(BLOCK + 2):
        ledger.add("a", _tick(number))
    kept = ledger.kept("a")
    assert kept is not None
    assert (kept.count, kept.oldest, kept.newest) == (BLOCK + 2, NOW, NOW + (BLOCK + 1) * timedelta(seconds=15))


def test_each_scaler_has_its_own() -> None:
    ledger = Ledger()
    ledger.add("a", _tick(0))
    assert (ledger.texts("b", 9), ledger.kept("b"), ledger.decision("b")) == ([], None, None)


def test_a_tick_without_a_decision_leaves_the_last_decision() -> None:
    ledger = Ledger()
    ledger.add("a", _tick(0))
    ledger.add("a", account(None, at=NOW + seconds(15)))
    decision = ledger.decision("a")
    assert decision is not None
    assert decision.time == NOW
    assert len(ledger.texts("a", 9)) == 2


def test_what_is_forgotten_is_gone() -> None:
    ledger = Ledger()
    ledger.add("a", _tick(0))
    ledger.forget("a")
    assert (ledger.texts("a", 9), ledger.kept("a")) == ([], None)
