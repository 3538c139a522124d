"""How does what a metric system said become one answer? Within the tick's time, and the past without the present.

Must not know which system it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC
from typing import Any, TypeVar

from controller.core.series import Observation, Sample, Series
from controller.ports import MetricError, MetricReason

_Value = TypeVar("_Value")


async def within(deadline: float, question: Coroutine[Any, Any, _Value]) -> _Value | MetricError:
    """Its result; what is not done by `deadline` (loop time) counts as timed out."""
    try:
        async with asyncio.timeout_at(deadline):
            return await question
    except MetricError as error:
        return error
    except TimeoutError:
        return MetricError(
            MetricReason.TIMEOUT, "the tick's time was over before an answer came; the next tick goes on"
        )


def answer(*, history: Series, latest: Sample | MetricError, failure: MetricError | None) -> Observation | MetricError:
    """`failure`: why the history is not up to date. Without a present, the past alone; an error where neither is."""
    if isinstance(latest, Sample):
        problem = str(failure) if failure else None
        return Observation(history=history, latest=latest, problem=problem, reason=failure.reason if failure else None)
    recorded = history.last_recorded()
    if recorded is None:
        return latest
    problem = f"{latest} (last recorded around {recorded.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ})"
    return Observation(history=history, latest=None, problem=problem, reason=latest.reason)
