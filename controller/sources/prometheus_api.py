"""What did a Prometheus-compatible server answer? One HTTP query in, numbers or a MetricError that names the cure out.

It must not remember anything between two queries. Facts, seen on Prometheus 3.9:
- An instant vector's time is the time of the question, never that of the sample; `timestamp(selector)` gives that.
- An instant query looks back up to 5 minutes. The parameter `lookback_delta` would shorten that, but not in every
  compatible server, and in `sum(gauge)` it would leave out some series without a word: a load seen too small. So the
  age is asked for where the query is a bare selector; where a scrape fails, Prometheus ends the series by itself.
- 11,001 points are answered with 400, which counts both ends; `timeout` takes "5", not "5.000s".
- `limit` cuts the list of series and says so in `warnings`; range queries turn scalars into one series without labels.
- Parse errors are 400 `bad_data`, failures while evaluating 422 `execution`.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from time import perf_counter
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies

import aiohttp
import numpy as np
from numpy.typing import NDArray

from controller.core.series import EPOCH, Sample
from controller.ports import MetricError, MetricReason
from controller.sources.credentials import ANONYMOUS, Credentials
from controller.sources.held import Page

MAX_SERIES = 10
"""More are cut by the server. One is right, and a few are enough to say which there are."""

MAX_VALUES = 10_000
"""Of one label; more than are ever scaled by one controller."""

_NOT_AS_EXPECTED = (KeyError, TypeError, ValueError, IndexError, AttributeError)
"""What reading an answer of another shape raises."""

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_MATCHERS = r"""\{(?:[^"'`{}]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)*\}"""
_SELECTOR = re.compile(rf"\s*(?P<name>[a-zA-Z_:][\w:]*)?\s*(?:{_MATCHERS})?\s*", re.ASCII)
_NOT_A_NAME = {"inf", "nan"}
_COUNTER_SUFFIX = "_total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server and how to get in. `address`: with path prefix, as in "https://metrics.example/prometheus"."""

    address: str
    credentials: Credentials = ANONYMOUS


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one query and on all. `connections`: to one address, so that a slow server holds up no other."""

    query_seconds: float = 10.0
    connections: int = 20
    max_bytes: int = 16 * 2**20


class PrometheusApi:
    """A client for any number of servers. Every query raises MetricError."""

    def __init__(self, limits: Limits, on_query: Callable[[float], None] = lambda _: None) -> None:
        """`on_query` hears of every query how many seconds it took, whether it was answered or not."""
        self._limits = limits
        self._on_query = on_query
        self._session: aiohttp.ClientSession | None = None
        self._slots: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(limits.connections))

    async def close(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()
            self._session = None

    async def instant(self, endpoint: Endpoint, query: str, now: datetime) -> Sample:
        """The one finite value >= 0 of `query` at `now`, and when it was recorded so far as that can be known."""
        name = selected(query)
        if name is not None and name.endswith(_COUNTER_SUFFIX):
            raise MetricError(MetricReason.COUNTER, _counter(name))
        value = await self._value(endpoint, query, now)
        if value < 0:
            message = (
                f"the query gave {value:g}, and a load is never negative; a counter's growth is rate(), not delta()"
            )
            raise MetricError(MetricReason.NEGATIVE, message)
        if name is None:
            return Sample(time=now, value=value)
        recorded = await self._value(endpoint, f"timestamp({query})", now)
        recorded = min(max(recorded, 0.0), now.timestamp())  # whatever a server says, it becomes a time
        return Sample(time=datetime.fromtimestamp(recorded, UTC), value=value)

    async def range(self, endpoint: Endpoint, query: str, page: Page, step: timedelta) -> NDArray[np.float64]:
        """The values at the page's points, shape [page.count]; NaN where there is none or not exactly one usable.

        Points with values of two series are unknown, but series that follow one another are one history: a bare
        selector meets that whenever a Pod is replaced.
        """
        start = (EPOCH + page.first * step).timestamp()
        form = {
            "query": query,
            "start": f"{start:.3f}",
            "end": f"{start + (page.count - 1) * step.total_seconds():.3f}",
            "step": f"{step.total_seconds():.3f}",
        }
        kind, result = await self._ask(endpoint, "query_range", form)
        if kind != "matrix":
            raise MetricError(MetricReason.MALFORMED, f"{endpoint.address} answered a range query with a {kind}")
        try:
            return _on_grid(result, start, page.count, step.total_seconds())
        except _NOT_AS_EXPECTED as error:
            raise _malformed(endpoint) from error

    async def label_values(self, endpoint: Endpoint, query: str, label: str, now: datetime) -> list[str]:
        """The values that `label` has among the series of `query`, sorted; series without it do not count."""
        form = {"query": f"group by ({label}) ({query})", "time": f"{now.timestamp():.3f}"}
        kind, result = await self._ask(endpoint, "query", form, limit=MAX_VALUES)
        if kind != "vector":
            _refuse_type(kind)
        if len(result) >= MAX_VALUES:
            raise MetricError(MetricReason.TOO_LARGE, f"{label} has {MAX_VALUES} values or more; narrow the query")
        try:
            return sorted({series["metric"][label] for series in result if series["metric"].get(label)})
        except _NOT_AS_EXPECTED as error:
            raise _malformed(endpoint) from error

    async def _value(self, endpoint: Endpoint, query: str, now: datetime) -> float:
        kind, result = await self._ask(endpoint, "query", {"query": query, "time": f"{now.timestamp():.3f}"})
        if kind not in {"vector", "scalar"}:
            _refuse_type(kind)
        try:
            value = float(result[1]) if kind == "scalar" else _single(result)
        except _NOT_AS_EXPECTED as error:
            raise _malformed(endpoint) from error
        if not math.isfinite(value):
            message = f"the query gave {value}; a division by zero does that, which `> 0` after the divisor avoids"
            raise MetricError(MetricReason.NOT_FINITE, message)
        return value

    async def _ask(
        self, endpoint: Endpoint, path: str, form: Mapping[str, str], *, limit: int = MAX_SERIES
    ) -> tuple[str, Any]:
        """`resultType` and `result` of an answer of at most `limit` series."""
        _check_address(endpoint.address)
        parameters = {**form, "timeout": f"{self._limits.query_seconds:g}", "limit": str(limit)}
        async with self._slots[endpoint.address]:
            status, body = await self._post(endpoint, f"{endpoint.address.rstrip('/')}/api/v1/{path}", parameters)
        answer = _decoded(body)
        if status != HTTPStatus.OK:
            _refuse_status(endpoint, status, answer)
        return _data(endpoint, answer, limit)

    async def _post(self, endpoint: Endpoint, url: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        where = f"Prometheus at {endpoint.address}"
        began = perf_counter()
        try:
            async with asyncio.timeout(self._limits.query_seconds):
                return await self._post_again(endpoint, url, form)
        except TimeoutError as error:
            message = f"{where} did not answer within {self._limits.query_seconds:g} s; make the query cheaper"
            raise MetricError(MetricReason.TIMEOUT, message) from error
        except aiohttp.ClientSSLError as error:
            message = f"{where} is not trusted: {error}; give its authority in tls.ca, or tls.serverName"
            raise MetricError(MetricReason.UNTRUSTED, message) from error
        except (aiohttp.ClientError, OSError, UnicodeError) as error:  # UnicodeError: no host can have such a name
            message = f"{where} cannot be reached: {error}; check the address and the network policy"
            raise MetricError(MetricReason.UNREACHABLE, message) from error
        finally:
            self._on_query(perf_counter() - began)

    async def _post_again(self, endpoint: Endpoint, url: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        """Once more when a kept connection turns out to be closed: a query changes nothing, so that is safe."""
        try:
            return await self._post_once(endpoint, url, form)
        except aiohttp.ServerDisconnectedError:
            return await self._post_once(endpoint, url, form)

    async def _post_once(self, endpoint: Endpoint, url: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        credentials = endpoint.credentials
        authorization = {"Authorization": credentials.authorization} if credentials.authorization else {}
        async with self._opened().post(
            url,
            data=urlencode(form).encode("ascii"),  # aiohttp's own form costs half a millisecond
            headers=_FORM | authorization,
            ssl=credentials.trust,
            server_hostname=credentials.server_name,
            allow_redirects=False,  # a redirect could carry the token elsewhere
        ) as response:
            return response.status, await self._body(endpoint, response)

    async def _body(self, endpoint: Endpoint, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._limits.max_bytes:
                message = f"{endpoint.address} answered more than {self._limits.max_bytes} bytes; aggregate with sum()"
                raise MetricError(MetricReason.TOO_LARGE, message)
        return bytes(body)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)  # the slots of each address are the limit
            has_proxy = bool(getproxies())  # looking for one at every request costs a thread's turn
            self._session = aiohttp.ClientSession(
                connector=connector, trust_env=has_proxy, headers={"User-Agent": "predictive-scaler"}
            )
        return self._session


def selected(query: str) -> str | None:
    """The metric's name ("" where only matchers are given) if the query is nothing but a selector, else None."""
    match = _SELECTOR.fullmatch(query)
    if match is None or not query.strip():
        return None
    name = match["name"] or ""
    return None if name.lower() in _NOT_A_NAME else name


def _single(result: Sequence[Mapping[str, Any]]) -> float:
    """The value of the only series."""
    if not result:
        raise MetricError(MetricReason.EMPTY, "the query gives no series; check it, and that its target is scraped")
    if len(result) > 1:
        labels = "; ".join(_labels(series["metric"]) for series in result[:MAX_SERIES])
        count = f"{len(result)}" if len(result) < MAX_SERIES else f"{MAX_SERIES} or more"
        message = f"the query gives {count} series where one is needed; aggregate with sum(); they are: {labels}"
        raise MetricError(MetricReason.AMBIGUOUS, message)
    if "histogram" in result[0]:
        _refuse_type("native histogram")
    return float(result[0]["value"][1])


def _on_grid(result: Sequence[Mapping[str, Any]], start: float, count: int, step_seconds: float) -> NDArray[np.float64]:
    values = np.full(count, np.nan)
    answers = np.zeros(count, dtype=np.intp)
    for series in result:
        points = np.array([(time, float(value)) for time, value in series["values"]], dtype=np.float64)
        at = np.rint((points[:, 0] - start) / step_seconds).astype(np.intp)
        if at.min() < 0 or at.max() >= count:
            raise ValueError("a point lies outside of what was asked for")
        values[at] = points[:, 1]
        answers[at] += 1
    usable = (answers == 1) & np.isfinite(values) & (values >= 0)
    return np.where(usable, values, np.nan)


def _labels(metric: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in metric.items() if name != "__name__") or "no labels"


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _data(endpoint: Endpoint, answer: object, limit: int) -> tuple[str, Any]:
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(data, dict) or not isinstance(data.get("result"), list):
        raise _malformed(endpoint)
    kind, result = str(data.get("resultType")), data["result"]
    is_cut = len(result) >= limit
    if answer.get("warnings") and not is_cut:
        warnings = "; ".join(map(str, answer["warnings"]))[:500]
        raise MetricError(MetricReason.PARTIAL, f"{endpoint.address} warns that load may be left out: {warnings}")
    return kind, result


def _malformed(endpoint: Endpoint) -> MetricError:
    message = f"{endpoint.address} did not answer as Prometheus does; check the address and its path prefix"
    return MetricError(MetricReason.MALFORMED, message)


def _refuse_type(kind: str) -> NoReturn:
    cures = {
        "matrix": "a range of samples; wrap it, as in sum(rate(x[2m]))",
        "native histogram": "a native histogram; take histogram_count() or histogram_quantile() of it",
        "string": "a text; ask for a number",
    }
    raise MetricError(MetricReason.QUERY_INVALID, f"the query gives {cures.get(kind, f'a {kind}; ask for a number')}")


def _refuse_status(endpoint: Endpoint, status: int, answer: object) -> NoReturn:
    """Only the server's own JSON error is quoted: a proxy's page may repeat what it was sent."""
    where = f"Prometheus at {endpoint.address}"
    said = answer if isinstance(answer, dict) else {}
    words = f": {str(said['error'])[:500]}" if said.get("error") else ""
    if said.get("errorType") == "timeout":
        raise MetricError(MetricReason.TIMEOUT, f"{where} gave up the query{words}; make the query cheaper")
    reason, message = _STATUSES.get(status, _UNAVAILABLE if status >= _FIRST_SERVER_ERROR else _NO_API)
    raise MetricError(reason, f"{where} answered {status}{words}; {message}")


_FIRST_SERVER_ERROR = 500
_UNAVAILABLE = (MetricReason.UNAVAILABLE, "see its log; the next tick asks again")
_NO_API = (MetricReason.ADDRESS_INVALID, "correct the address, whose path prefix must end before /api/v1")
_UNAUTHORIZED = (MetricReason.UNAUTHORIZED, "correct spec.metric.prometheus.auth, or what its Secret holds")
_QUERY_INVALID = (MetricReason.QUERY_INVALID, "correct spec.metric.prometheus.query")
_STATUSES: dict[int, tuple[MetricReason, str]] = {
    400: _QUERY_INVALID,
    401: _UNAUTHORIZED,
    403: _UNAUTHORIZED,
    422: _QUERY_INVALID,
    429: _UNAVAILABLE,
}


def _check_address(address: str) -> None:
    """Refuse what would not work, and passwords, which a message would show."""
    if not address:
        message = "no address to ask; set spec.metric.prometheus.address, or a default for the controller"
        raise MetricError(MetricReason.ADDRESS_INVALID, message)
    try:
        parts = urlsplit(address)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and not (parts.query or parts.fragment)
        open_password = parts.username is not None or parts.password is not None
    except ValueError:
        sound, open_password = False, True
    if open_password:
        message = "the address holds a user name or is no URL; name a Secret in spec.metric.prometheus.auth instead"
        raise MetricError(MetricReason.ADDRESS_INVALID, message)
    if not sound:
        message = f'"{address}" is not an address such as http://prometheus.monitoring:9090'
        raise MetricError(MetricReason.ADDRESS_INVALID, message)


def _counter(name: str) -> str:
    return (
        f"{name} is a counter by its name, which only grows and falls to 0 at a restart; "
        f"take sum(rate({name}[2m])), or sum({name}) if it is a gauge after all"
    )
