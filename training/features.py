"""What does a model look at? The features, written once as ONNX operators.

Training obtains its matrix by running this graph over sliding windows, export embeds the same graph; there is no other
feature code to drift from. Everything is divided by a recent level. Must not fit anything.
"""

from __future__ import annotations

from training.graph import Graph
from training.windows import Window

# Gaps shorter than this share of a season (half an hour of a day) are taken to stand still; in longer ones the load
# follows its season.
_SHORT_GAP = 48


def fill_gaps(graph: Graph, window: Window) -> str:
    """The history without gaps, [batch, context]; all NaN where it was all NaN.

    A short gap takes the value before it, a longer one the same time of the nearest earlier season or else of the
    nearest later one, and what no season has takes the value before it.
    """
    short = _carry(graph, graph.history, (0, 1), window.slots // _SHORT_GAP)
    seasons = graph.add("Reshape", short, graph.integers([-1, window.seasons, window.slots]))
    earlier = _carry(graph, seasons, (0, 1, 0), window.seasons - 1)
    later = _carry(graph, earlier, (0, -1, 0), window.seasons - 1)
    flat = graph.add("Reshape", later, graph.integers([-1, window.context]))
    carried = _carry(graph, flat, (0, 1), window.slots - 1)
    return _fill_start(graph, carried, window)


def _carry(graph: Graph, values: str, direction: tuple[int, ...], reach: int) -> str:
    """Fill NaN with the nearest value at most `reach` places away, by moves of 1, 2, 4 and so on."""
    missing = graph.constant(float("nan"))
    distance = 1
    while reach > 0:
        move = min(distance, reach)
        pads = [move * sign for sign in direction]
        shifted = graph.add("Pad", values, graph.integers([*pads, *(-pad for pad in pads)]), missing)
        values = graph.add("Where", graph.add("IsNaN", values), shifted, values)
        reach -= move
        distance *= 2
    return values


def _fill_start(graph: Graph, values: str, window: Window) -> str:
    """Slots at the very start have nothing before them; they take what the first season ends with."""
    last_of_season = graph.add("Gather", values, graph.integers([window.slots - 1]), axis=1)
    return graph.add("Where", graph.add("IsNaN", values), last_of_season, values)


def season_ago(window: Window) -> list[int]:
    """Where in the context each step of the horizon finds the fewest whole seasons before it, [horizon]."""
    steps = range(1, window.horizon + 1)
    return [window.context - 1 + step - -(-step // window.slots) * window.slots for step in steps]
