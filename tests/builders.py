"""What do tests decide on? Small Policies, Series, Forecasts, Cards and resources, each with one thing to vary."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from controller.account import Account
from controller.core.card import Card, TestVector
from controller.core.forecast import Forecast
from controller.core.memory import Memory
from controller.core.policy import Fallback, Policy, PolicyType, RatePolicy, ScalingRules, SelectPolicy
from controller.core.record import Inputs, Record
from controller.core.series import Observation, Sample, Series
from controller.outcome import Outcome, Problem, Stage
from controller.registry import Scaler, read
from tests.contracts.specs import SMALLEST, merged

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
STEP = timedelta(minutes=5)
LEVELS = (0.5, 0.9)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


INTERVAL = seconds(15)


def pods(value: int, period: float = 15) -> RatePolicy:
    return RatePolicy(type=PolicyType.PODS, value=value, period=seconds(period))


def percent(value: int, period: float = 15) -> RatePolicy:
    return RatePolicy(type=PolicyType.PERCENT, value=value, period=seconds(period))


def rules(
    *policies: RatePolicy, window: float = 0, tolerance: float = 0.1, select: SelectPolicy = SelectPolicy.MAX
) -> ScalingRules:
    return ScalingRules(stabilization=seconds(window), tolerance=tolerance, select=select, policies=policies)


UNHURRIED = rules(pods(100_000, period=1))
"""Rules that hold nothing back."""


def policy(
    *,
    low: int = 1,
    high: int = 100,
    each: float = 10.0,
    up: ScalingRules = UNHURRIED,
    down: ScalingRules = UNHURRIED,
    lead: timedelta = STEP,
    interval: timedelta = INTERVAL,
    fallback: Fallback | None = None,
    objective: float | None = None,
    flap_budget: int | None = None,
) -> Policy:
    """Ten load units a replica, 1 to 100 replicas, and no rail but the bounds unless it is asked for."""
    return Policy(
        min_replicas=low,
        max_replicas=high,
        target_per_replica=each,
        quantile=0.9,
        lead_time=lead,
        interval=interval,
        scale_up=up,
        scale_down=down,
        fallback=fallback or Fallback(after=timedelta(minutes=10), replicas=None),
        objective=objective,
        flap_budget=flap_budget,
    )


def series(values: Sequence[float] = (), end: datetime = NOW, step: timedelta = STEP) -> Series:
    return Series(end=end, step=step, values=np.array(values, dtype=np.float64))


def seen(load: float, at: datetime = NOW, history: Series | None = None) -> Observation:
    return Observation(history=history or series(end=at), latest=Sample(time=at, value=load))


def unseen(problem: str = "the query gives no series", reason: str = "MetricEmpty") -> Observation:
    return Observation(history=series(), latest=None, problem=problem, reason=reason)


def forecast(*uppers: float, origin: datetime = NOW, step: timedelta = STEP) -> Forecast:
    """A forecast whose level 0.9 is `uppers`, step by step, and whose median is half of that."""
    quantiles = np.array([[upper / 2, upper] for upper in uppers], dtype=np.float64).reshape(-1, 2)
    return Forecast(origin=origin, step=step, levels=LEVELS, quantiles=quantiles)


def card(*, context: int = 4, horizon: int = 3, step: timedelta = STEP, name: str = "seasonal-naive") -> Card:
    return Card(
        name=name,
        version="1",
        family="seasonal",
        step_seconds=int(step.total_seconds()),
        context=context,
        horizon=horizon,
        levels=LEVELS,
        unit="requests per second",
        season_seconds=86_400,
        trained=None,
        test_vector=TestVector(history=(1.0,) * context, history_sha256="", origin=0, expected=((1.0, 2.0),) * horizon),
    )


def body(
    name: str = "web",
    *,
    uid: str | None = None,
    generation: int = 1,
    created: str = "2026-03-01T00:00:00Z",
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A PredictiveScaler as the API server gives it; `spec` is merged into the smallest one that is accepted."""
    target = {"targetRef": {"name": name}}
    return {
        "metadata": {
            "namespace": "shop",
            "name": name,
            "uid": uid or f"uid-{name}",
            "generation": generation,
            "creationTimestamp": created,
        },
        "spec": merged(merged(SMALLEST, target), spec or {}),
        "status": status or {},
    }


def scaler(name: str = "web", **changes: Any) -> Scaler:
    """`body` after `registry.read`."""
    return read(body(name, **changes))


FRESH = Memory()


def record(
    load: float | None = 30.0,
    *,
    at: datetime = NOW,
    ahead: Forecast | None = None,
    current: int = 1,
    rails: Policy | None = None,
    memory: Memory = FRESH,
    observation: Observation | None = None,
) -> Record:
    """A decision on a load that is seen; None: the metric system gave nothing, unless there is an `observation`."""
    if observation is None and load is not None:
        observation = seen(load, at=at)
    return Record.of(
        Inputs(
            now=at,
            observation=observation,
            forecast=ahead,
            current=current,
            policy=rails or policy(),
            memory=memory,
        )
    )


def account(load: float | None = 30.0, *, at: datetime = NOW, **changes: Any) -> Account:
    """The account of a tick on a load; None: the target could not be read, so nothing was decided."""
    if load is None:
        lost = Problem(stage=Stage.READ, reason="TargetNotFound", message='Deployment "web" does not exist')
        return Account.of(scaler(), Outcome(time=at, problems=(lost,), memory=FRESH))
    made = record(load, at=at, **changes)
    return Account.of(scaler(), Outcome(time=at, record=made, decision=made.decision, memory=made.memory))
