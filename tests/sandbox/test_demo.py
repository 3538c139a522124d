"""The demo tells what happened, and judges both policies alike."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from controller.account import Account
from controller.core.series import Series
from controller.spec import parse
from sandbox.controller import Controller
from sandbox.demo import outcome, scene
from sandbox.demo.recording import GRID, Recording, Sample, record, steepest, write_csv
from sandbox.processes import ProcessError
from sandbox.replay import Replay
from sandbox.traffic import Trace, recorded_or_made, synthetic
from tests.builders import NOW, account, seconds
from training.simulate import Capacity

pytestmark = pytest.mark.slow

START = datetime(2026, 1, 28, 5, 25, tzinfo=UTC)
WALL = datetime(2026, 11, 1, 12, tzinfo=UTC)
STEPS = 240  # an hour


class PrometheusOfForecasts:
    """Answers every range query with a forecast that counts the steps, late by a scrape at the beginning."""

    def query_range(self, expression: str, start: datetime, end: datetime, step: timedelta) -> list[dict[str, Any]]:
        times = np.arange(start.timestamp(), end.timestamp() + 1e-6, step.total_seconds())
        return [{"values": [[round(time, 3), str(float(index))] for index, time in enumerate(times)][1:]}]


def rising(ready: int) -> Recording:
    load = Series(end=START + STEPS * GRID, step=GRID, values=np.linspace(20.0, 60.0, STEPS))
    size = np.full(STEPS, ready)
    band = np.full(STEPS, np.nan)
    return Recording(load=load, metric=load, capacity=Capacity(ready=size, desired=size), median=band, upper=band)


def replayed() -> Recording:
    trace = Trace(name="synthetic", start=START, step=timedelta(minutes=1), counts=np.full(120, 60.0))
    replay = Replay(trace=trace, moment=START + timedelta(minutes=30), wall=WALL, factor=scene.FACTOR)
    samples = [
        Sample(wall=WALL + timedelta(seconds=second), ready=2 + (second >= 30), desired=3) for second in range(61)
    ]
    return record(replay, samples, PrometheusOfForecasts())  # type: ignore[arg-type]  # as much as is used


def test_what_the_user_applies_is_a_valid_spec() -> None:
    assert parse(scene.scaler("http://127.0.0.1:9090")["spec"]).policy.lead_time == scene.LEAD


def test_the_lead_covers_the_start_up() -> None:
    assert scene.LEAD > scene.STARTUP / scene.FACTOR


@pytest.mark.parametrize("trace", ["nasa", "synthetic"])
def test_the_morning_begins_when_it_is_played(trace: str) -> None:
    made = synthetic(start=datetime.fromisoformat(scene._MORNING[trace]) - 20 * timedelta(days=1), days=25)
    replay = scene.replay_of(Trace(name=trace, start=made.start, step=made.step, counts=made.counts), WALL)
    assert (replay.moment_at(WALL).isoformat(), replay.moment - replay.trace.start) == (
        scene._MORNING[trace],
        scene.HISTORY,
    )


def test_the_load_is_in_requests_per_second_of_wall_time() -> None:
    # 60 requests in a minute of the trace, which passes in a second
    assert replayed().load.values == pytest.approx(60.0)


def test_a_sample_stands_until_the_next() -> None:
    ready = replayed().capacity.ready
    assert (ready[: 30 * 4].max(), ready[30 * 4 :].min()) == (2, 3)


def decided(*sizes: tuple[int, float]) -> list[Account]:
    """Accounts of a second each: the size that is found, and the load, of which a replica serves 10."""
    return [account(load, at=NOW + seconds(tick), current=size) for tick, (size, load) in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "tick"),
    [
        ([(2, 20), (2, 30), (3, 80), (8, 80), (8, 90)], 2),  # 2 -> 2 -> 3 -> 8 -> 8 -> 9
        ([(2, 40), (4, 60), (6, 60)], 0),  # as steep twice: the first
        ([(2, 50), (5, 50), (5, 80), (8, 20)], 0),
        ([(4, 40), (4, 40)], 0),  # nothing was added: the first that there is
    ],
)
def test_the_steepest_moment_is_the_decision_that_added_most(sizes: list[tuple[int, float]], tick: int) -> None:
    # At the next tick the load asks for no more than there is: what a sample shows would be explained as "as before".
    told = steepest([one.record.decision for one in decided(*sizes) if one.record is not None])
    assert told.time == NOW + seconds(tick)


class Telling(Controller):
    """A controller that answers so."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(kubeconfig=Path("none"), models=Path("none"), log=Path("of.log"))
        self.answer = (status, text)

    def get(self, path: str) -> tuple[int, str]:
        assert path == "/api/v1/scalers/shop/web/decisions?limit=1000"
        return self.answer


def test_decisions_are_read_from_the_accounts_that_have_one() -> None:
    accounts = [account(None), *decided((2, 30), (3, 80))]
    items = ",".join(one.to_text() for one in accounts)
    told = Telling(200, f'{{"kept":{{}},"items":[{items}]}}').decisions("shop", "web")
    assert told == [one.record.decision for one in accounts if one.record is not None]
    assert len(told) == 2


@pytest.mark.parametrize(
    ("status", "text"), [(404, "no tick of shop/web is recorded yet"), (200, '{"items": []}'), (0, "")]
)
def test_no_decision_at_all_is_told_with_the_answer_and_the_log(status: int, text: str) -> None:
    with pytest.raises(ProcessError, match=f"no decision about shop/web: .*{re.escape(text)}.*of.log"):
        Telling(status, text).decisions("shop", "web")


def test_a_forecast_stands_where_its_load_comes() -> None:
    median = replayed().median
    assert np.isnan(median[0])
    assert median[1:].tolist() == list(range(1, len(median)))


def test_all_policies_are_judged_on_the_same_load() -> None:
    scores = outcome.compare(rising(ready=8)).scores
    assert list(scores) == [outcome.LIVE, outcome.HPA, outcome.HPA_EQUAL]


def test_the_load_above_what_replicas_serve_is_unserved() -> None:
    # 8 replicas serve 40 of a load that rises evenly from 20 to 60: half of the time is short
    assert outcome.compare(rising(ready=8)).scores[outcome.LIVE].under_provisioned == pytest.approx(0.5)


def test_the_second_hpa_costs_what_the_live_run_cost() -> None:
    scores = outcome.compare(rising(ready=12)).scores
    assert scores[outcome.HPA_EQUAL].replica_hours == pytest.approx(scores[outcome.LIVE].replica_hours, rel=0.05)


def test_the_table_has_a_row_for_each_policy() -> None:
    console = Console(width=120)
    with console.capture() as printed:
        console.print(outcome.table(outcome.compare(rising(ready=12))))
    assert all(name in printed.get() for name in (outcome.LIVE, outcome.HPA, outcome.HPA_EQUAL))


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    recording = rising(ready=12)
    outcome.draw(recording, outcome.compare(recording), "made", tmp_path / "demo.png")
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")


def test_the_recording_has_a_line_for_each_step(tmp_path: Path) -> None:
    write_csv(rising(ready=12), tmp_path / "demo.csv")
    lines = (tmp_path / "demo.csv").read_text().splitlines()
    assert (len(lines), lines[1]) == (STEPS + 1, "2026-01-28T05:25:15+00:00,20,20,nan,nan,12,12")


@pytest.mark.parametrize("has_data", [True, False])
def test_the_morning_fits_between_the_bounds(has_data: bool, tmp_path: Path) -> None:
    trace, _ = recorded_or_made({} if has_data else {"PREDICTIVE_SCALER_DATA": str(tmp_path)})
    replay = scene.replay_of(trace, WALL)
    played = replay.trace.between(replay.moment, replay.moment + scene.PLAYED).counts  # a minute passes in a second
    wanted = np.convolve(played, np.full(5, 0.2), mode="valid") / scene.TARGET_PER_REPLICA
    spec = scene.scaler("http://127.0.0.1:9090")["spec"]
    assert spec["minReplicas"] <= wanted.min() <= wanted.max() <= spec["maxReplicas"]
