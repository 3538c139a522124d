"""Which commands are there? Each is imported when it is asked for: what learns takes seconds to import.

Must not do what they do.
"""

from __future__ import annotations

from collections.abc import Sequence

from training.command_group import CommandGroup

MODULES = {
    "ingest": "training.commands.ingest",
    "fit": "training.commands.fit",
    "fit-fleet": "training.commands.fleet",
    "retrain": "training.commands.retrain",
    "backtest": "training.commands.backtest",
    "simulate": "training.commands.simulate",
    "recommend": "training.commands.recommend",
    "benchmark": "training.commands.benchmark",
    "shipped": "training.commands.shipped",
}


class Commands(CommandGroup):
    """`fit --fleet FILE` is `fit-fleet --fleet FILE`: many series take other options than one does."""

    modules = MODULES

    def called(self, args: Sequence[str]) -> str:
        """What `fit` means is told by its options."""
        is_fleet = args[0] == "fit" and any(one == "--fleet" or one.startswith("--fleet=") for one in args)
        return "fit-fleet" if is_fleet else args[0]
