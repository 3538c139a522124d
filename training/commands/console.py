"""How is a line or a table said? Apart from `terminal`, as a command that makes no model must not import what does."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table


def print_table(table: Table, width: int = 120) -> None:
    """As wide as the terminal; `width` columns in a file."""
    Console(width=None if sys.stdout.isatty() else width).print(table)


def say(text: str) -> None:
    """One plain line on stdout."""
    Console(soft_wrap=True).print(text, highlight=False, markup=False)


def complain(text: str) -> None:
    """One plain line on stderr."""
    Console(stderr=True, soft_wrap=True).print(text, style="red", highlight=False, markup=False)
