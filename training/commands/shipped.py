"""`shipped`: make the models that come with the project anew."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from training import shipped as models
from training.commands import terminal
from training.families.seasonal import SEASONAL_NAIVE
from training.job import Candidate, check_writable
from training.shipped import SHIPPED, Lesson, path_of


def shipped(
    out: Annotated[Path, typer.Option(help="The directory of the models.")],
    generated_only: Annotated[
        bool, typer.Option(help="Learn from made-up workloads alone, where the public traces are not at hand.")
    ] = False,
) -> None:
    """Make the models that come with the project anew: the defaults for three steps, and the seasonal naive one."""
    names = (SEASONAL_NAIVE.name, *(each.name for each in SHIPPED))
    for name in names:
        check_writable(path_of(out, name))
    now = datetime.now(UTC)  # noqa: TID251  # no trace may end after it
    known = {each.name: () if generated_only else models.traces(each.step) for each in SHIPPED}
    with terminal.progress() as show:
        made = {SEASONAL_NAIVE.name: models.naive(show)}
        for each in SHIPPED:
            learned = models.lessons(each, known[each.name], now)
            made[each.name] = models.candidate(each, learned, show)
            terminal.say(_words(each.name, learned))
    for name, candidate in made.items():
        _write(path_of(out, name), candidate)


def _words(name: str, learned: list[Lesson]) -> str:
    recorded = [f"{lesson.name} ({lesson.digest})" for lesson in learned if lesson.is_recorded]
    made_up = len(learned) - len(recorded)
    return f"{name} has learned from {', '.join([*recorded, f'{made_up} made-up workloads'])}"


def _write(path: Path, candidate: Candidate) -> None:
    written = candidate.write(path)
    terminal.say(
        f"wrote {path}, {path.stat().st_size / 1e6:.2f} MB, sha256 {written.digest}; "
        f"skill on a made-up trace {candidate.report.skill:+.1%}"
    )
