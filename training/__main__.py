"""What can one ask of training? The command line; each command is a file in `training/commands/`.

Every error is one line and exit code 2; an interrupted run leaves nothing behind. Must not compute anything itself.
"""

from __future__ import annotations

import signal
import sys

import typer

from training.commands import console
from training.commands.listing import Commands

_USER_ERROR = 2
_MENDABLE = {
    "controller.ports": "ModelError",
    "training.backtest": "BacktestError",
    "training.datasets": "DataError",
    "training.export": "ExportError",
    "training.families.family": "FitError",
    "training.fleet": "FleetError",
    "training.retraining": "RetrainingError",
    "training.roster": "RosterError",
    "training.simulate.capacity": "SimulationError",
    "training.windows": "WindowError",
}
"""What the user can mend, by the module that tells it; none is imported only for this."""

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Make and judge forecasters: one ONNX file each.",
)


@app.callback()
def _of_all() -> None:
    """Without one, typer takes an app that has no command yet for a mistake."""


def main() -> None:
    """Run the command line; what the user can mend is one line on stderr and exit code 2."""
    # As Ctrl-C: no process is left, and no half-written file. As a pod's first process Python would ignore it.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except mendable() as error:
        console.complain(f"error: {error}")
        sys.exit(_USER_ERROR)
    finally:
        signal.signal(signal.SIGTERM, before)


def mendable() -> tuple[type[Exception], ...]:
    """Of the modules that were imported: an error of another one cannot have been raised."""
    return tuple(getattr(sys.modules[module], error) for module, error in _MENDABLE.items() if module in sys.modules)


if __name__ == "__main__":
    main()
