"""`recommend`: the spec that a load asks for, as YAML on stdout; what it was chosen by, on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from training import whole
from training.commands import console
from training.commands.options import Season, Source, moment, share, takes_source
from training.commands.replaying import DecisionStep, MeanReplicas, PerReplica, PriceFile, Startup, Workers
from training.recommend import asked, told
from training.recommend.candidates import check
from training.recommend.search import Choice, choose
from training.recommend.wishes import PRIORITIES, PRIORITY, wish
from training.simulate import prices
from training.simulate.capacity import SimulationError
from training.simulate.material import gather
from training.simulate.matrix import reach
from training.simulate.study import PREDICTIVE
from training.simulate.wanted import wanted

_OUTPUTS = ("yaml", "json")
_SPARE = ("turns", "unserved")  # what a narrow terminal can do without
_PRIORITIES = ", ".join(f"{name} ({limit * 100:g}%)" for name, limit in PRIORITIES.items())


@takes_source
def recommend(
    source: Source,
    model: Annotated[
        Path | None, typer.Option(help="The model file to forecast with; without one nothing is forecast.")
    ] = None,
    startup: Startup = "60s",  # type: ignore[assignment]  # typer reads it as it is written
    per_replica: PerReplica = None,
    mean_replicas: MeanReplicas = None,
    priority: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"The cheapest that is short at most: {_PRIORITIES}. {PRIORITY} by default."),
    ] = None,
    objective: Annotated[
        float | None, typer.Option(parser=share, metavar="PERCENT", help="Instead: the share of time itself.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="Instead: the safest for so much a day, as 200h (replica-hours) or 12USD."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            parser=moment,
            metavar="TIME",
            help="Choose by what comes from then on; what is earlier is history. By default the last 30 %.",
        ),
    ] = None,
    test_from: Annotated[
        datetime | None,
        typer.Option(
            parser=moment, metavar="TIME", help="Judge on what comes from then on; by default the second half."
        ),
    ] = None,
    step: DecisionStep = "15s",  # type: ignore[assignment]  # as above
    season: Season = "1d",  # type: ignore[assignment]  # as above
    name: Annotated[str, typer.Option(help="Of the target, and of the PredictiveScaler.")] = "web",
    kind: Annotated[str, typer.Option(help="Of the target.")] = "Deployment",
    namespace: Annotated[str | None, typer.Option(help="Of both.")] = None,
    min_replicas: Annotated[int, typer.Option(min=1, help="The fewest that the resource allows.")] = 1,
    max_replicas: Annotated[
        int | None, typer.Option(min=1, help="By default twice what the highest load needs.")
    ] = None,
    price: PriceFile = None,
    workers: Workers = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="yaml|json", help="Form of the resource.")] = "yaml",
    json_out: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file as well.")] = None,
) -> None:
    """Try many specs on a part of a past load, judge the best on the rest, and print it: ... > scaler.yaml."""
    if output not in _OUTPUTS:
        raise SimulationError(f"--output: there is no form {output!r}; there are {', '.join(_OUTPUTS)}")
    if test_from is not None and since is None:
        raise SimulationError("--test-from: give --from as well, to say what to choose by")
    if json_out is not None and not json_out.parent.is_dir():
        raise SimulationError(f"--json: there is no directory {json_out.parent}; name a file in one that there is")
    paid = prices.read(price or prices.DEFAULT)
    goal = wish(priority, objective, budget, paid.currency)
    who = asked.named(
        name=name,
        kind=kind,
        namespace=namespace,
        lowest=min_replicas,
        highest=max_replicas,
        data=source.data,
        query=source.query,
    )
    own = wanted(
        names=() if model is None else (PREDICTIVE,),
        spec=None,
        model=model,
        objective=None,
        quantile=None,
        startup=startup,
    )
    material = gather(source.request(step, season), since, share=asked.SHARE)
    if own.model is not None:
        material.check(own.model)
    zone = asked.zone_name(source.zone or material.zone, material.load.start)
    first, second = asked.halves(material, test_from, season)
    searched = own.scene(first, startup=startup, per_replica=per_replica, mean_replicas=mean_replicas, price=paid)
    held = own.scene(second, startup=startup, per_replica=searched.per_replica, mean_replicas=None, price=paid)
    target = asked.target(who, first, searched, model=None if model is None else model.stem, zone=zone)
    check(target)
    with console.progress() as show:
        forecasts = None
        if own.model is not None:
            clock = source.zone or material.zone
            forecasts = material.forecasts(own.model, clock, max(startup + step, reach(step)), show("forecasts"))
        found = choose(
            target,
            goal,
            asked.bounded(searched, target),
            asked.bounded(held, target),
            forecasts,
            cores=workers,
            tell=show,
        )
    _tell(found)
    if json_out is not None:
        _write(json_out, json.dumps(told.summary(found, target), indent=1, sort_keys=True, allow_nan=False) + "\n")
    text = (
        told.as_json(found, namespace)
        if output == "json"
        else told.as_yaml(found, target, namespace=namespace, zone=material.zone, about=material.about)
    )
    sys.stdout.write(text)


def _tell(found: Choice) -> None:
    """What was tried and what the best was worth, on stderr."""
    scenes = (found.searched, found.beside.scene)
    titles = (f"{len(found.tried)} candidates on the span to choose by", "The best of them on the span to judge on")
    for title, rows, scene in zip(titles, (told.rows(found), told.judged_rows(found)), scenes, strict=True):
        days = len(scene.load) * (scene.load.step / timedelta(days=1))
        unit = "day" if days == 1.0 else "days"
        console.print_table(_table(f"{title}, {days:.3g} {unit}", rows), spare=_SPARE, is_aside=True)


def _write(path: Path, text: str) -> None:
    """Whole or not at all. Raises SimulationError."""
    try:
        whole.write(path, text.encode())
    except OSError as error:
        raise SimulationError(f"--json: {path} cannot be written: {error.strerror}") from error


def _table(title: str, rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title)
    for place, heading in enumerate(told.HEADINGS):
        table.add_column(heading, justify="right" if place else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    return table
