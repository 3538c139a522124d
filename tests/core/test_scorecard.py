"""Two weeks in a few buckets, against a list of everything that ever came; and what is made of the sums."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from controller.core.scorecard import COARSE, DAY, HOUR, WINDOWS, Scorecard, Tally, added, total, verdict
from tests.builders import NOW

MOST_BYTES = 3300
"""Leaves room for the figures and the shadow in 4 kB of status."""

Kept = list[tuple[datetime, Tally]]
_DAY = DAY.total_seconds()
DAY_OF_TICKS = 96  # ticks of a quarter of an hour: they divide an hour, so that no tick lies across its end


def tally(
    seconds: float = 900, *, own: float = 5, own_short: float = 0, actual: float = 6, actual_short: float = 0
) -> Tally:
    """So many known seconds; `own` and `actual` are replicas, `…_short` shares of the time."""
    return Tally(
        known=seconds,
        own_replicas=seconds * own,
        own_short=seconds * own_short,
        actual_replicas=seconds * actual,
        actual_short=seconds * actual_short,
    )


def _oracle(kept: Kept, since: datetime, now: datetime) -> NDArray[np.float64]:
    """The sums of what came within (since, now]."""
    sums = np.array([one.sums for time, one in kept if since < time <= now], dtype=np.float64).reshape(-1, 5)
    return np.asarray(sums.sum(axis=0))


def _filled(days: int, seed: int = 0) -> tuple[Scorecard, Kept]:
    """Quarters of an hour of ever changing sizes, with gaps."""
    generator = np.random.default_rng(seed)
    card = Scorecard()
    kept: Kept = []
    for index in range(1, days * DAY_OF_TICKS + 1):
        now = NOW + index * timedelta(minutes=15)
        own, actual = generator.integers(1, 100, 2)
        one = tally(own=float(own), actual=float(actual), own_short=float(generator.integers(0, 2)))
        if generator.random() < 0.9:
            card, kept = added(card, now, one), [*kept, (now, one)]
    return card, kept


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("days", [1, 3, 20])
def test_windows_that_end_with_a_bucket_are_exact(days: int, window: timedelta) -> None:
    card, kept = _filled(days)
    now = NOW.replace(hour=0) + (days + 1) * DAY  # buckets of eight hours begin at 0, 8 and 16 o'clock
    assert total(card, now, window).sums == tuple(_oracle(kept, now - window, now))


@given(
    ticks=st.lists(st.tuples(st.integers(1, 600), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=120),
    window=st.sampled_from(WINDOWS),
    later=st.integers(0, 3 * 24 * 60),
)
def test_a_window_is_never_further_off_than_its_first_bucket(
    ticks: list[tuple[int, int, int]], window: timedelta, later: int
) -> None:
    card, now = Scorecard(), NOW
    kept: Kept = []
    for minutes, own, actual in ticks:
        now += timedelta(minutes=minutes)
        one = tally(15, own=own, actual=actual, own_short=1)
        card, kept = added(card, now, one), [*kept, (now, one)]
    now += timedelta(minutes=later)
    found = np.array(total(card, now, window).sums)
    length = HOUR if window == DAY else COARSE
    assert np.all(found >= _oracle(kept, now - window + length, now) - 1e-6)
    assert np.all(found <= _oracle(kept, now - window - length, now) + 1e-6)


@pytest.mark.parametrize("minutes", [0, 15, 45, 130, 60 * 7])
def test_what_is_always_the_same_is_exact_at_any_time(minutes: int) -> None:
    card = Scorecard()
    for index in range(1, 16 * DAY_OF_TICKS + 1):
        card = added(card, NOW + index * timedelta(minutes=15), tally())
    now = NOW + 16 * DAY
    for index in range(1, minutes // 15 + 1):
        now = NOW + 16 * DAY + index * timedelta(minutes=15)
        card = added(card, now, tally())
    found = [total(card, now, window).sums for window in WINDOWS]
    assert np.allclose(found, [tally(window.total_seconds()).sums for window in WINDOWS], rtol=1e-12)


def test_time_of_which_nothing_is_known_is_in_no_sum() -> None:
    card, _ = _filled(1)
    assert added(card, NOW + 2 * DAY, Tally()) == card


def test_what_is_older_than_two_weeks_counts_no_more() -> None:
    card, _ = _filled(3)
    assert total(card, NOW + 18 * DAY, WINDOWS[-1]) == Tally()


@pytest.mark.parametrize("days", [1, 2, 15, 40])
def test_a_scorecard_is_small_and_can_be_read_back(days: int) -> None:
    card, _ = _filled(days)
    text = json.dumps(card.to_json(), separators=(",", ":"))
    assert len(text) < MOST_BYTES
    assert Scorecard.from_json(json.loads(text)) == card


def test_the_largest_workload_of_all_fits_too() -> None:
    card = Scorecard()
    for index in range(1, 15 * DAY_OF_TICKS + 1):
        one = tally(own=100_000, actual=100_000, own_short=1, actual_short=1)
        card = added(card, NOW + index * timedelta(minutes=15), one)
    assert len(json.dumps(card.to_json(), separators=(",", ":"))) < MOST_BYTES


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"since": "yesterday", "fine": [], "coarse": []},
        {"since": None, "fine": [[1, 2, 3]], "coarse": []},
        {"since": None, "fine": [[492_300, 900, 1, 1, 1, -1]], "coarse": []},
        {"since": None, "fine": [[492_300, float("nan"), 1, 1, 1, 1]], "coarse": []},
    ],
)
def test_what_is_no_scorecard_is_refused(raw: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Scorecard.from_json(raw)


def test_a_clock_that_was_put_back_counts_nothing_twice() -> None:
    card, kept = _filled(2)
    back = NOW + DAY
    again = added(card, back, tally())
    before = [(time, one) for time, one in kept if time <= back]
    assert total(again, back, WINDOWS[-1]).known == _oracle(before, NOW, back)[0] + 900


@pytest.mark.parametrize(
    ("known", "objective", "reason"),
    [
        # less than a day
        (tally(_DAY - 1), None, "NotYetKnown"),
        (tally(0), 0.01, "NotYetKnown"),
        # fewer replica-hours, no more minutes: 2 % is the least that counts
        (tally(_DAY, own=98, actual=100), None, "SavesReplicas"),
        (tally(_DAY, own=98.1, actual=100), None, "NoGain"),
        (tally(_DAY, own=102.1, actual=100), None, "CostsMore"),
        (tally(_DAY, own=5, own_short=1 / 1440), None, "SavesReplicas"),  # a minute a day is the same
        (tally(_DAY, own=5, own_short=1.1 / 1440), None, "WouldBeShort"),
        (tally(7 * _DAY, own=5, own_short=1.1 / 1440), None, "WouldBeShort"),
        # fewer minutes: at no more replica-hours, or for a quarter more when they are halved
        (tally(_DAY, own=100, actual=100, actual_short=0.02, own_short=0.015), None, "SavesShortage"),
        (tally(_DAY, own=110, actual=100, actual_short=0.02, own_short=0.015), None, "CostsMore"),
        (tally(_DAY, own=125, actual=100, actual_short=0.02, own_short=0.01), None, "SavesShortage"),
        (tally(_DAY, own=126, actual=100, actual_short=0.02, own_short=0.01), None, "CostsMore"),
        # an objective of 1 %: up to 1.1 % meets it
        (tally(_DAY, own=5, actual=10, own_short=0.011), 0.01, "SavesReplicas"),
        (tally(_DAY, own=5, actual=10, own_short=0.0115), 0.01, "WouldBeShort"),
        (tally(_DAY, own=5, actual=10, own_short=0.02, actual_short=0.03), 0.01, "SavesReplicas"),
        (tally(_DAY, own=20, actual=10, own_short=0.01, actual_short=0.05), 0.01, "MeetsObjective"),
        (tally(_DAY, own=20, actual=10, own_short=0.03, actual_short=0.05), 0.01, "CostsMore"),
        (tally(_DAY, own=12, actual=10, own_short=0.005, actual_short=0.01), 0.01, "CostsMore"),  # met already
        # nothing at all
        (tally(_DAY, own=0, actual=0), None, "CostsMore"),
    ],
)
def test_the_rule(known: Tally, objective: float | None, reason: str) -> None:
    found = verdict(known, objective, "the workload")
    is_wanted = {"NotYetKnown": None} | dict.fromkeys(("SavesReplicas", "SavesShortage", "MeetsObjective"), True)
    assert (found.reason, found.is_recommended) == (reason, is_wanted.get(reason, False))


@given(
    own=st.floats(1, 100),
    actual=st.floats(1, 100),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    objective=st.none() | st.floats(0.001, 0.2),
)
def test_nothing_is_recommended_that_is_no_better_at_either(
    own: float, actual: float, shares: tuple[float, float], objective: float | None
) -> None:
    found = verdict(
        tally(_DAY, own=own, actual=actual, own_short=shares[0], actual_short=shares[1]), objective, "the workload"
    )
    if own >= actual and shares[0] >= shares[1]:
        assert found.is_recommended is False
    if own <= 0.97 * actual and shares[0] <= shares[1]:
        assert found.is_recommended is True


def test_the_message_has_the_figures_and_names_the_other_one() -> None:
    known = tally(2 * _DAY, own=4, actual=6, own_short=0.01, actual_short=0.02)
    assert verdict(known, None, 'HorizontalPodAutoscaler "web"').message == (
        "it would need fewer replica-hours and be under-provisioned for no longer: "
        "192.0 replica-hours and 28.8 under-provisioned minutes, "
        'against 288.0 and 57.6 of HorizontalPodAutoscaler "web", in 2.0 known days'
    )


def test_the_message_says_when_it_is_the_objective_that_makes_it_good_enough() -> None:
    words = verdict(tally(_DAY, own=5, actual=10, own_short=0.009), 0.01, "it").message
    assert words.startswith("it would need fewer replica-hours and still meet the objective: ")


def test_the_message_says_how_much_is_missing() -> None:
    assert verdict(tally(2700), None, "the workload").message == "0.75 hours are known, 24 are needed"
