"""What would Prometheus answer? Enough of its HTTP API to be asked by the real client, with answers set by a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MAX_POINTS = 11_000

Value = float | str | None
Reading = Callable[[float], Value]
"""The value at a unix time; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One query that arrived. `kind`: "query" or "query_range"."""

    path: str
    form: dict[str, str]
    authorization: str | None

    @property
    def kind(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def points(self) -> tuple[float, float]:
        return float(self.form["start"]), float(self.form["end"])


@dataclass(slots=True, kw_only=True)
class FakePrometheus:
    """`series`: by query, the readings of each series. `raw`: by kind, an answer that takes precedence.

    `warnings` come with every answer. `hold`: answers wait for it.
    """

    series: dict[str, list[Reading]] = field(default_factory=dict)
    raw: dict[str, Callable[[], web.Response]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    hold: asyncio.Event | None = None
    asked: list[Asked] = field(default_factory=list)

    def of(self, kind: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.kind == kind]

    async def handle(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        asked = Asked(path=request.path, form=form, authorization=request.headers.get("Authorization"))
        self.asked.append(asked)
        if self.hold:
            await self.hold.wait()
        if asked.kind in self.raw:
            return self.raw[asked.kind]()
        answers = {"query": self._vector, "query_range": self._matrix}
        return (
            answers[asked.kind](form) if asked.kind in answers else web.Response(status=404, text="404 page not found")
        )

    def _vector(self, form: dict[str, str]) -> web.Response:
        time = float(form["time"])
        result = [
            {"metric": {"pod": str(index)}, "value": [time, _text(value)]}
            for index, reading in enumerate(self.series.get(form["query"], []))
            if (value := reading(time)) is not None
        ]
        return self._success("vector", result)

    def _matrix(self, form: dict[str, str]) -> web.Response:
        start, end, step = (float(form[name]) for name in ("start", "end", "step"))
        count = int((end - start) // step) + 1
        if count > MAX_POINTS:
            return failure(400, "bad_data", "exceeded maximum resolution of 11,000 points per timeseries.")
        times = [start + index * step for index in range(count)]
        lines = [
            [[time, _text(value)] for time in times if (value := reading(time)) is not None]
            for reading in self.series.get(form["query"], [])
        ]
        result = [{"metric": {"pod": str(index)}, "values": line} for index, line in enumerate(lines) if line]
        return self._success("matrix", result)

    def _success(self, kind: str, result: list[dict[str, Any]]) -> web.Response:
        warnings = {"warnings": self.warnings} if self.warnings else {}
        return web.json_response({"status": "success", "data": {"resultType": kind, "result": result}, **warnings})


def failure(status: int, kind: str, message: str) -> web.Response:
    """An error as Prometheus puts it."""
    return web.json_response({"status": "error", "errorType": kind, "error": message}, status=status)


def success(kind: str, result: object) -> web.Response:
    """A result that no series can give."""
    return web.json_response({"status": "success", "data": {"resultType": kind, "result": result}})


def _text(value: Value) -> str:
    return value if isinstance(value, str) else repr(value)
