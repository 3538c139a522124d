"""Are all the ways in which a load can be missing told apart, and each question asked once?"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pytest
from aiohttp import web

from controller.core.series import Observation, Sample
from controller.ports import MetricError, MetricReason
from controller.sources.prometheus import PrometheusSource, SourceLimits, fetch_range
from controller.sources.prometheus_api import Limits
from tests.servers.loopback import serve
from tests.servers.prometheus import MAX_POINTS, FakePrometheus, failure, success
from tests.sources.asking import CLOSED, NOW, STEP, FakeSecrets, observed, refused, request
from tests.waiting import PATIENCE, until


def minutes(time: float) -> float:
    """A load that says what minute it was seen in."""
    return (time - CLOSED.timestamp()) // 60 + 1000


# What is seen


async def test_the_value_now_is_the_latest(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [lambda _: 12.5]
    assert (await observed(source)).latest == Sample(time=NOW, value=12.5)


async def test_the_history_ends_with_the_last_closed_step(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [minutes]
    history = (await observed(source)).history
    assert (history.end, history.step, history.values.tolist()) == (CLOSED, STEP, [996, 997, 998, 999, 1000])


async def test_a_true_zero_is_a_value(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [lambda _: 0.0]
    observation = await observed(source)
    assert observation.latest == Sample(time=NOW, value=0.0)
    assert observation.history.values.tolist() == [0.0] * 5


async def test_a_scalar_is_a_value(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.raw["query"] = lambda: success("scalar", [NOW.timestamp(), "3"])
    assert (await observed(source)).latest == Sample(time=NOW, value=3.0)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-1", None])
async def test_a_past_moment_without_a_usable_value_is_nan(
    source: PrometheusSource, prometheus: FakePrometheus, value: str | None
) -> None:
    prometheus.series["load()"] = [lambda time: value if time == CLOSED.timestamp() - 60 else 1.0]
    np.testing.assert_array_equal((await observed(source)).history.values, [1, 1, 1, math.nan, 1])


async def test_series_that_follow_one_another_are_one_history(
    source: PrometheusSource, prometheus: FakePrometheus
) -> None:
    moved = CLOSED.timestamp() - 90
    prometheus.series["load()"] = [
        lambda time: minutes(time) if time < moved else None,
        lambda time: minutes(time) if time >= moved else None,
    ]
    assert (await observed(source)).history.values.tolist() == [996, 997, 998, 999, 1000]


async def test_a_past_moment_of_two_series_is_unknown(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    before = CLOSED.timestamp() - 30
    prometheus.series["load()"] = [minutes, lambda time: 1.0 if time < before else None]
    np.testing.assert_array_equal((await observed(source)).history.values, [math.nan] * 4 + [1000])


# What is missing


@pytest.mark.parametrize(
    ("reading", "reason", "word"),
    [
        pytest.param([], MetricReason.EMPTY, "no series", id="empty"),
        pytest.param([lambda _: "NaN"], MetricReason.NOT_FINITE, "division by zero", id="nan"),
        pytest.param([lambda _: "+Inf"], MetricReason.NOT_FINITE, "inf", id="infinite"),
        pytest.param([lambda _: -3.0], MetricReason.NEGATIVE, "rate", id="negative, as delta() of a reset counter"),
        pytest.param([minutes, minutes], MetricReason.AMBIGUOUS, "sum", id="two series"),
    ],
)
async def test_an_answer_without_a_usable_value(
    source: PrometheusSource,
    prometheus: FakePrometheus,
    reading: list[Callable[[float], float | str]],
    reason: MetricReason,
    word: str,
) -> None:
    prometheus.series["load()"] = list(reading)
    error = await refused(source)
    assert error.reason == reason
    assert word in str(error)


@pytest.mark.parametrize(
    ("answer", "reason", "word"),
    [
        (lambda: failure(400, "bad_data", "1:6: parse error"), MetricReason.QUERY_INVALID, "1:6: parse error"),
        (lambda: failure(422, "execution", "many-to-many"), MetricReason.QUERY_INVALID, "many-to-many"),
        (lambda: web.Response(status=401, text="who?"), MetricReason.UNAUTHORIZED, "auth"),
        (lambda: web.Response(status=403), MetricReason.UNAUTHORIZED, "auth"),
        (lambda: web.Response(status=404), MetricReason.ADDRESS_INVALID, "path prefix"),
        (lambda: web.Response(status=302, headers={"Location": "http://else"}), MetricReason.ADDRESS_INVALID, "302"),
        (lambda: failure(503, "timeout", "query timed out"), MetricReason.TIMEOUT, "query timed out"),
        (lambda: web.Response(status=429), MetricReason.UNAVAILABLE, "429"),
        (lambda: web.Response(status=500), MetricReason.UNAVAILABLE, "500"),
        (lambda: web.Response(text="<html>log in</html>"), MetricReason.MALFORMED, "as Prometheus does"),
        (lambda: web.Response(text="null"), MetricReason.MALFORMED, "as Prometheus does"),
        (lambda: web.json_response({"status": "success", "data": None}), MetricReason.MALFORMED, "as Prometheus does"),
        (lambda: success("vector", None), MetricReason.MALFORMED, "as Prometheus does"),
        (
            lambda: success("vector", [{"metric": {}, "value": [0, None]}]),
            MetricReason.MALFORMED,
            "as Prometheus does",
        ),
        (lambda: success("scalar", None), MetricReason.MALFORMED, "as Prometheus does"),
        (lambda: success("matrix", []), MetricReason.QUERY_INVALID, "rate"),
        (lambda: success("string", [0, "x"]), MetricReason.QUERY_INVALID, "text"),
        (lambda: success("vector", [{"metric": {}, "histogram": []}]), MetricReason.QUERY_INVALID, "histogram"),
        (lambda: web.Response(text="x" * 200_000), MetricReason.TOO_LARGE, "100000 bytes"),
    ],
)
async def test_no_answer_at_all(
    source: PrometheusSource,
    prometheus: FakePrometheus,
    answer: Callable[[], web.Response],
    reason: MetricReason,
    word: str,
) -> None:
    prometheus.raw["query"] = answer
    error = await refused(source)
    assert error.reason == reason
    assert word in str(error)


async def test_an_answer_with_warnings_may_leave_load_out(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [minutes]
    prometheus.warnings = ["No StoreAPIs matched"]
    error = await refused(source)
    assert error.reason == MetricReason.PARTIAL
    assert "No StoreAPIs matched" in str(error)


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
async def test_an_address_that_no_host_can_have(source: PrometheusSource, host: str) -> None:
    error = await refused(source, request(address=f"http://{host}:9090"))
    assert error.reason == MetricReason.UNREACHABLE


@pytest.mark.parametrize(("recorded", "age"), [(1e20, 0.0), (-1e20, NOW.timestamp())])
async def test_a_moment_that_cannot_be_is_no_moment_after_now(
    source: PrometheusSource, prometheus: FakePrometheus, recorded: float, age: float
) -> None:
    prometheus.series |= {"load": [minutes], "timestamp(load)": [lambda _: recorded]}
    observation = await observed(source, request("load", max_age=timedelta(days=365_000)))
    assert observation.latest is not None
    assert (NOW - observation.latest.time).total_seconds() == age


async def test_a_refused_connection(source: PrometheusSource) -> None:
    error = await refused(source, request(address="http://127.0.0.1:1"))
    assert error.reason == MetricReason.UNREACHABLE


@pytest.mark.parametrize(
    "address", ["prometheus:9090", "ftp://prometheus", "http://", "http://p/?tenant=a", "http://[x"]
)
async def test_an_address_that_is_none(source: PrometheusSource, address: str) -> None:
    assert (await refused(source, request(address=address))).reason == MetricReason.ADDRESS_INVALID


async def test_no_address_at_all(secrets: FakeSecrets) -> None:
    source = PrometheusSource(address="", secrets=secrets)
    assert "set spec.metric.prometheus.address" in str(await refused(source))
    await source.close()


async def test_a_password_in_the_address_is_refused_and_not_repeated(source: PrometheusSource) -> None:
    error = await refused(source, request(address="http://me:hunter2@127.0.0.1:1"))
    assert error.reason == MetricReason.ADDRESS_INVALID
    assert "hunter2" not in str(error)


async def test_a_kept_connection_that_was_closed_is_no_failure(
    prometheus: FakePrometheus, secrets: FakeSecrets
) -> None:
    prometheus.series["load()"] = [minutes]
    breaks = iter([False, True])

    async def handle(asked: web.Request) -> web.Response:
        if next(breaks, False) and asked.transport:
            asked.transport.close()
        return await prometheus.handle(asked)

    async with serve(handle) as address:
        source = PrometheusSource(address=address, secrets=secrets)
        observation = await observed(source)
        await source.close()
    assert observation.problem is None
    assert len(prometheus.of("query_range")) == 2


async def test_a_server_that_does_not_answer_in_time(address: str, prometheus: FakePrometheus) -> None:
    prometheus.hold = asyncio.Event()
    limits = SourceLimits(query=Limits(query_seconds=0.05))
    source = PrometheusSource(address=address, secrets=FakeSecrets(), limits=limits)
    error = await refused(source)
    await source.close()
    prometheus.hold.set()
    assert error.reason == MetricReason.TIMEOUT


async def test_a_tick_ends_at_its_deadline(address: str, prometheus: FakePrometheus) -> None:
    prometheus.hold = asyncio.Event()
    source = PrometheusSource(address=address, secrets=FakeSecrets(), limits=SourceLimits(tick_seconds=0.05))
    error = await refused(source)
    await source.close()
    prometheus.hold.set()
    assert error.reason == MetricReason.TIMEOUT


async def test_every_query_is_timed(address: str, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [minutes]
    took: list[float] = []
    source = PrometheusSource(address=address, secrets=FakeSecrets(), on_query=took.append)
    await source.observe([request()], NOW)
    await source.close()
    assert len(took) == len(prometheus.asked)


async def test_a_slow_server_holds_up_no_other(address: str, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [minutes]
    slow, answers = FakePrometheus(), asyncio.Event()
    slow.hold = answers
    limits = SourceLimits(query=Limits(connections=1, query_seconds=PATIENCE), tick_seconds=PATIENCE)
    source = PrometheusSource(address=address, secrets=FakeSecrets(), limits=limits)
    async with serve(slow.handle) as slow_address:
        requests = [request("1", address=slow_address), request("2", address=slow_address), request()]
        observing = asyncio.create_task(source.observe(requests, NOW))
        await until(lambda: len(slow.asked) == 1 and len(prometheus.asked) == 2)  # its present and its past
        answers.set()
        told = await observing
        await source.close()
    assert isinstance(told[-1], Observation)
    assert told[-1].problem is None


@pytest.mark.parametrize("query", ["requests_total", ' requests_total{path="/}{"} ', "job:requests_total"])
async def test_a_bare_counter_is_refused_unasked(
    source: PrometheusSource, prometheus: FakePrometheus, query: str
) -> None:
    error = await refused(source, request(query))
    assert error.reason == MetricReason.COUNTER
    assert "rate(" in str(error)
    assert prometheus.asked == []


# How old it is


@pytest.mark.parametrize("query", ["queue_length", 'queue_length{a="}",b=~`{`}', '{__name__="queue_length"}', "a:b"])
async def test_a_selector_is_dated_by_its_sample(
    source: PrometheusSource, prometheus: FakePrometheus, query: str
) -> None:
    prometheus.series |= {query: [lambda _: 4.0], f"timestamp({query})": [lambda time: time - 60]}
    assert (await observed(source, request(query))).latest == Sample(time=NOW - timedelta(minutes=1), value=4.0)


@pytest.mark.parametrize("query", ["sum(queue_length)", "queue_length offset 5m", "a + b", "vector(1)", "2", "NaN", ""])
async def test_anything_else_is_not_dated(source: PrometheusSource, prometheus: FakePrometheus, query: str) -> None:
    prometheus.series[query] = [minutes]
    await source.observe([request(query)], NOW)
    assert [asked.form["query"] for asked in prometheus.of("query")] == [query]


async def test_a_stale_last_sample_is_no_value(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series |= {"queue": [lambda _: 4.0], "timestamp(queue)": [lambda time: time - 91]}
    observation = await observed(source, request("queue"))
    assert observation.latest is None
    assert observation.reason == MetricReason.STALE
    assert "91 s old" in (observation.problem or "")


async def test_each_scaler_has_its_own_idea_of_stale(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series |= {"queue": [lambda _: 4.0], "timestamp(queue)": [lambda time: time - 91]}
    patient = request("queue", max_age=timedelta(minutes=5))
    strict, tolerant = await source.observe([request("queue"), patient], NOW)
    assert isinstance(strict, Observation)
    assert isinstance(tolerant, Observation)
    assert (strict.latest, tolerant.latest) == (None, Sample(time=NOW - timedelta(seconds=91), value=4.0))


# When only a part works


async def test_an_empty_present_says_since_when(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [lambda time: 1.0 if time < CLOSED.timestamp() - 90 else None]
    observation = await observed(source)
    assert (observation.latest, observation.reason) == (None, MetricReason.EMPTY)
    assert "last recorded around 2026-03-02T08:58:00Z" in (observation.problem or "")


async def test_a_failing_past_leaves_the_present(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [minutes]
    prometheus.raw["query_range"] = lambda: web.Response(status=500)
    observation = await observed(source)
    assert observation.latest == Sample(time=NOW, value=1000.0)
    assert observation.reason == MetricReason.UNAVAILABLE
    assert np.isnan(observation.history.values).all()


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="a series without points"),
        pytest.param([[CLOSED.timestamp() + 60, "1"]], id="after the end"),
        pytest.param([[CLOSED.timestamp() - 300, "1"]], id="before the start"),
        pytest.param([[CLOSED.timestamp(), None]], id="null"),
        pytest.param(None, id="no list"),
    ],
)
async def test_a_malformed_past(
    source: PrometheusSource, prometheus: FakePrometheus, values: list[list[float]] | None
) -> None:
    prometheus.series["load()"] = [minutes]
    prometheus.raw["query_range"] = lambda: success("matrix", [{"metric": {}, "values": values}])
    assert (await observed(source)).reason == MetricReason.MALFORMED


async def test_an_outage_leaves_the_past(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [minutes]
    await observed(source)
    prometheus.raw["query"] = lambda: web.Response(status=500)
    observation = await observed(source, now=NOW + STEP)
    assert (observation.latest, observation.reason) == (None, MetricReason.UNAVAILABLE)
    np.testing.assert_array_equal(observation.history.values, [997, 998, 999, 1000, math.nan])


async def test_the_past_is_not_asked_for_where_the_present_got_no_answer(
    source: PrometheusSource, prometheus: FakePrometheus
) -> None:
    prometheus.raw["query"] = lambda: web.Response(status=500)
    await refused(source)
    assert prometheus.of("query_range") == []


async def test_pages_read_before_a_failure_are_kept(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [minutes]
    long = request(context=150)
    pages = iter([True, False])
    answer = prometheus._matrix  # the first page as usual
    prometheus.raw["query_range"] = lambda: (
        answer(prometheus.asked[-1].form) if next(pages) else web.Response(status=500)
    )
    observation = await observed(source, long)
    assert np.isfinite(observation.history.values).sum() == 100


# What is asked


async def test_equal_questions_are_asked_once(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [minutes]
    answers = await source.observe([request(namespace="a"), request(namespace="b"), request()], NOW)
    assert all(isinstance(answer, Observation) for answer in answers)
    assert [asked.kind for asked in prometheus.asked] == ["query", "query_range"]


async def test_answers_come_in_the_order_of_the_requests(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series |= {str(number): [lambda _, number=number: float(number)] for number in range(30)}  # type: ignore[misc]
    answers = await source.observe([request(str(number)) for number in range(30)], NOW)
    assert [answer.latest.value for answer in answers if isinstance(answer, Observation) and answer.latest] == [
        *range(30)
    ]


async def test_one_bad_request_does_not_spoil_the_others(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [minutes]
    bad, good = await source.observe([request("nothing()"), request()], NOW)
    assert isinstance(bad, MetricError)
    assert isinstance(good, Observation)


@pytest.mark.parametrize("contexts", [(2, 4), (4, 2)])
async def test_the_longest_context_wins(
    source: PrometheusSource, prometheus: FakePrometheus, contexts: tuple[int, int]
) -> None:
    prometheus.series["load()"] = [minutes]
    answers = await source.observe([request(context=context) for context in contexts], NOW)
    for answer, context in zip(answers, contexts, strict=True):
        assert isinstance(answer, Observation)
        assert answer.history.values.tolist() == [*range(1001 - context, 1001)]
    assert len(prometheus.of("query_range")) == 1


async def test_nothing_of_the_past_is_asked_twice(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [minutes]
    await observed(source)
    await observed(source, now=NOW + timedelta(seconds=15))
    assert [asked.kind for asked in prometheus.asked] == ["query", "query_range", "query"]


async def test_a_new_step_asks_for_it_and_two_before(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [minutes]
    await observed(source)
    observation = await observed(source, now=NOW + STEP)
    closed = CLOSED.timestamp()
    assert prometheus.of("query_range")[-1].points == (closed - 60, closed + 60)
    assert observation.history.values.tolist() == [997, 998, 999, 1000, 1001]


async def test_late_scrapes_change_the_last_points(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [lambda time: None if time == CLOSED.timestamp() else 1.0]
    await observed(source)
    prometheus.series["load()"] = [lambda _: 1.0]
    assert (await observed(source, now=NOW + STEP)).history.values.tolist() == [1.0] * 5


async def test_a_long_past_is_read_in_pages(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [minutes]
    history = (await observed(source, request(context=250))).history
    assert history.values.tolist() == [*range(751, 1001)]
    assert len(prometheus.of("query_range")) == 3


async def test_the_default_page_is_what_prometheus_answers(address: str, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [lambda _: 1.0]
    source = PrometheusSource(address=address, secrets=FakeSecrets())
    history = (await observed(source, request(context=MAX_POINTS + 1))).history
    await source.close()
    assert np.isfinite(history.values).all()


async def test_a_path_prefix_is_kept(source: PrometheusSource, prometheus: FakePrometheus, address: str) -> None:
    await source.observe([request(address=f"{address}/prometheus/")], NOW)
    assert prometheus.asked[0].path == "/prometheus/api/v1/query"


@pytest.mark.parametrize(
    ("limits", "later"),
    [
        pytest.param(SourceLimits(idle=timedelta(minutes=1)), NOW + timedelta(minutes=2), id="unused for long"),
        pytest.param(SourceLimits(held_points=5), NOW, id="no room for two"),
    ],
)
async def test_a_past_is_forgotten(
    address: str, prometheus: FakePrometheus, limits: SourceLimits, later: datetime
) -> None:
    prometheus.series |= {"load()": [minutes], "other()": [minutes]}
    source = PrometheusSource(address=address, secrets=FakeSecrets(), limits=limits)
    await observed(source)
    await observed(source, request("other()"), later)
    await observed(source, now=later)
    await source.close()
    (*_, again) = prometheus.of("query_range")
    start, end = again.points
    assert (again.form["query"], end - start) == ("load()", 4 * STEP.total_seconds())


async def test_a_past_that_another_tick_still_asks_for_is_not_forgotten(
    address: str, prometheus: FakePrometheus
) -> None:
    prometheus.series |= {"load()": [minutes], "other()": [minutes]}
    source = PrometheusSource(address=address, secrets=FakeSecrets(), limits=SourceLimits(held_points=1))
    histories = await asyncio.gather(*(observed(source, request(query)) for query in ("load()", "other()", "load()")))
    await source.close()
    assert [len(one.history.values) for one in histories] == [5, 5, 5]


# For training


async def test_a_range_is_fetched_in_order_over_many_pages(address: str, prometheus: FakePrometheus) -> None:
    prometheus.series["load()"] = [minutes]
    limits = SourceLimits(page_points=7)
    series = await fetch_range(address, "load()", CLOSED - 30 * STEP, NOW, STEP, limits=limits)
    assert (series.end, series.values.tolist()) == (CLOSED, [*range(971, 1001)])


async def test_a_range_fails_with_the_reason(address: str, prometheus: FakePrometheus) -> None:
    prometheus.raw["query_range"] = lambda: web.Response(status=500)
    with pytest.raises(MetricError, match="500"):
        await fetch_range(address, "load()", CLOSED - STEP, CLOSED, STEP)


async def test_a_range_needs_a_whole_step(address: str) -> None:
    with pytest.raises(ValueError, match="no whole step"):
        await fetch_range(address, "load()", CLOSED, NOW, STEP)
