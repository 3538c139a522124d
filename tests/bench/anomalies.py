"""Does cleaning find what people labelled as anomalous? `python -m tests.bench.anomalies`.

On the labelled CloudWatch series beside the project, by method and file. The thresholds were chosen on the files that
stand first, third and so on in the list; "even" below, the others are "odd". A window counts as found when any step of
it is flagged, a span as right when it touches a window. Steps: a labelled window is a tenth of a file by the dataset's
design, most of it ordinary load, so that few of its steps can be found. Not a test.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from controller.core.series import Series
from training.cleaning.flags import HOWS, How, flag
from training.datasets import Request, load
from training.windows import Window

_FOLDER = Path(__file__).parents[3] / "shared" / "data" / "cloudwatch"
_WINDOW = Window.fitting(step=timedelta(minutes=5), season=timedelta(days=1), horizon=timedelta(hours=6))
_WIDTH = 150


@dataclass(frozen=True, slots=True)
class Found:
    """Counts, so that they add up."""

    windows: int
    windows_found: int
    spans: int
    spans_right: int
    steps: int
    steps_labelled: int
    steps_flagged: int
    steps_right: int

    def __add__(self, other: Found) -> Found:
        return Found(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def cells(self) -> list[str]:
        """Recall and precision of windows and spans, then of steps, then the share that is flagged."""
        pairs = [
            (self.windows_found, self.windows),
            (self.spans_right, self.spans),
            (self.steps_right, self.steps_labelled),
            (self.steps_right, self.steps_flagged),
        ]
        recall, precision, step_recall, step_precision = (_share(*pair) for pair in pairs)
        counted = (
            f"{part}/{whole} {share}" for (part, whole), share in zip(pairs[:2], (recall, precision), strict=True)
        )
        return [*counted, step_recall, step_precision, _share(self.steps_flagged, self.steps, digits=2)]


def _share(part: int, whole: int, digits: int = 0) -> str:
    return f"{part / whole:.{digits}%}" if whole else "-"


def find(name: str, labelled: Sequence[tuple[str, str]], how: How) -> Found:
    """What cleaning finds in one file."""
    now = datetime(2026, 1, 1, tzinfo=UTC)  # of no meaning for a file
    request = Request(data=str(_FOLDER / name), step=_WINDOW.step, season=_WINDOW.season, now=now, zone=UTC)
    series = load(request).series
    found = flag(series, _WINDOW, UTC, how)
    windows = [
        _steps(series, *(datetime.fromisoformat(time).replace(tzinfo=UTC) for time in pair)) for pair in labelled
    ]
    is_labelled = np.zeros(len(series), np.bool_)
    for window in windows:
        is_labelled[window] = True
    is_labelled &= np.isfinite(series.values)
    return Found(
        windows=len(labelled),
        windows_found=sum(int(found.mask[window].any()) for window in windows),
        spans=len(found.spans),
        spans_right=sum(int(is_labelled[_steps(series, span.start, span.end)].any()) for span in found.spans),
        steps=int(np.isfinite(series.values).sum()),
        steps_labelled=int(is_labelled.sum()),
        steps_flagged=int(found.mask.sum()),
        steps_right=int((found.mask & is_labelled).sum()),
    )


def _steps(series: Series, since: datetime, until: datetime) -> slice:
    return slice(max(0, (since - series.start) // series.step), max(0, (until - series.start) // series.step))


def main() -> None:
    if not _FOLDER.is_dir():
        Console().print(f"anomalies: skipped, there is no {_FOLDER}")
        return
    labels = json.loads((_FOLDER / "anomaly-windows.json").read_text())
    for how in HOWS[1:]:
        table = Table(
            "file", "windows found", "spans right", "steps found", "steps right", "flagged", title=f"Cleaning, {how}"
        )
        found = {name: find(name, labels[name], how) for name in sorted(labels)}
        for name, each in found.items():
            table.add_row(name, *each.cells())
        table.add_section()
        rows = list(found.values())
        for label, part in (("even: tuned on", rows[0::2]), ("odd: not seen", rows[1::2]), ("all", rows)):
            table.add_row(label, *sum(part[1:], part[0]).cells())
        Console(width=_WIDTH).print(table)


if __name__ == "__main__":
    main()
