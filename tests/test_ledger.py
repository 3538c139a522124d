"""The last decisions, and no more."""

from __future__ import annotations

from controller.core.decide import Decision, decide
from controller.ledger import Ledger
from tests.builders import FRESH, NOW, policy, seen


def _decision(load: float) -> Decision:
    return decide(NOW, seen(load), None, 1, policy(), FRESH)[0]


def test_the_oldest_makes_room() -> None:
    ledger = Ledger(kept=2)
    for load in (10, 20, 30):
        ledger.add("a", _decision(load))
    assert [decision.replicas for decision in ledger.decisions("a")] == [2, 3]


def test_each_scaler_has_its_own() -> None:
    ledger = Ledger()
    ledger.add("a", _decision(10))
    assert ledger.decisions("b") == ()


def test_what_is_forgotten_is_gone() -> None:
    ledger = Ledger()
    ledger.add("a", _decision(10))
    ledger.forget("a")
    assert ledger.decisions("a") == ()
