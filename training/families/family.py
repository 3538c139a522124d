"""What is a family of models? One interface: from a series to a graph that forecasts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Protocol

from controller.core.series import Series
from controller.forecaster import FloatArray, IntArray
from training.graph import Graph
from training.windows import Window

Progress = Callable[[int, int], None]  # parts of the fit done, parts in all

# Shared by all families, so that their pinball losses compare: both tails and what lies between, the upper tail finer
# because it is what a scaler has to be ready for.
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What may be learned from: a series, and the zone whose wall clock it follows."""

    series: Series
    zone: tzinfo


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """What training itself answers, by its own means, to some of its rows; the exported file must agree.

    `history`: float32 [n, context]. `origin`: int64 [n]. `quantiles`: float32 [n, horizon, levels]. The last row
    becomes the card's test vector.
    """

    history: FloatArray
    origin: IntArray
    quantiles: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A graph whose value `quantiles` is [batch, horizon, levels] as the contract asks, but for its name and card.

    `skipped`: how many of the series that it was to learn from held too little. `calendar`: for the card, which events
    the graph knows of. `remarks`: sentences about the fit that the user should see.
    """

    family: str
    graph: Graph
    quantiles: str
    examples: Examples
    skipped: int = 0
    calendar: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


class FitError(ValueError):
    """The series does not hold what the family needs; the message says what is missing."""


class Family(Protocol):
    """One way to forecast."""

    @property
    def name(self) -> str:
        """As it stands in the card and on the command line."""
        ...

    def fit(self, series: Series, window: Window, zone: tzinfo) -> Fitted:
        """Learn from all of `series`, whose wall clock is that of `zone`. Raises FitError."""
        ...
