"""How does an outlook look on a terminal? One chart over time, as text of a given width, and what its signs mean.

The only file that knows plotext. Pure but for that: the same outlook is the same text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

import plotext

from client.glance import short
from client.outlook import Outlook
from client.words import counted

NARROWEST, LOWEST = 40, 10  # columns and rows that a chart needs
_OVERSAMPLED = 3  # samples of a filled area or a step for each column
_MARGIN = 0.04  # of the time shown that lies before and after what is known, at least
_SHORTEST = timedelta(minutes=1)
_GAP = 3.5  # times the usual distance of two loads: what lies between is not known, so no line leads over it


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """Of what each part is drawn. `line`: the name of plotext's sign for curves, or one character."""

    line: str
    band: str
    size: str
    wanted: str
    demand: str
    ready: str
    now: str


DRAWN = Signs(line="braille", band="░", size="─", wanted="┄", demand="═", ready="◆", now="│")
PLAIN = Signs(line="*", band=":", size="-", wanted="~", demand="=", ready="o", now="|")
"""Where the terminal knows no more than ASCII."""

_SEEN, _MEDIAN, _BAND, _SIZE, _DEMAND, _NOW = 6, 5, 5, 3, 1, 8
"""Colours of the terminal's own palette."""

_FRAME = str.maketrans("┌┐└┘├┤┬┴┼─│", "+++++++++-|")


def drawn(outlook: Outlook, *, width: int, height: int, is_coloured: bool, signs: Signs = DRAWN) -> str:
    """The chart and its legend, lines no longer than `width` columns; in colour with ANSI sequences."""
    width, height = max(width, NARROWEST), max(height, LOWEST)
    canvas = _Canvas(outlook, width=width, height=height, is_coloured=is_coloured, signs=signs)
    text = canvas.text()
    if signs is PLAIN:
        text = text.translate(_FRAME)
    return "\n".join([text, *_flowed(_legend(outlook, signs), width, is_coloured=is_coloured)])


class _Canvas:
    """plotext's one figure, made anew. Times on it are seconds from the outlook's own."""

    def __init__(self, outlook: Outlook, *, width: int, height: int, is_coloured: bool, signs: Signs) -> None:
        self._outlook, self._signs = outlook, signs
        self._is_coloured = is_coloured
        self._start, self._end = _span(outlook)
        self._top = scale(_loads(outlook))
        self._samples = _OVERSAMPLED * width
        plotext.terminal.limit(False, False)  # neither width nor height: a pipe has no terminal
        self._figure = plotext.figure
        self._figure.clear.all()
        self._figure.theme("colorless")
        self._figure.plot_size(width, height)
        self._figure.ruler("y", "left").lim(0.0, self._top)
        self._figure.ruler("y", "left").ticks(*_load_ticks(self._top))
        self._figure.ruler("x", "lower").lim(self._start, self._end)
        self._figure.ruler("x", "lower").ticks(*time_ticks(outlook.time, self._start, self._end, width))

    def text(self) -> str:
        """All of it, what matters most on top."""
        self._band()
        self._sizes()
        self._steady(self._signs.now, _NOW, [0.0] * self._samples, _spread(0.0, self._top, self._samples))
        self._demand()
        self._curve(_MEDIAN, [(self._x(one.time), one.median) for one in self._outlook.points])
        for part in unbroken(self._outlook.seen):
            self._curve(_SEEN, [(self._x(time), load) for time, load in part])
        self._ready()
        text: str = self._figure.build().string(colorless=not self._is_coloured)
        return "\n".join(line.rstrip() for line in text.rstrip("\n").split("\n"))

    def _band(self) -> None:
        points = self._outlook.points
        if not points:
            return
        times = _spread(self._x(points[0].time), self._x(points[-1].time), self._samples)
        known = [self._x(one.time) for one in points]
        lower = self._signal(self._signs.band, _BAND, times, _between(times, known, [one.median for one in points]))
        upper = self._signal(self._signs.band, _BAND, times, _between(times, known, [one.upper for one in points]))
        self._figure.draw(upper.fill(lower))

    def _sizes(self) -> None:
        """What was asked for until now, and from now on."""
        sizes, each, desired = self._outlook.sizes, self._outlook.each, self._outlook.desired
        ends = [*(self._x(one.time) for one in sizes[1:]), 0.0]
        for one, end in zip(sizes, ends, strict=False):
            self._level(self._signs.size, _SIZE, self._x(one.time), end, one.load)
        if each is not None and desired is not None:
            self._level(self._signs.wanted, _SIZE, 0.0, self._end, desired * each)

    def _demand(self) -> None:
        found = self._outlook.demand
        if found is not None:
            visible = 3 * (self._end - self._start) / (self._samples / _OVERSAMPLED)
            start = max(self._x(found.time), 0.0)
            self._level(self._signs.demand, _DEMAND, start, max(self._x(found.until), start + visible), found.load)

    def _ready(self) -> None:
        each, ready = self._outlook.each, self._outlook.ready
        if each is not None and ready is not None:
            self._steady(self._signs.ready, _SIZE, [0.0], [ready * each])

    def _level(self, sign: str, colour: int, start: float, end: float, load: float) -> None:
        times = _spread(max(start, self._start), min(end, self._end), self._samples)
        self._steady(sign, colour, times, [load] * len(times))

    def _curve(self, colour: int, points: Sequence[tuple[float, float]]) -> None:
        if points:
            times, loads = zip(*points, strict=True)
            self._figure.draw(self._signal(self._signs.line, colour, times, loads).lines(len(points) > 1))

    def _steady(self, sign: str, colour: int, times: Sequence[float], loads: Sequence[float]) -> None:
        self._figure.draw(self._signal(sign, colour, times, loads))

    def _signal(self, sign: str, colour: int, times: Sequence[float], loads: Sequence[float]) -> Any:  # noqa: ANN401  # plotext has no types
        pixel = plotext.pixel(foreground=colour) if self._is_coloured else plotext.pixel()
        return self._figure.signal(list(times), list(loads), marker=plotext.marker(sign).fill(pixel))

    def _x(self, time: datetime) -> float:
        return (time - self._outlook.time).total_seconds()


def _span(outlook: Outlook) -> tuple[float, float]:
    """From when to when, in seconds from now: all that is known, with now well inside."""
    demand = () if outlook.demand is None else (outlook.demand.until,)
    times = [
        *(time for time, _ in outlook.seen),
        *(one.time for one in outlook.sizes),
        *(one.time for one in outlook.points),
        *demand,
    ]
    known = [(time - outlook.time).total_seconds() for time in times]
    first, last = min([0.0, *known]), max([0.0, *known])
    margin = max(_MARGIN * (last - first), _SHORTEST.total_seconds() / 2)
    return min(first, -margin), max(last, margin)


def _loads(outlook: Outlook) -> Iterator[float]:
    yield from (load for _, load in outlook.seen)
    yield from (one.load for one in outlook.sizes)
    yield from (max(one.upper, one.median) for one in outlook.points)
    if outlook.demand is not None:
        yield outlook.demand.load
    if outlook.each is not None:
        yield from (count * outlook.each for count in (outlook.ready, outlook.desired) if count is not None)


def scale(loads: Iterator[float]) -> float:
    """The upper end of an axis from 0: round, and a little above the highest of `loads`; 1 where there is none."""
    highest = 1.02 * max(loads, default=0.0)
    if highest <= 0.0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(highest))
    return next(unit * step for step in _ROUND if unit * step >= highest)


_ROUND = (1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)
"""In quarters these have few digits."""


def _load_ticks(top: float) -> tuple[list[float], list[str]]:
    ticks = [top * quarter / 4 for quarter in range(5)]
    return ticks, [short(tick) for tick in ticks]


def time_ticks(now: datetime, start: float, end: float, width: int) -> tuple[list[float], list[str]]:
    """Places in seconds from `now`, and the clock's time in UTC there: as many as have room, and now itself."""
    columns = width / (end - start)
    step = next((one for one in _STEPS if one * columns >= _APART), _STEPS[-1])
    form = "%H:%M:%S" if step < _MINUTE else "%H:%M" if end - start <= _DAY else "%d. %H:%M"
    first = math.ceil((now.timestamp() + start) / step) * step
    places = [first + count * step - now.timestamp() for count in range(int((end - start) / step) + 1)]
    room = _APART / 2 / columns
    clear = [place for place in places if abs(place) >= room and start + room / 2 <= place <= end - room / 2]
    labels = [f"{now + timedelta(seconds=place):{form}}" for place in clear]
    return [0.0, *clear], ["now", *labels]


_APART = 12  # columns from one label to the next
_MINUTE, _DAY = 60, 86_400
_STEPS = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 7 * 86_400)


def unbroken(seen: Sequence[tuple[datetime, float]]) -> Iterator[list[tuple[datetime, float]]]:
    """The loads in pieces between which there is a gap: something that nobody measured."""
    distances = [(after[0] - before[0]).total_seconds() for before, after in pairwise(seen)]
    longest = _GAP * median(distances) if distances else 0.0
    piece: list[tuple[datetime, float]] = []
    for one in seen:
        if piece and (one[0] - piece[-1][0]).total_seconds() > longest:
            yield piece
            piece = []
        piece.append(one)
    if piece:
        yield piece


def _spread(start: float, end: float, count: int) -> list[float]:
    """So many places from `start` to `end`, evenly; none where it ends before it begins."""
    return [start + (end - start) * place / (count - 1) for place in range(count)] if start <= end else []


def _between(times: Sequence[float], known: Sequence[float], values: Sequence[float]) -> list[float]:
    """Linear between what is known at increasing times; `times` lie between the first and the last."""
    found, place = [], 0
    for time in times:
        while place + 2 < len(known) and known[place + 1] < time:
            place += 1
        after = min(place + 1, len(known) - 1)
        width = known[after] - known[place]
        share = min(1.0, max(0.0, (time - known[place]) / width)) if width > 0.0 else 0.0
        found.append(values[place] + share * (values[after] - values[place]))
    return found


def _legend(outlook: Outlook, signs: Signs) -> Iterator[tuple[str, str, int]]:
    """Sign, meaning and colour."""
    curve = "⠒" if signs.line == "braille" else signs.line
    if outlook.seen:
        yield curve, f"load, {short(outlook.seen[-1][1])} at {outlook.seen[-1][0]:%H:%M:%S}", _SEEN
    if outlook.sizes:
        yield signs.size, f"what {counted(outlook.sizes[-1].replicas, 'replica')} asked for can serve", _SIZE
    if outlook.ready is not None and outlook.each is not None:
        yield signs.ready, f"{outlook.ready} ready", _SIZE
    if outlook.desired is not None and outlook.each is not None:
        yield signs.wanted, f"{outlook.desired} wanted", _SIZE
    if outlook.demand is not None:
        found = outlook.demand
        yield (
            signs.demand,
            f"to be ready for {short(found.load)} until {found.until:%H:%M:%S} ({found.source.lower()})",
            _DEMAND,
        )
    if outlook.points:
        yield signs.band, f"forecast, from its median (the line) to its {outlook.level:.4g} quantile", _BAND


def _flowed(items: Iterator[tuple[str, str, int]], width: int, *, is_coloured: bool) -> list[str]:
    """As many beside each other as have room; what is longer than a line is cut."""
    lines: list[str] = []
    room = 0
    for sign, meaning, colour in items:
        text = f"{sign} {meaning}"[:width]
        shown = f"\x1b[38;5;{colour}m{sign}\x1b[0m{text[1:]}" if is_coloured else text
        if lines and room >= len(text) + 3:
            lines[-1] += f"   {shown}"
            room -= len(text) + 3
        else:
            lines.append(shown)
            room = width - len(text)
    return lines
