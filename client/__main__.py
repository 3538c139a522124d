"""What can one ask of a running scaler? `predictive-scaler`, and as a plugin `kubectl predictivescaler`.

Each command is a file in `client/commands/`; every error is one line and exit code 2. Must not compute anything itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from client.commands import console
from client.commands.listing import Commands
from client.errors import ClientError

_USER_ERROR = 2
_PLUGIN = "kubectl-predictivescaler"

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="See what PredictiveScalers do and why, and let them pause.",
)


@app.callback()
def _of_all() -> None:
    """Without one, typer takes an app that has no command yet for a mistake."""


def main() -> None:
    """Run the command line; what the user can mend is one line on stderr and exit code 2."""
    try:
        app(prog_name=_called())
    except ClientError as error:
        console.complain(f"error: {error}")
        sys.exit(_USER_ERROR)


def _called() -> str:
    """As whoever called it wrote it: kubectl starts a file, and is meant itself."""
    name = Path(sys.argv[0]).name
    return _PLUGIN.replace("-", " ") if name == _PLUGIN else "predictive-scaler"


if __name__ == "__main__":
    main()
