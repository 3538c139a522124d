"""Options become a target and two spans, neither of which knows the other's load."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.datasets import Request
from training.recommend.asked import halves, named, zone_name
from training.simulate.capacity import SimulationError
from training.simulate.material import Material, gather

DAY, STEP = timedelta(days=1), timedelta(minutes=5)
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def _material(share: float) -> Material:
    return gather(Request(data="generated:1", step=STEP, season=DAY, now=NOW), None, share=share)


WHOLE = _material(0.3)


@pytest.mark.parametrize(
    ("data", "query", "expected"),
    [
        ("x.csv", None, (None, None)),
        ("x.csv", "sum(x)", ("sum(x)", None)),
        ("prometheus://prom:9090", "sum(x)", ("sum(x)", "http://prom:9090")),
        ("prometheus+https://prom/tenant/?query=sum%28y%29", None, ("sum(y)", "https://prom/tenant")),
    ],
)
def test_what_was_read_from_prometheus_is_asked_for_there(
    data: str, query: str | None, expected: tuple[str | None, str | None]
) -> None:
    who = named(name="web", kind="Deployment", namespace="shop", lowest=1, highest=None, data=data, query=query)
    assert (who.query, who.address) == expected


def test_a_namespace_is_a_label() -> None:
    with pytest.raises(SimulationError, match=r"^--namespace: 'My_Shop' is not a name"):
        named(name="web", kind="Deployment", namespace="My_Shop", lowest=1, highest=None, data="x.csv", query=None)


@pytest.mark.parametrize(("share", "days"), [(0.3, (4, 4)), (0.18, (3, 2)), (0.08, (1, 1)), (0.03, (0.5, 0.5))])
def test_both_spans_are_whole_seasons_where_there_are_two(share: float, days: tuple[float, float]) -> None:
    first, second = halves(_material(share), None, DAY)
    assert (len(first.load) * STEP / DAY, len(second.load) * STEP / DAY) == days
    assert first.load.end == second.load.start


@given(place=st.integers(20, 2280))
def test_the_second_follows_the_first_and_remembers_it(place: int) -> None:
    whole = WHOLE
    at = whole.load.start + place * STEP
    first, second = halves(whole, at, DAY)
    assert len(first.load) == place
    assert [*first.load.values, *second.load.values] == whole.load.values.tolist()
    assert [*second.before.values] == [*whole.before.values, *first.load.values]
    assert second.before.end == second.load.start == at


@pytest.mark.parametrize("moment", ["2020-01-01", "2030-01-01"])
def test_a_span_without_load_is_told(moment: str) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    with pytest.raises(SimulationError, match=r"^--test-from: the load from .* must hold 20 steps"):
        halves(WHOLE, at, DAY)


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        (UTC, "UTC"),
        (ZoneInfo("Europe/Berlin"), "Europe/Berlin"),
        (timezone(timedelta(0)), "UTC"),
        (timezone(timedelta(hours=-4)), "Etc/GMT+4"),
        (timezone(timedelta(hours=9)), "Etc/GMT-9"),
    ],
)
def test_a_clock_is_called_as_the_database_calls_it(zone: tzinfo, name: str) -> None:
    assert zone_name(zone, NOW) == name
    assert NOW.astimezone(ZoneInfo(name)).utcoffset() == NOW.astimezone(zone).utcoffset()


def test_a_clock_without_a_name_is_told() -> None:
    with pytest.raises(SimulationError, match=r"^--time-zone: .*UTC\+05:30, has no name; give one"):
        zone_name(timezone(timedelta(hours=5, minutes=30)), NOW)
