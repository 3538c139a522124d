"""How are a line, a table or how far it is said?

Apart from `terminal`, as a command that makes no model must not import what does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

Tell = Callable[[int, int], None]  # how much is done, of how much

_ENDLESS = 1000  # columns: as wide as a table would like to be


def print_table(table: Table, width: int = 120, spare: Sequence[str] = (), *, is_aside: bool = False) -> None:
    """As wide as the terminal; `width` columns in a file. `is_aside`: on stderr.

    Where that is too narrow it lacks some of the headings in `spare`, the first ones first, rather than cut figures.
    """
    is_terminal = (sys.stderr if is_aside else sys.stdout).isatty()
    console = Console(width=None if is_terminal else width, emoji=False, stderr=is_aside)
    missing = []
    for heading in spare:
        if console.measure(table, options=console.options.update(width=_ENDLESS)).maximum <= console.width:
            break
        table.columns = [column for column in table.columns if column.header != heading]
        missing.append(heading)
    console.print(table)
    if missing:
        say(f"a wider terminal also shows {', '.join(missing)}", is_aside=is_aside)


def say(text: str, *, is_aside: bool = False) -> None:
    """One plain line on stdout. `is_aside`: on stderr."""
    Console(soft_wrap=True, emoji=False, stderr=is_aside).print(text, highlight=False, markup=False)


def complain(text: str) -> None:
    """One plain line on stderr."""
    Console(stderr=True, soft_wrap=True, emoji=False).print(text, style="red", highlight=False, markup=False)


@contextmanager
def progress() -> Iterator[Callable[[str], Tell]]:
    """Bars on stderr; each is named when its work begins to report."""
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*parts, console=Console(stderr=True), transient=True) as bars:

        def show(title: str) -> Tell:
            bar = bars.add_task(title, total=None)
            return lambda done, total: bars.update(bar, completed=done, total=total)

        yield show
