"""What does a scaler hear when CloudWatch does not answer as it should, and whom does that not concern?"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from threading import Event
from typing import Any

import pytest
from aiohttp import web

from controller.aws import Aws, LateError
from controller.aws_spec import AwsAccess
from controller.core.series import Observation, Sample
from controller.ports import MetricError, MetricReason
from controller.sources.cloudwatch import CloudWatchSource, SourceLimits
from controller.sources.periods import SECOND
from tests.aws.fixtures import Place
from tests.servers.loopback import serve
from tests.sources.watching import (
    CLOSED,
    LIMITS,
    MINUTE,
    NOW,
    access,
    client,
    expression,
    minutes,
    observed,
    refused,
    request,
)
from tests.waiting import PATIENCE

ELSEWHERE = "us-east-1"


@asynccontextmanager
async def asking(limits: SourceLimits = LIMITS, patience: float = PATIENCE) -> AsyncIterator[CloudWatchSource]:
    asked = client(patience)
    source = CloudWatchSource(asked, limits=limits)
    yield source
    await source.close()
    asked.close()


@pytest.fixture
async def source(aws: Place) -> AsyncIterator[CloudWatchSource]:
    aws.at(NOW)
    aws.put(minutes(30, lambda _: 7.0))
    async with asking() as source:
        yield source


# The endpoint fails


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        ({"code": "Throttling"}, MetricReason.THROTTLED, ["raise its quota", "left alone for 1 s"]),
        ({"code": "RequestLimitExceeded"}, MetricReason.THROTTLED, ["eu-central-1"]),
        (
            {"code": "AccessDenied"},
            MetricReason.UNAUTHORIZED,
            ["allow cloudwatch:GetMetricData to the controller's own"],
        ),
        ({"code": "ExpiredToken"}, MetricReason.UNAUTHORIZED, ["correct the credentials of the controller's own"]),
        ({"code": "InvalidClientTokenId"}, MetricReason.UNAUTHORIZED, ["correct the credentials"]),
        ({"code": "InternalFailure", "status": 500}, MetricReason.UNAVAILABLE, ["the next tick asks again"]),
        ({"code": "ValidationError"}, MetricReason.QUERY_INVALID, ["correct Sum of Tests Load"]),
        ({"kind": "close"}, MetricReason.UNREACHABLE, ["check the region eu-central-1 and the network policy"]),
    ],
)
async def test_a_failure_is_told_with_its_cure(
    source: CloudWatchSource, aws: Place, fault: dict[str, Any], reason: MetricReason, words: list[str]
) -> None:
    aws.server.fail(operation="GetMetricData", times=-1, **fault)
    error = await refused(source)
    assert error.reason == reason
    for word in words:
        assert word in str(error)


async def test_a_region_that_hangs_is_late(source: CloudWatchSource, aws: Place) -> None:
    aws.server.fail(operation="GetMetricData", times=-1, kind="hang", seconds=100)
    async with asking(patience=0.1) as hurried:
        error = await refused(hurried)
    assert error.reason == MetricReason.TIMEOUT
    assert "check that eu-central-1 can be reached" in str(error)


async def test_a_region_that_is_down_and_comes_back(source: CloudWatchSource, aws: Place) -> None:
    first = await observed(source)
    aws.server.stop()
    outage = await observed(source, now=NOW + 4 * MINUTE)
    gone = await observed(source, request(context=20), NOW + 6 * MINUTE)
    aws.server.start()
    aws.at(NOW + 7 * MINUTE)
    aws.put(minutes(40, lambda _: 9.0, CLOSED + 7 * MINUTE))
    back = await observed(source, now=NOW + 7 * MINUTE)
    assert first.latest == outage.latest == Sample(time=CLOSED, value=7.0)
    assert outage.reason == MetricReason.UNREACHABLE
    assert (gone.latest, gone.reason) == (None, MetricReason.UNREACHABLE)
    assert back.latest == Sample(time=CLOSED + 7 * MINUTE, value=9.0)


async def test_a_value_counts_until_it_is_too_old_whatever_fails(source: CloudWatchSource, aws: Place) -> None:
    await observed(source)
    aws.server.fail(operation="GetMetricData", times=-1, code="AccessDenied")
    later = await observed(source, now=NOW + 2 * MINUTE)
    assert later.latest == Sample(time=CLOSED, value=7.0)
    assert later.reason == MetricReason.UNAUTHORIZED
    assert later.history.values.tolist() == [7.0] * 5
    last = await observed(source, request(context=20), NOW + 6 * MINUTE)
    assert last.latest is None
    assert last.reason == MetricReason.UNAUTHORIZED
    assert "last recorded around 2026-03-02T09:00:00Z" in (last.problem or "")


async def test_who_is_throttled_is_left_alone(source: CloudWatchSource, aws: Place) -> None:
    aws.server.fail(operation="GetMetricData", times=-1, code="Throttling")
    counts = []
    for seconds in (0, 0.9, 1, 2.9):
        await refused(source, now=NOW + seconds * SECOND)
        counts.append(len(aws.server.calls("GetMetricData")))
    assert counts[0] == counts[1] < counts[2] == counts[3]
    aws.server.heal()
    assert isinstance((await observed(source, now=NOW + 3 * SECOND)).latest, Sample)


async def test_throttling_in_one_region_delays_no_other(source: CloudWatchSource, aws: Place) -> None:
    aws.put(minutes(30, lambda _: 3.0), region=ELSEWHERE)
    aws.server.fail(operation="GetMetricData", region="eu-central-1", times=-1, code="Throttling")
    for seconds in (0, 0.5):
        ours, theirs = await source.observe([request(), request(access=access(ELSEWHERE))], NOW + seconds * SECOND)
        assert isinstance(ours, MetricError)
        assert ours.reason == MetricReason.THROTTLED
        assert isinstance(theirs, Observation)
        assert theirs.latest == Sample(time=CLOSED, value=3.0)


class Hanging(Aws):
    """An AWS of which one region hangs: until `answers`, and then it fails. `asked`: how often it was asked.

    No real hang: the SDK would ask again when the test has long ended, and be counted by another.
    """

    answers: Event
    asked = 0

    def ask(self, access: AwsAccess, service: str, operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if access.region == ELSEWHERE:
            return super().ask(access, service, operation, arguments)
        self.asked += 1
        self.answers.wait(PATIENCE)
        raise LateError("no answer in time")


async def test_a_region_that_hangs_holds_up_no_other_beyond_the_tick(aws: Place) -> None:
    aws.at(NOW)
    aws.put(minutes(30, lambda _: 3.0), region=ELSEWHERE)
    requests = [request(f"load-{number}") for number in range(1500)] + [request(access=access(ELSEWHERE))]
    hanging = Hanging(timeout_seconds=PATIENCE, clock=lambda: NOW)
    hanging.answers = Event()
    await hanging.call(access(ELSEWHERE), "cloudwatch", "list_metrics")  # makes the client, which is not what is timed
    source = CloudWatchSource(hanging, limits=replace(LIMITS, tick_seconds=3))
    *ours, theirs = await source.observe(requests, NOW)
    hanging.answers.set()
    await source.close()
    hanging.close()
    assert {one.reason for one in ours if isinstance(one, MetricError)} == {MetricReason.TIMEOUT}
    assert isinstance(theirs, Observation)
    assert (theirs.latest, theirs.problem) == (Sample(time=CLOSED, value=3.0), None)
    assert hanging.asked <= 2


async def test_a_wrong_question_spoils_no_other_and_is_not_asked_again_at_once(
    source: CloudWatchSource, aws: Place
) -> None:
    names = [f"load-{number}" for number in range(40)]
    for name in names:
        aws.put(minutes(3, lambda _: 7.0), name=name)
    requests = [request(name, context=0) for name in names]
    requests[17] = request("load-17", context=0, stat="TM(10%:90%)")
    answers = await source.observe(requests, NOW)
    wrong = answers.pop(17)
    assert isinstance(wrong, MetricError)
    assert wrong.reason == MetricReason.QUERY_INVALID
    assert "correct TM(10%:90%) of Tests load-17" in str(wrong)
    assert all(isinstance(one, Observation) and one.latest for one in answers)
    assert len(aws.server.calls("GetMetricData")) < 15
    for later, asked in ((MINUTE, [39]), (6 * MINUTE, [40])):
        aws.at(NOW + later)
        before = len(aws.server.calls("GetMetricData"))
        await source.observe(requests, NOW + later)
        assert [call["queries"] for call in aws.server.calls("GetMetricData")][before : before + 1] == asked


# CloudWatch answers, but not with what was asked for

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def result(name: str, label: str = "x", values: int = 5, status: str = "Complete", **more: object) -> dict[str, Any]:
    times = [(CLOSED - (back + 1) * MINUTE).timestamp() for back in reversed(range(values))]
    return {"Id": name, "Label": label, "Timestamps": times, "Values": [4.0] * values, "StatusCode": status, **more}


@asynccontextmanager
async def answering(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[list[str]], dict[str, Any]]
) -> AsyncIterator[tuple[CloudWatchSource, list[list[str]]]]:
    """A CloudWatch that says what a test wants it to; and what it was asked, by call."""
    asked: list[list[str]] = []

    async def handle(call: web.Request) -> web.Response:
        queries = json.loads(await call.read())["MetricDataQueries"]
        asked.append([one.get("Expression", "") for one in queries])
        said = answer([one["Id"] for one in queries])
        return web.json_response(said, content_type="application/x-amz-json-1.0")

    async with serve(handle) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
        async with asking() as source:
            yield source, asked


SEARCH = expression("SUM(SEARCH('{Tests,App} Load', 'Sum', 60))")


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        pytest.param(
            lambda ids: {"MetricDataResults": [result(ids[0], "b"), result(ids[0], "a")]},
            MetricReason.AMBIGUOUS,
            "the expression gives 2 series where one is needed; wrap it in SUM(); they are: a, b",
            id="several series",
        ),
        pytest.param(
            lambda ids: {"MetricDataResults": [result(ids[0]), result(ids[0])]},
            MetricReason.AMBIGUOUS,
            "2 series",
            id="several series of one name",
        ),
        pytest.param(lambda _: {"MetricDataResults": []}, MetricReason.EMPTY, "no value of the expression", id="none"),
        pytest.param(
            lambda ids: {"MetricDataResults": [result(ids[0], values=0)]},
            MetricReason.EMPTY,
            "no value of the expression",
            id="no values",
        ),
        pytest.param(
            lambda ids: {"MetricDataResults": [result(ids[0], status="Forbidden", values=0)]},
            MetricReason.UNAUTHORIZED,
            "allow cloudwatch:GetMetricData, in every account",
            id="forbidden",
        ),
        pytest.param(
            lambda ids: {"MetricDataResults": [result(ids[0], status="InternalError", values=0)]},
            MetricReason.UNAVAILABLE,
            "the next tick asks again",
            id="internal error",
        ),
        pytest.param(
            lambda ids: {"MetricDataResults": [result(ids[0], status="PartialData")]},
            MetricReason.PARTIAL,
            "load may be left out of the expression (PartialData)",
            id="partial",
        ),
        pytest.param(
            lambda ids: {"MetricDataResults": [result(ids[0], Messages=[{"Code": "Some", "Value": "left out"}])]},
            MetricReason.PARTIAL,
            "left out (Some)",
            id="a warning",
        ),
        pytest.param(
            lambda ids: {"MetricDataResults": [result(ids[0])], "Messages": [{"Code": "MaxMetrics", "Value": "many"}]},
            MetricReason.PARTIAL,
            "many (MaxMetrics)",
            id="a warning of the whole call",
        ),
    ],
)
async def test_an_answer_without_one_usable_series(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[list[str]], dict[str, Any]], reason: MetricReason, words: str
) -> None:
    async with answering(monkeypatch, answer) as (source, _):
        error = await refused(source, SEARCH)
    assert error.reason == reason
    assert words in str(error)


async def test_a_division_by_zero_leaves_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [{"Code": "ArithmeticError", "Value": "One or more data-points have been dropped"}]
    async with answering(monkeypatch, lambda ids: {"MetricDataResults": [result(ids[0], Messages=told)]}) as (
        source,
        _,
    ):
        assert (await observed(source, SEARCH)).latest == Sample(time=CLOSED, value=4.0)


async def test_a_warning_of_the_whole_call_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not said which expression it is about."""
    texts = [f"SUM(SEARCH('{number}'))" for number in range(4)]
    counts = iter([4, 2, 2, 1, 1])  # all; the first half; the second, and its halves

    def answer(ids: list[str]) -> dict[str, Any]:
        assert len(ids) == next(counts)
        warned = {"Messages": [{"Code": "Max", "Value": "many"}]} if is_warned.pop(0) else {}
        return {"MetricDataResults": [result(name) for name in ids], **warned}

    is_warned = [True, False, True, True, False]
    async with answering(monkeypatch, answer) as (source, _):
        answers = await source.observe([expression(text, context=0) for text in texts], NOW)
    assert [isinstance(one, Observation) for one in answers] == [True, True, False, True]
    assert isinstance(answers[2], MetricError)
    assert answers[2].reason == MetricReason.PARTIAL


async def test_each_insights_query_has_a_call_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """CloudWatch takes one a call; metric math is asked apart from metrics, whose answers come in pages."""
    selects = [f'SELECT SUM(Load) FROM "Tests{number}"' for number in range(3)]
    math = ["SUM(SEARCH('a'))", "SUM(SEARCH('b'))"]
    requests = [*(expression(text, context=0) for text in (*selects, *math)), request(context=0)]
    every = lambda ids: {"MetricDataResults": [result(name) for name in ids]}  # noqa: E731
    async with answering(monkeypatch, every) as (source, asked):
        answers = await source.observe(requests, NOW)
    assert all(isinstance(one, Observation) and one.latest for one in answers)
    assert sorted(asked) == sorted([*([one] for one in selects), math, [""]])


async def test_pages_without_end_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page says that there is another, each time."""
    monkeypatch.setattr("controller.sources.cloudwatch_api._MOST_PAGES", 3)
    endless = lambda ids: {"MetricDataResults": [result(ids[0])], "NextToken": "more"}  # noqa: E731
    async with answering(monkeypatch, endless) as (source, asked):
        error = await refused(source, request(context=0))
    assert len(asked) == 3
    assert "more than 3 pages" in str(error)


async def test_a_value_that_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = lambda ids: {"MetricDataResults": [{**result(ids[0], values=1), "Values": ["NaN"]}]}  # noqa: E731
    async with answering(monkeypatch, strange) as (source, _):
        error = await refused(source, SEARCH)
    assert error.reason == MetricReason.NOT_FINITE


async def test_nobody_is_known_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    async with asking() as source:
        error = await refused(source)
    assert error.reason == MetricReason.UNAUTHORIZED
    assert "give the ServiceAccount a role" in str(error)
