"""The replay keeps physical order, and its scores are the plain arithmetic."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from controller.core.forecast import Forecast
from controller.core.policy import Policy
from controller.core.series import Series
from controller.spec import ScalerSpec, parse
from training.simulate import Capacity, Fleet, at_equal_cost, reactive, replay, score

START = datetime(2026, 3, 2, tzinfo=UTC)
STEP = timedelta(seconds=15)


def load_of(*values: float) -> Series:
    return Series(end=START + len(values) * STEP, step=STEP, values=np.array(values, dtype=np.float64))


def policy(**overrides: object) -> Policy:
    raw = {
        "targetRef": {"name": "web"},
        "maxReplicas": 100,
        "metric": {"prometheus": {"query": "q"}, "targetPerReplica": 10},
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }
    spec: ScalerSpec = parse(raw | overrides)
    return reactive(spec.policy)


def test_started_replicas_serve_after_the_startup_time() -> None:
    fleet = Fleet(2, timedelta(seconds=30))
    fleet.resize(START, 5)
    assert [fleet.ready(START + timedelta(seconds=s)) for s in (0, 29, 30)] == [2, 2, 5]


def test_the_youngest_replicas_end_first() -> None:
    fleet = Fleet(2, timedelta(seconds=30))
    fleet.resize(START, 5)
    fleet.resize(START, 2)
    assert fleet.ready(START) == 2


def test_a_step_is_not_seen_before_it_is_over() -> None:
    capacity = replay(load_of(10, 10, 40, 40), policy(), startup=timedelta(0), initial=1)
    # 40 comes in step 2; it is seen at the beginning of step 3: 40 / 10 = 4
    assert capacity.desired.tolist() == [1, 1, 1, 4]


def test_replicas_come_later_than_they_are_asked_for() -> None:
    capacity = replay(load_of(10, 40, 40, 40, 40), policy(), startup=2 * STEP, initial=1)
    assert capacity.ready.tolist() == [1, 1, 1, 1, 4]


def test_a_forecast_of_the_rise_has_the_replicas_ready() -> None:
    rise = Forecast(
        origin=START, step=STEP, levels=(0.5, 0.9), quantiles=np.array([[10, 10], [40, 40], [40, 40], [40, 40]], float)
    )
    ahead = policy(forecast={"leadTime": "30s"})
    ahead = Policy(**{field: getattr(ahead, field) for field in Policy.__slots__} | {"lead_time": 2 * STEP})
    capacity = replay(load_of(10, 10, 10, 40), ahead, startup=STEP, initial=1, forecast=lambda _: rise)
    assert capacity.ready[3] == 4


def test_a_missing_metric_holds_the_size() -> None:
    capacity = replay(load_of(50, 50, np.nan, np.nan), policy(), startup=timedelta(0), initial=5)
    assert capacity.desired.tolist() == [5, 5, 5, 5]


@pytest.mark.parametrize(
    ("ready", "under_provisioned", "unserved"),
    [((5, 5), 0.0, 0.0), ((4, 5), 0.5, 10 / 100), ((4, 4), 1.0, 20 / 100)],
)
def test_the_score_counts_time_and_load_that_ready_replicas_miss(
    ready: tuple[int, int], under_provisioned: float, unserved: float
) -> None:
    capacity = Capacity(ready=np.array(ready), desired=np.array(ready))
    result = score(load_of(50, 50), capacity, 10.0)
    assert (result.under_provisioned, result.unserved) == (under_provisioned, unserved)


def test_an_unknown_load_is_neither_served_nor_missed() -> None:
    capacity = Capacity(ready=np.array([4, 1]), desired=np.array([4, 1]))
    assert score(load_of(50, np.nan), capacity, 10.0).under_provisioned == 1.0


def test_starting_replicas_cost() -> None:
    capacity = Capacity(ready=np.array([1, 1]), desired=np.array([3, 3]))
    assert score(load_of(10, 10), capacity, 10.0).replica_hours == pytest.approx(6 * 15 / 3600)


def test_changes_are_counted_once_each() -> None:
    capacity = Capacity(ready=np.array([1, 2, 2, 1]), desired=np.array([1, 2, 2, 1]))
    assert score(load_of(1, 1, 1, 1), capacity, 10.0).changes == 2


def test_the_reactive_policy_meets_the_cost_it_is_given() -> None:
    rng = np.random.default_rng(7)
    load = load_of(*(200 + 100 * np.sin(np.arange(400) / 40) + rng.normal(0, 5, 400)))
    wanted = 1.3 * score(load, replay(load, policy(), startup=STEP, initial=20), 10.0).replica_hours
    found = at_equal_cost(load, policy(), startup=STEP, initial=20, replica_hours=wanted)
    assert score(load, found, 10.0).replica_hours == pytest.approx(wanted, rel=0.02)
