"""A capacity costs what its replicas cost one by one, and a price file that is wrong says where."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.simulate.builders import PRICE, START, STEP
from tests.training.simulate.fleet import Fleet
from training.simulate.capacity import Capacity, SimulationError
from training.simulate.prices import DEFAULT, read

_HEAD = "name: n\ndate: 2026-01-31\nsource: s\ncurrency: EUR\n"


def _cost(sizes: list[int], initial: int) -> float:
    return PRICE.cost(Capacity.of(np.array(sizes), initial=initial, lag=0), initial=initial, step=STEP)


def test_a_replica_is_billed_by_the_second() -> None:
    # 2 replicas of 0.05 an hour for 4 steps of 15 s
    assert _cost([2, 2, 2, 2], initial=2) == pytest.approx(2 * 60 * 0.05 / 3600)


def test_a_started_replica_is_billed_for_the_minimum() -> None:
    # one more for a single step of 15 s costs 60 s
    assert _cost([1, 2, 1, 1], initial=1) == pytest.approx((60 + 60) * 0.05 / 3600)


def test_what_still_runs_at_the_end_is_billed_so_far() -> None:
    assert _cost([1, 1, 1, 2], initial=1) == pytest.approx((60 + 15) * 0.05 / 3600)


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=40), initial=st.integers(1, 9))
def test_all_cost_what_each_costs(sizes: list[int], initial: int) -> None:
    fleet = Fleet(initial, timedelta(0))
    for place, size in enumerate(sizes):
        before, ended = len(fleet), len(fleet.lives)
        fleet.resize(START + place * STEP, size)
        assert len(fleet.lives) - ended <= max(0, before - size)
    short = sum(max(60.0, life.total_seconds()) for life in fleet.lives)
    # of those that were there before, none was started: they are billed for the time they were there
    there = sum(sizes) * STEP.total_seconds() - sum(life.total_seconds() for life in fleet.lives)
    assert _cost(sizes, initial) == pytest.approx((short + there) * 0.05 / 3600)


def test_the_default_is_dated_and_names_its_source() -> None:
    price = read(DEFAULT)
    assert price.source.startswith("https://")
    assert price.hourly == pytest.approx(1 * 0.04048 + 2 * 0.004445)
    assert price.minimum == timedelta(seconds=60)


def test_a_price_can_be_that_of_a_replica(tmp_path: Path) -> None:
    path = tmp_path / "price.json"
    path.write_text(
        '{"name": "n", "date": "2026-01-31", "source": "s", "currency": "EUR", "replica-hour": 0.5, '
        '"minimum-seconds": 0}'
    )
    price = read(path)
    assert (price.hourly, price.minimum, price.date) == (0.5, timedelta(0), date(2026, 1, 31))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "must hold fields"),
        ("a: [", "is not YAML"),
        (_HEAD, "needs replica-hour, or replica"),
        (_HEAD + "replica: {cpu: 1}", "needs replica-hour, or replica"),
        (_HEAD + "replica: {vcpu: 1}", "a number from 0 on as vcpu-hour, not None"),
        (_HEAD + "replica: {vcpu: 1}\nreplica-hour: 1", "remove one of them"),
        (_HEAD + "replica-hour: -1", "a number from 0 on as replica-hour, not -1"),
        (_HEAD + "replica-hour: .nan", "a number from 0 on as replica-hour, not nan"),
        (_HEAD + "replica-hour: true", "a number from 0 on as replica-hour, not True"),
        (_HEAD + "replica-hour: 1\nvcpus: 1", "unknown fields: vcpus; known are currency"),
        (_HEAD.replace("2026-01-31", "soon") + "replica-hour: 1", "the day of its prices as date"),
        (_HEAD.replace("name: n", "name: 1") + "replica-hour: 1", "a text as name, not 1"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "price.yaml"
    path.write_text(text)
    with pytest.raises(SimulationError, match=words) as raised:
        read(path)
    assert str(raised.value).startswith("--price: ")


def test_an_absent_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=r"--price: .* cannot be read"):
        read(tmp_path / "absent.yaml")
