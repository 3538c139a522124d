"""Does a chart get what the controller recorded, and what the status knows where nothing is recorded?"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from client.outlook import Outlook, Point, Size, outlook
from controller.account import Account
from tests.builders import NOW, STEP, account, body, forecast, policy, seconds

HOUR = timedelta(hours=1)
EACH = {"metric": {"targetPerReplica": 10}, "intervalSeconds": 15}
POINTS = [
    {"time": (NOW + count * 6 * STEP).isoformat(), "median": 40.0 + count, "upper": 60.0 + count}
    for count in range(1, 5)
]
STATUS: dict[str, Any] = {
    "currentReplicas": 5,
    "desiredReplicas": 10,
    "target": {"ready": 4},
    "leadTime": {"seconds": 120},
    "lastDecision": {"time": (NOW - seconds(30)).isoformat(), "source": "Forecast", "demand": 95.0, "seen": 45.0},
    "forecast": {"origin": (NOW - STEP).isoformat(), "quantile": 0.9, "points": POINTS},
}


def _outlook(accounts: list[Account], status: dict[str, Any] | None = None, **changes: Any) -> Outlook:
    one = body(spec=EACH, status=STATUS if status is None else status)
    return outlook(one, accounts, changes.pop("now", NOW), **({"back": HOUR, "ahead": None} | changes))


def _ticks() -> list[Account]:
    """Until NOW, each 15 s: loads of 30 to 70, sizes of 3, 3, 5, 5, 5."""
    return [
        account(
            30.0 + 10 * tick, at=NOW - seconds(60 - 15 * tick), current=size, ahead=forecast(50, 60, 70, origin=NOW)
        )
        for tick, size in enumerate([3, 3, 5, 5, 5])
    ]


def test_records_tell_the_loads_the_sizes_and_the_near_future_step_by_step() -> None:
    found = _outlook(_ticks())
    assert found.is_recorded
    assert [load for _, load in found.seen] == [30, 40, 50, 60, 70]
    assert found.sizes == (
        Size(time=NOW - seconds(60), replicas=3, load=30),
        Size(time=NOW - seconds(30), replicas=5, load=50),
        Size(time=NOW, replicas=5, load=50),
    )
    near, beyond = found.points[:3], found.points[3:]
    assert near == tuple(
        Point(time=NOW + step * STEP, median=25 + 5 * (step - 1), upper=50 + 10 * (step - 1)) for step in (1, 2, 3)
    )
    assert [(one.time, one.upper) for one in beyond] == [(NOW + 6 * k * STEP, 60.0 + k) for k in range(1, 5)]
    assert (found.current, found.ready, found.desired, found.each) == (5, 4, 7, 10.0)
    assert (found.level, found.origin, found.decided) == (0.9, NOW, NOW)


def test_the_demand_reaches_until_a_replica_of_the_next_decision_would_serve() -> None:
    found = _outlook(_ticks()).demand
    assert found is not None
    assert (found.time, found.until, found.load, found.source) == (NOW, NOW + STEP + seconds(15), 70.0, "Seen")


def test_the_status_alone_tells_the_last_decision_and_the_coarse_forecast() -> None:
    found = _outlook([])
    decided = NOW - seconds(30)
    assert not found.is_recorded
    assert found.seen == ((decided, 45.0),)
    assert found.sizes == (Size(time=decided, replicas=5, load=50.0),)
    assert [one.median for one in found.points] == [41, 42, 43, 44]
    assert (found.current, found.ready, found.desired, found.decided) == (5, 4, 10, decided)
    assert found.demand is not None
    assert found.demand.until == decided + seconds(135)


def test_the_records_alone_are_enough() -> None:
    found = outlook({"metadata": {"namespace": "shop", "name": "web"}}, _ticks(), NOW, back=HOUR, ahead=None)
    assert (len(found.seen), len(found.points), found.each, found.ready) == (5, 3, 10.0, None)


def test_only_what_lies_within_is_taken() -> None:
    found = _outlook(_ticks(), back=seconds(30), ahead=timedelta(minutes=12))
    assert [load for _, load in found.seen] == [50, 60, 70]
    assert [one.time for one in found.points] == [NOW + STEP, NOW + 2 * STEP]


def test_points_that_are_over_are_no_forecast() -> None:
    assert [one.time for one in _outlook([], now=NOW + 7 * STEP).points] == [NOW + 6 * k * STEP for k in (2, 3, 4)]


def test_where_the_newest_decision_had_no_forecast_none_is_shown() -> None:
    """The status may still have one of some ticks before."""
    assert _outlook([account(30, at=NOW)]).points == ()


def test_ticks_in_which_nothing_was_decided_are_gaps() -> None:
    ticks = _ticks()
    ticks[2] = account(None, at=ticks[2].time)
    assert [load for _, load in _outlook(ticks).seen] == [30, 40, 60, 70]


def test_a_load_that_is_missing_is_no_zero() -> None:
    ticks = [account(30, at=NOW - seconds(15)), account(at=NOW, load=30, observation=None)]
    assert all(load == 30 for _, load in _outlook(ticks).seen)
    lost = {**STATUS, "lastDecision": {"time": NOW.isoformat(), "source": "Missing"}}
    found = _outlook([], lost)
    assert found.seen == ()
    assert found.demand is None


def test_a_change_of_what_one_replica_serves_is_a_change_of_what_is_served() -> None:
    ticks = [account(30, at=NOW - seconds(15), current=4), account(30, at=NOW, current=4, rails=policy(each=20))]
    assert [one.load for one in _outlook(ticks).sizes] == [40, 80]


@pytest.mark.parametrize("spec", [{"maxReplicas": 0}, {"metric": None}])
def test_a_spec_that_is_refused_says_nothing_of_what_a_replica_serves(spec: dict[str, Any]) -> None:
    found = outlook(body(spec=spec, status=STATUS), [], NOW, back=HOUR, ahead=None)
    assert (found.each, found.sizes) == (None, ())


def test_one_that_nobody_served_yet_has_nothing() -> None:
    found = _outlook([], {})
    assert (found.seen, found.sizes, found.points, found.demand, found.decided) == ((), (), (), None, None)
    assert found.to_json()["forecast"] is None


def test_json_is_plain_and_says_where_it_is_from() -> None:
    told = json.loads(json.dumps(_outlook(_ticks()).to_json()))
    assert told["from"] == "records"
    assert told["seen"][0] == {"time": "2026-03-02T11:59:00Z", "load": 30.0}
    assert told["replicas"] == {"current": 5, "ready": 4, "desired": 7}
    assert told["forecast"]["points"][0] == {"time": "2026-03-02T12:05:00Z", "median": 25.0, "upper": 50.0}
    assert told["demand"] == {
        "from": "2026-03-02T12:00:00Z",
        "until": "2026-03-02T12:05:15Z",
        "load": 70.0,
        "source": "Seen",
    }
    assert _outlook([]).to_json()["from"] == "status"
