"""Metric math: what the sandbox can do is right, and what it cannot do is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.aws.expressions import Line, Scope, Wanted, evaluate, names_in
from sandbox.aws.metrics import QueryError

A = Line({0: 1.0, 60: 2.0, 180: 4.0}, 60)
B = Line({0: 10.0, 120: 30.0, 180: 0.0}, 60)
SCOPE = Scope(lines={"a": A, "b": B}, metrics=("a", "b"), start=0, end=240)


def value(text: str) -> dict[int, float]:
    (line,) = evaluate(text, SCOPE)
    return line.values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", {0: 1.0, 60: 2.0, 180: 4.0}),
        ("a * 60", {0: 60.0, 60: 120.0, 180: 240.0}),
        ("(a + 1) / 2 - 0.5", {0: 0.5, 60: 1.0, 180: 2.0}),
        ("-a", {0: -1.0, 60: -2.0, 180: -4.0}),
        ("a / PERIOD(a)", {0: 1 / 60, 60: 2 / 60, 180: 4 / 60}),
        ("a + b", {0: 11.0, 180: 4.0}),  # a time that one lacks is in none
        ("a / b", {0: 0.1}),  # nothing can be divided by zero
        ("SUM([a, b])", {0: 11.0, 60: 2.0, 120: 30.0, 180: 4.0}),  # a time that one lacks is the others'
        ("SUM(METRICS())", {0: 11.0, 60: 2.0, 120: 30.0, 180: 4.0}),
        ("AVG([a, b])", {0: 5.5, 60: 2.0, 120: 30.0, 180: 2.0}),
        ("MAX([a, b])", {0: 10.0, 60: 2.0, 120: 30.0, 180: 4.0}),
        ("MIN([a, b])", {0: 1.0, 60: 2.0, 120: 30.0, 180: 0.0}),
        ("a / SUM(a)", {0: 1 / 7, 60: 2 / 7, 180: 4 / 7}),
        ("FILL(a, 0)", {0: 1.0, 60: 2.0, 120: 0.0, 180: 4.0}),
        ("FILL(a, REPEAT)", {0: 1.0, 60: 2.0, 120: 2.0, 180: 4.0}),
        ("FILL(a, 0) + FILL(b, 0)", {0: 11.0, 60: 2.0, 120: 30.0, 180: 4.0}),
        ("SUM([FILL(a, 0), b])", {0: 11.0, 60: 2.0, 120: 30.0, 180: 4.0}),
        ("CEIL(a / 3)", {0: 1.0, 60: 1.0, 180: 2.0}),
        ("FLOOR(a / 3)", {0: 0.0, 60: 0.0, 180: 1.0}),
        ("ABS(0 - a)", {0: 1.0, 60: 2.0, 180: 4.0}),
    ],
)
def test_values(text: str, expected: dict[int, float]) -> None:
    assert value(text) == pytest.approx(expected)


def test_an_array_stays_one() -> None:
    assert [line.values for line in evaluate("[a, b] * 2", SCOPE)] == [
        {0: 2.0, 60: 4.0, 180: 8.0},
        {0: 20.0, 120: 60.0, 180: 0.0},
    ]


def test_a_first_gap_is_not_repeated_into() -> None:
    late = Scope(lines={"a": Line({120: 5.0}, 60)}, metrics=("a",), start=0, end=240)
    (line,) = evaluate("FILL(a, REPEAT)", late)
    assert line.values == {120: 5.0, 180: 5.0}


@pytest.mark.parametrize(
    "text",
    [
        "SEARCH('{AWS/EC2,InstanceId} CPU', 'Average', 300)",
        "SEARCH('{AWS/EC2,InstanceId} MetricName=\"CPU\" OR MetricName=\"Load\"', 'Average', 300)",
        "SEARCH('MetricName=\"CPU\"', 'Average', 300)",
        "SEARCH('{AWS/EC2} MetricName=\"CPU\"', 'Average', 300, 1)",
        "SEARCH(a)",
        "RATE(a)",
        "IF(a > 1, a, 0)",
        'SELECT AVG(CPUUtilization) FROM SCHEMA("AWS/EC2")',
        "c + 1",
        "a ** 2",
        "a > 1",
        "METRICS('a')",
        "a.b",
        "a +",
        "",
        "True * a",
        "FILL(a, b)",
        "SUM(a, b)",
        "__import__('os')",
    ],
)
def test_what_it_cannot_do_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="cannot do"):
        evaluate(text, SCOPE)


@pytest.mark.parametrize("text", ["1", "SUM(a)", "PERIOD(a) * 2"])
def test_a_number_is_no_answer(text: str) -> None:
    with pytest.raises(QueryError, match="has to be a time series"):
        evaluate(text, SCOPE)


series = st.dictionaries(st.integers(0, 20).map(lambda step: step * 60), st.integers(0, 99).map(float), max_size=12)


@given(series, series)
def test_a_filled_sum_is_the_sum_of_what_is_there(left: dict[int, float], right: dict[int, float]) -> None:
    scope = Scope(lines={"a": Line(left, 60), "b": Line(right, 60)}, metrics=("a", "b"), start=0, end=21 * 60)
    (filled,) = evaluate("FILL(a, 0) + FILL(b, 0)", scope)
    (folded,) = evaluate("SUM([a, b])", scope)
    assert list(filled.values) == list(range(0, 21 * 60, 60))
    assert {time: filled.values[time] for time in folded.values} == folded.values
    assert math.fsum(filled.values.values()) == math.fsum([*left.values(), *right.values()])


@pytest.mark.parametrize(("text", "period"), [("", 60), (", 300", 300)])
def test_a_search_wants_exact_names_and_values(text: str, period: int) -> None:
    asked: list[Wanted] = []

    def search(wanted: Wanted) -> list[Line]:
        asked.append(wanted)
        return [A, B]

    scope = Scope(lines={}, metrics=(), start=0, end=240, search=search, period=60)
    expression = f"""SUM(SEARCH('{{AWS/EC2, AutoScalingGroupName,Zone}} MetricName="CPU Load" Zone=a', 'Sum'{text}))"""
    assert [line.values for line in evaluate(expression, scope)] == [{0: 11.0, 60: 2.0, 120: 30.0, 180: 4.0}]
    (wanted,) = asked
    assert wanted.namespace == "AWS/EC2"
    assert sorted(wanted.dimensions) == ["AutoScalingGroupName", "Zone"]
    assert (wanted.values, wanted.stat) == ({"MetricName": "CPU Load", "Zone": "a"}, "Sum")
    assert wanted.period == period


def test_the_names_that_an_expression_uses() -> None:
    assert names_in("SUM([a, b]) / c") >= {"a", "b", "c"}
    assert names_in("SEARCH(") == set()
