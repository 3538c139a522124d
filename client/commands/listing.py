"""Which commands are there? Each is imported when it is asked for, so that none waits for what only another one needs.

Must not do what they do.
"""

from __future__ import annotations

from training.command_group import CommandGroup

MODULES = {
    "get": "client.commands.get",
    "forecast": "client.commands.forecast",
    "pause": "client.commands.pause",
    "resume": "client.commands.resume",
    "explain": "client.commands.explain",
    "replay": "client.commands.replay",
    "grade": "client.commands.grade",
    "doctor": "client.commands.doctor",
}


class Commands(CommandGroup):
    """The commands of MODULES."""

    modules = MODULES
