"""`shipped`: make the models that come with the project anew."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from training.commands import terminal
from training.commands.options import Source
from training.families.seasonal import SEASONAL_NAIVE
from training.job import Job, check_writable
from training.windows import Window


def shipped(out: Annotated[Path, typer.Option(help="The directory of the models.")]) -> None:
    """Make the models that come with the project anew; they know a generated trace only."""
    window = Window.fitting(step=timedelta(minutes=5), season=timedelta(days=1), horizon=timedelta(hours=6))
    path = out / f"{SEASONAL_NAIVE.name}.onnx"
    check_writable(path)
    dataset = Source(data="generated:1").load(window)
    with terminal.progress() as show:
        candidate = Job.of(dataset, window).try_out(SEASONAL_NAIVE, name=path.stem, show=show)
    terminal.print_report(candidate.report, dataset, path.stem)
    written = candidate.write(path)
    terminal.say(f"wrote {path}, sha256 {written.digest}")
