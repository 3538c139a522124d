"""`simulate`: what a policy would have had on a past load."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from training.commands import console
from training.commands.options import Season, Source, duration, moment, share, takes_source
from training.commands.replaying import DecisionStep, MeanReplicas, PerReplica, PriceFile, Startup, Workers
from training.simulate import aws, log, prices
from training.simulate.bootstrap import Paired, of_study
from training.simulate.capacity import SimulationError
from training.simulate.comparison import summary
from training.simulate.material import Material, gather
from training.simulate.matrix import POLICIES, Matrix, of_presets, reach
from training.simulate.study import AWS, AWS_PREDICTIVE, NAMES, PREDICTIVE, USUALLY, Question, Study, prepare, study
from training.simulate.wanted import by_default, named, wanted
from training.simulate.words import HEADINGS, cells, sentences

_GOAL = 0.01  # the share of time at which sweeps are compared when no objective says it
# What a narrow terminal can do without, the most dispensable first: 80 columns show the rest whole.
_SPARE = ("used", "turns", "below static", "unserved", "gap closed", "changes")


@takes_source
def simulate(
    source: Source,
    out: Annotated[Path, typer.Option(help="The directory of the report, the figures and the decisions.")],
    startup: Startup = "60s",  # type: ignore[assignment]  # typer reads it as it is written
    model: Annotated[Path | None, typer.Option(help="The model file of the predictive policy.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            parser=moment,
            metavar="TIME",
            help="Replay from then on; what is earlier is history. By default the last 15 %, whole seasons.",
        ),
    ] = None,
    step: DecisionStep = "15s",  # type: ignore[assignment]  # as above
    season: Season = "1d",  # type: ignore[assignment]  # as above
    per_replica: PerReplica = None,
    mean_replicas: MeanReplicas = None,
    policy: Annotated[
        str, typer.Option(metavar="NAMES", help=f"Which policies to show, of {', '.join(NAMES)}.")
    ] = ",".join(USUALLY),
    spec: Annotated[
        Path | None, typer.Option(help="A PredictiveScaler in YAML: its policy is the predictive one.")
    ] = None,
    objective: Annotated[
        float | None,
        typer.Option(parser=share, metavar="PERCENT", help="Under-provisioned time to steer to; 1% by default."),
    ] = None,
    quantile: Annotated[
        float | None, typer.Option(metavar="LEVEL", help="Instead: the forecast level to be ready for.")
    ] = None,
    utilisation: Annotated[
        float,
        typer.Option(
            parser=share, metavar="PERCENT", help="The target of the HPA, and of AWS's policies, that are shown."
        ),
    ] = "50%",  # type: ignore[assignment]  # as above
    scheduling_buffer: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration, metavar="DURATION", help="Of aws-predictive: so long before its hour; 300s by default."
        ),
    ] = None,
    sweep: Annotated[bool, typer.Option(help="The predictive policy at many settings as well.")] = False,
    matrix: Annotated[bool, typer.Option(help="The nine presets of docs/guide/presets.md as well.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap that tells how sure a difference is.")] = 1,
    workers: Workers = None,
    price: PriceFile = None,
) -> None:
    """Replay a past load through the controller's own decisions, beside an HPA, a fixed size and an oracle."""
    names = named(policy, NAMES)
    if matrix and model is None:
        raise SimulationError("--matrix: three of the presets go by a forecast; give a model file with --model")
    needed = (*names, PREDICTIVE) if matrix else names
    buffer = _buffer(scheduling_buffer, names, step)
    log.check(out)
    paid = prices.read(price or prices.DEFAULT)
    own = wanted(names=needed, spec=spec, model=model, objective=objective, quantile=quantile, startup=startup)
    prepare(workers)
    material = gather(source.request(step, season), since)
    if own.model is not None:
        material.check(own.model)
    scene = own.scene(material, startup=startup, per_replica=per_replica, mean_replicas=mean_replicas, price=paid)
    judged = own.aimed(scene, mean_replicas)
    question = Question(
        names=names,
        policy=judged,
        utilisation=utilisation,
        is_swept=sweep,
        past=material.before if AWS_PREDICTIVE in names else None,
        buffer=buffer,
    )
    log.make(out)
    with console.progress() as show:
        forecasts = None
        if own.model is not None:
            zone = source.zone or own.zone or material.zone
            ahead = max(judged.window, reach(step)) if matrix else judged.window
            forecasts = material.forecasts(own.model, zone, ahead, show("forecasts"))
        # Its matplotlib takes a second to import, for which there is time while others replay; `_write` needs it.
        Thread(target=import_module, args=("training.simulate.page",), daemon=True).start()
        found = study(
            scene,
            question,
            forecasts,
            cores=workers,
            tell=show("replays"),
            keep=partial(log.write, out, load=scene.load),
        )
        presets = None
        if matrix and forecasts is not None:
            to_meet = replace(by_default(_GOAL, None, startup), target_per_replica=scene.per_replica)
            presets = of_presets(found, to_meet, forecasts, cores=workers, tell=show("presets"))
    risk, sure = judged.objective or _GOAL, of_study(found, seed=seed)
    _write(found, presets, material, risk, sure, out)
    _tell(found, presets, material, risk, sure)
    console.say(f"wrote {out}")


def _buffer(asked: timedelta | None, names: tuple[str, ...], step: timedelta) -> timedelta:
    """How long before an hour AWS's predictive scaling acts. Raises SimulationError."""
    if asked is not None and AWS_PREDICTIVE not in names:
        raise SimulationError(
            "--scheduling-buffer has no effect without the policy aws-predictive; add it to --policy, or remove this"
        )
    buffer = aws.BUFFER if asked is None else asked
    if any(name in AWS for name in names):
        aws.check(buffer, step)
    return buffer


def _write(
    found: Study, presets: Matrix | None, material: Material, risk: float, sure: Paired | None, out: Path
) -> None:
    """Everything that is kept. Raises SimulationError."""
    from training.simulate.page import page  # noqa: PLC0415  # as said in `simulate`

    figures = {"data": material.about, **summary(found, risk, sure), "presets": presets and presets.summary()}
    log.keep(out / "summary.json", json.dumps(figures, indent=1, sort_keys=True, allow_nan=False) + "\n")
    told = page(found, zone=material.zone, about=material.about, risk=risk, sure=sure, presets=presets)
    log.keep(out / "report.html", told)


def _tell(found: Study, presets: Matrix | None, material: Material, risk: float, sure: Paired | None) -> None:
    console.print_table(_table(found, material), spare=_SPARE)
    for words in sentences(found, risk, sure):
        console.say(words)
    if presets is not None:
        console.print_table(_matrix(presets))


def _table(found: Study, material: Material) -> Table:
    """A row a policy."""
    scene = found.scene
    since, until = (time.astimezone(material.zone) for time in (scene.load.start, scene.load.end))
    starts = f"starts in {scene.startup.total_seconds():g} s"
    title = f"{since} to {until}; a replica serves {scene.per_replica:.4g} a second and {starts}"
    table = Table(title=escape(title), caption=escape(material.about))
    for place, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if place else "left")
    for name, run in found.runs.items():
        table.add_row(*cells(found, name, found.scene.point(run)))
    return table


def _matrix(presets: Matrix) -> Table:
    """A row a configuration, a column a policy."""
    table = Table("configuration", *POLICIES, title="The presets of docs/guide/presets.md", show_lines=True)
    for name, row in presets.rows():
        table.add_row(name, *("\n".join(lines) for lines in row))
    return table
