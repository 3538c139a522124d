"""Which options do the commands share that replay a load?

Apart from `options`, as a command that replays nothing must not import what does.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from training.commands.options import duration
from training.simulate.wanted import MEAN_REPLICAS

Startup = Annotated[
    timedelta, typer.Option(parser=duration, metavar="DURATION", help="From asking for a replica until it serves.")
]
PerReplica = Annotated[
    float | None, typer.Option(min=0, metavar="LOAD", help="The load a second that one replica serves.")
]
MeanReplicas = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="N",
        help=f"Instead: N replicas at 70 % would serve the mean load; {MEAN_REPLICAS:g} if nothing is said.",
    ),
]
DecisionStep = Annotated[
    timedelta, typer.Option(parser=duration, metavar="DURATION", help="Time that one load and one decision cover.")
]
PriceFile = Annotated[Path | None, typer.Option(metavar="FILE", help="What a replica costs; by default AWS Fargate.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Replays at a time, a process each; by default one a core.")]
