"""What can one ask of training? The command line; each command is a file in `training/commands/`.

Every error is one line and exit code 2; an interrupted run leaves nothing behind. Must not compute anything itself.
"""

from __future__ import annotations

import sys

import typer

from controller.ports import ModelError
from training.backtest import BacktestError
from training.commands import terminal
from training.commands.backtest import backtest
from training.commands.benchmark import benchmark
from training.commands.fit import fit
from training.commands.fleet import Commands, fit_fleet
from training.commands.ingest import ingest
from training.commands.retrain import retrain
from training.commands.shipped import shipped
from training.datasets import DataError
from training.export import ExportError
from training.families.family import FitError
from training.fleet import FleetError
from training.retraining import RetrainingError
from training.roster import RosterError
from training.windows import WindowError

_USER_ERROR = 2
_OF_A_FLEET = (RosterError, FleetError, RetrainingError)

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Make and judge forecasters: one ONNX file each.",
)
for command in (ingest, fit, fit_fleet, retrain, backtest, benchmark, shipped):
    app.command()(command)


def main() -> None:
    """Run the command line; what the user can mend is one line on stderr and exit code 2."""
    try:
        app()
    except (DataError, WindowError, FitError, BacktestError, ExportError, ModelError, *_OF_A_FLEET) as error:
        terminal.complain(f"error: {error}")
        sys.exit(_USER_ERROR)


if __name__ == "__main__":
    main()
