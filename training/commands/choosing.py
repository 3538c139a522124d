"""Which family is fitted? The one that is named, or with `auto` the best of all; what is shown when it was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Annotated, Self

import typer
from rich.markup import escape
from rich.table import Table

from training.champion import Choice, Trial, choose
from training.commands import terminal
from training.commands.options import duration
from training.families.catalogue import ENSEMBLE, FAMILIES, MEMBERS, family_of
from training.families.family import Family, FitError, Progress
from training.job import Job

AUTO = "auto"

FamilyName = Annotated[str, typer.Option(help=f"{', '.join(FAMILIES)}; or auto, the best of them.")]
Members = Annotated[
    str | None, typer.Option(metavar="NAMES", help=f"Families of the ensemble, with commas; else {','.join(MEMBERS)}.")
]
Budget = Annotated[
    timedelta | None,
    typer.Option(parser=duration, metavar="DURATION", help="The longest that auto may take to fit one family."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for, checked. `name`: of a family, or auto."""

    name: str
    members: Sequence[str]
    budget: timedelta | None

    @classmethod
    def of(cls, name: str, members: str | None, budget: timedelta | None) -> Self:
        """Before anything is read. Raises FitError."""
        if members is not None and name not in (ENSEMBLE, AUTO):
            raise FitError(f"--members are those of an ensemble; use --family {ENSEMBLE} or {AUTO}, not {name}")
        if budget is not None and name != AUTO:
            raise FitError(f"--budget is for --family {AUTO}, not {name}")
        chosen = MEMBERS if members is None else tuple(members.split(","))
        wanted = cls(name=name, members=chosen, budget=budget)
        wanted.find(ENSEMBLE if name == AUTO else name)
        return wanted

    def find(self, name: str, progress: Progress = lambda _done, _all: None) -> Family:
        """The family of that name, an ensemble with the members that are wanted. Raises FitError."""
        return family_of(name, progress, self.members)

    def choose(self, job: Job) -> str:
        """The name of the family to fit; with auto after a trial of all, which is shown. Raises FitError."""
        if self.name != AUTO:
            return self.name
        with terminal.progress() as show:
            choice = choose(job, tuple(FAMILIES), self.find, budget=self.budget, show=show)
        _print(choice, job.dataset.zone)
        return choice.champion


def _print(choice: Choice, zone: tzinfo) -> None:
    since, until = (time.astimezone(zone) for time in (choice.since, choice.until))
    table = Table(title=f"All families, compared from {since} to {until}, before the test begins")
    for heading in ("family", "pinball", "skill", "fit, s", "a row, µs"):
        table.add_column(heading, justify="left" if heading == "family" else "right")
    table.add_column("why not")
    for trial in choice.trials:
        table.add_row(trial.family, *_cells(trial))
    terminal.print_table(table)
    terminal.say(choice.because)


def _cells(trial: Trial) -> tuple[str, ...]:
    took = f"{trial.took.total_seconds():.1f}"
    if trial.problem is not None:
        return "", "", took, "", escape(trial.problem)
    return f"{trial.loss:#.4g}", f"{trial.skill:+.1%}", took, f"{trial.row.total_seconds() * 1e6:.0f}", ""
