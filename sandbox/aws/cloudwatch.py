"""How does CloudWatch answer here? In place of moto's puts, reads and lists, which scan all points and forgive much.

Wider or narrower than the real one: no Metrics Insights, a part of metric math (`expressions`), statistics without
trimmed means, one token a page that stays good. A page is cut as AWS cuts it: at a number of points, PartialData.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from moto.cloudwatch import urls
from moto.cloudwatch.exceptions import CloudWatchException, InvalidParameterValue, ValidationError
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult, EmptyResult

from sandbox.aws.expressions import Line, Scope, Wanted, evaluate, names_in
from sandbox.aws.metrics import (
    MINUTE,
    Dimensions,
    Key,
    Metrics,
    Point,
    QueryError,
    Question,
    is_period,
    rounded_start,
    statistic_of,
)
from sandbox.aws.settings import SETTINGS

MOST_QUERIES = 500
MOST_POINTS = 100_800
MOST_DATA = 1000
MOST_VALUES = 150
MOST_LISTED = 500
MOST_TOKENS = 1000
DEFAULT_PERIOD = 300
NEWEST_PUT_SECONDS = 2 * 3600
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
Json = Mapping[str, Any]


class InvalidToken(CloudWatchException):
    """The token of a page is not one of ours."""

    code = "InvalidNextToken"


@dataclass(frozen=True, slots=True)
class _Result:
    """What is left to say about one id."""

    id: str
    label: str
    points: Sequence[tuple[int, float]]


_PAGES: OrderedDict[str, list[_Result]] = OrderedDict()


def install() -> None:
    """Have moto's server answer CloudWatch by this file."""
    urls.url_paths = dict.fromkeys(urls.url_paths, CloudWatch.dispatch)


class CloudWatch(CloudWatchResponse):
    """moto's CloudWatch with other metrics; alarms and dashboards stay moto's."""

    @property
    def metrics(self) -> Metrics:
        """Those of the account and region; gone when moto is reset."""
        found: Metrics = vars(self.cloudwatch_backend).setdefault("sandbox_metrics", Metrics())
        return found

    def put_metric_data(self) -> EmptyResult:
        """PutMetricData."""
        namespace, data = self._get_param("Namespace"), self._get_param("MetricData", [])
        if len(data) > MOST_DATA:
            raise InvalidParameterValue(f"The collection MetricData must not have a size greater than {MOST_DATA}.")
        now = SETTINGS.clock()
        read = [(_key(namespace, datum), _points(number, datum, now)) for number, datum in enumerate(data, 1)]
        for key, points in read:  # all or nothing
            self.metrics.put(key, points)
        return EmptyResult()

    def get_metric_data(self) -> ActionResult:
        """GetMetricData."""
        given = self._get_params()
        most = int(given.get("MaxDatapoints") or MOST_POINTS)
        if not 1 <= most <= MOST_POINTS:
            raise ValidationError(f"The parameter MaxDatapoints must be between 1 and {MOST_POINTS}.")
        token = given.get("NextToken")
        if token and token not in _PAGES:
            raise InvalidToken("The token is not valid.")
        results = _PAGES[token] if token else self._results(given)
        return ActionResult(_page(results, min(most, SETTINGS.page_points)))

    def get_metric_statistics(self) -> ActionResult:
        """GetMetricStatistics."""
        given = self._get_params()
        stats = [*given.get("Statistics", ()), *given.get("ExtendedStatistics", ())]
        key = _key(given["Namespace"], given)
        found: dict[int, dict[str, float]] = {}
        for stat in stats:
            asked = {"MetricStat": {"Period": given["Period"], "Stat": stat, "Unit": given.get("Unit")}}
            for time, value in self._line(key, asked["MetricStat"], given).values.items():
                found.setdefault(time, {})[stat] = value
        points = [_statistics(time, values) for time, values in sorted(found.items())]
        return ActionResult({"Label": given["MetricName"], "Datapoints": points})

    def list_metrics(self) -> ActionResult:
        """ListMetrics."""
        given = self._get_params()
        found = [key for key in sorted(self.metrics.points) if _is_listed(key, given)]
        first = int(given.get("NextToken") or 0)
        page = [_listed(key) for key in found[first : first + MOST_LISTED]]
        more = first + MOST_LISTED
        return ActionResult({"Metrics": page, "NextToken": str(more) if more < len(found) else None})

    def _results(self, given: Json) -> list[_Result]:
        queries = given.get("MetricDataQueries", [])
        try:
            _check(given, queries)
            lines = {query["Id"]: self._metric(query, given) for query in queries if "MetricStat" in query}
            found = self._evaluated(queries, lines, given)
        except QueryError as error:
            raise ValidationError(str(error)) from None
        is_rising = given.get("ScanBy") == "TimestampAscending"
        return [
            _Result(query["Id"], label, sorted(line.values.items(), reverse=not is_rising))
            for query in queries
            if query.get("ReturnData", True)
            for label, line in found[query["Id"]]
        ]

    def _evaluated(
        self, queries: Sequence[Json], lines: dict[str, Line], given: Json
    ) -> dict[str, list[tuple[str, Line]]]:
        """Labels and series by id; an expression may name others that come after it, but not itself."""
        found = {
            query["Id"]: [(query.get("Label") or query["MetricStat"]["Metric"]["MetricName"], lines[query["Id"]])]
            for query in queries
            if "MetricStat" in query
        }
        metrics = list(found)
        waiting = {query["Id"]: query for query in queries if "Expression" in query}
        while waiting:
            ready = [one for one, query in waiting.items() if not names_in(query["Expression"]) & set(waiting)]
            if not ready:
                raise QueryError(f"Error in expression: {', '.join(waiting)} name one another")
            for one in ready:
                query = waiting.pop(one)
                series = evaluate(query["Expression"], self._scope(lines, metrics, query, given))
                found[one] = list(zip(_labels(query, len(series)), series, strict=True))
                if len(series) == 1:
                    lines = {**lines, one: series[0]}
        return found

    def _scope(self, lines: Mapping[str, Line], metrics: Sequence[str], query: Json, given: Json) -> Scope:
        return Scope(
            lines=lines,
            metrics=metrics,
            start=int(_seconds(given["StartTime"])),
            end=math.ceil(_seconds(given["EndTime"])),
            search=lambda wanted: self._found(wanted, given),
            period=int(query.get("Period") or DEFAULT_PERIOD),
        )

    def _found(self, wanted: Wanted, given: Json) -> list[Line]:
        stat = {"Period": wanted.period, "Stat": wanted.stat}
        return [self._line(key, stat, given) for key in sorted(self.metrics.points) if _is_wanted(key, wanted)]

    def _metric(self, query: Json, given: Json) -> Line:
        stat = query["MetricStat"]
        return self._line(_key(stat["Metric"]["Namespace"], stat["Metric"]), stat, given)

    def _line(self, key: Key, stat: Json, given: Json) -> Line:
        period, now = int(stat["Period"]), SETTINGS.clock().timestamp()
        start, end = _seconds(given["StartTime"]), _seconds(given["EndTime"])
        question = Question(
            key=key,
            stat=stat["Stat"],
            period=period,
            start=rounded_start(start, period, now),
            end=math.ceil(end),
            now=now,
            seen=now - SETTINGS.visible_after,
            unit=stat.get("Unit"),
        )
        return Line(self.metrics.values(question), period)


def _check(given: Json, queries: Sequence[Json]) -> None:
    if not 1 <= len(queries) <= MOST_QUERIES:
        raise QueryError(f"The collection MetricDataQueries must not have a size greater than {MOST_QUERIES}.")
    if _seconds(given["StartTime"]) >= _seconds(given["EndTime"]):
        raise QueryError("The parameter StartTime must be less than the parameter EndTime.")
    ids = [query["Id"] for query in queries]
    if len(set(ids)) < len(ids):
        raise QueryError("The values for parameter id in MetricDataQueries are not unique.")
    for query in queries:
        _check_query(query)


def _check_query(query: Json) -> None:
    if not _ID.fullmatch(query["Id"]):
        raise QueryError(
            f"The value {query['Id']} for parameter Id is not matching the expected pattern {_ID.pattern}."
        )
    if ("MetricStat" in query) == ("Expression" in query):
        raise QueryError(f"Exactly one of MetricStat and Expression is required in the query {query['Id']}.")
    if "MetricStat" not in query:
        return
    stat = query["MetricStat"]
    statistic_of(stat["Stat"])
    if not is_period(int(stat["Period"])):
        raise QueryError(f"The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60, not {stat['Period']}.")


def _page(results: Sequence[_Result], most: int) -> dict[str, Any]:
    said, rest, left = [], [], most
    for result in results:
        here, later = result.points[:left], result.points[left:]
        left -= len(here)
        said.append(_said(result, here, is_whole=not later))
        if later:
            rest.append(_Result(result.id, result.label, later))
    page: dict[str, Any] = {"MetricDataResults": said}
    if rest:
        page["NextToken"] = _remembered(rest)
    return page


def _said(result: _Result, points: Sequence[tuple[int, float]], *, is_whole: bool) -> dict[str, Any]:
    return {
        "Id": result.id,
        "Label": result.label,
        "Timestamps": [datetime.fromtimestamp(time, UTC) for time, _ in points],
        "Values": [value for _, value in points],
        "StatusCode": "Complete" if is_whole else "PartialData",
    }


def _remembered(rest: list[_Result]) -> str:
    token = uuid4().hex
    _PAGES[token] = rest
    while len(_PAGES) > MOST_TOKENS:
        _PAGES.popitem(last=False)
    return token


def _key(namespace: str, named: Json) -> Key:
    return namespace, named["MetricName"], _dimensions(named)


def _dimensions(named: Json) -> Dimensions:
    return tuple(sorted((one["Name"], one["Value"]) for one in named.get("Dimensions", ())))


def _points(number: int, datum: Json, now: datetime) -> list[Point]:
    """What one datum of PutMetricData stands for, at the resolution at which it is kept."""
    time = _seconds(datum["Timestamp"]) if "Timestamp" in datum else now.timestamp()
    age = now.timestamp() - time
    if not -NEWEST_PUT_SECONDS <= age <= SETTINGS.oldest_put:
        raise InvalidParameterValue(
            f"The parameter MetricData.member.{number}.Timestamp must specify a time within the past two weeks and the "
            "next two hours."
        )
    resolution = int(datum.get("StorageResolution", MINUTE))
    kept = int(time // resolution * resolution)
    unit = datum.get("Unit") or "None"
    return [Point(kept, now.timestamp(), *part, unit=unit, raw=raw) for part, raw in _parts(number, datum)]


def _parts(number: int, datum: Json) -> list[tuple[tuple[float, float, float, float], bool]]:
    """(total, count, lowest, highest) and whether the values themselves are known."""
    if "StatisticValues" in datum:
        stats = datum["StatisticValues"]
        total, count, low, high = (float(stats[name]) for name in ("Sum", "SampleCount", "Minimum", "Maximum"))
        return [((total, count, low, high), low == high)]
    values = [float(value) for value in datum.get("Values") or [datum.get("Value", 0.0)]]
    counts = [float(count) for count in datum.get("Counts") or [1.0] * len(values)]
    if len(values) > MOST_VALUES or len(counts) != len(values):
        raise InvalidParameterValue(f"The parameters MetricData.member.{number}.Values and Counts must be of one size.")
    if not all(map(math.isfinite, values)):
        raise InvalidParameterValue(f"The value NaN for parameter MetricData.member.{number}.Value is invalid.")
    return [((value * count, count, value, value), True) for value, count in zip(values, counts, strict=True)]


def _statistics(time: int, values: Mapping[str, float]) -> dict[str, Any]:
    extended = {name: value for name, value in values.items() if name.startswith("p")}
    plain = {name: value for name, value in values.items() if name not in extended}
    return {"Timestamp": datetime.fromtimestamp(time, UTC), **plain, "ExtendedStatistics": extended or None}


def _labels(query: Json, count: int) -> list[str]:
    """Of the series of one expression: several have to differ, by whatever AWS finds."""
    label = query.get("Label") or query["Id"]
    return [label] if count == 1 else [f"{label} {number}" for number in range(1, count + 1)]


def _is_wanted(key: Key, wanted: Wanted) -> bool:
    namespace, name, dimensions = key
    has = {**dict(dimensions), "MetricName": name}
    return (
        namespace == wanted.namespace
        and {one for one, _ in dimensions} == wanted.dimensions
        and all(has.get(one) == value for one, value in wanted.values.items())
    )


def _is_listed(key: Key, given: Json) -> bool:
    namespace, name, dimensions = key
    wanted = [(one["Name"], one.get("Value")) for one in given.get("Dimensions", ())]
    return (
        given.get("Namespace") in {None, namespace}
        and given.get("MetricName") in {None, name}
        and all(any(at == on and value in {None, of} for on, of in dimensions) for at, value in wanted)
    )


def _listed(key: Key) -> dict[str, Any]:
    namespace, name, dimensions = key
    return {
        "Namespace": namespace,
        "MetricName": name,
        "Dimensions": [{"Name": one, "Value": value} for one, value in dimensions],
    }


def _seconds(time: datetime) -> float:
    """Unix seconds; moto gives times without a zone, and means UTC."""
    return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()
