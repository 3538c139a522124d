"""How is something said on a terminal? Sentences beside their labels, plain lines, and complaints on stderr."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

WIDEST = 110  # columns: longer lines are hard to read
_LABEL = 12
_RESULT, _WHAT = 9, 14


def tell(paragraphs: Iterable[tuple[str, str]]) -> None:
    """Each text beside its label, as wide as the terminal allows."""
    console = Console(emoji=False, highlight=False, soft_wrap=True)
    width = max(30, min(console.width, WIDEST) - _LABEL)
    for label, text in paragraphs:
        first, *rest = _wrapped(text, width)
        console.print(Text(f"{label:<{_LABEL}}", style="bold") + Text(first))
        for line in rest:
            console.print(Text(" " * _LABEL + line))


def verdicts(lines: Iterable[tuple[str, str, str, str]]) -> None:
    """Each text beside a result in its style and what was looked at, as wide as the terminal allows."""
    console = Console(emoji=False, highlight=False, soft_wrap=True)
    indent = _RESULT + _WHAT
    width = max(30, min(console.width, WIDEST) - indent)
    for result, style, label, text in lines:
        first, *rest = _wrapped(text, width)
        console.print(Text(f"{result:<{_RESULT}}", style=style) + Text(f"{label:<{_WHAT}}", style="bold") + Text(first))
        for line in rest:
            console.print(Text(" " * indent + line))


def paragraph(text: str, *, before: str = "") -> None:
    """Text as wide as the terminal allows. `before`: an empty line or none."""
    console = Console(emoji=False, highlight=False, soft_wrap=True)
    console.print(Text(before), end="")
    for line in _wrapped(text, min(console.width, WIDEST)):
        console.print(Text(line))


def rows(lines: Iterable[tuple[str, str]]) -> None:
    """Each line in its style, never broken."""
    console = Console(emoji=False, highlight=False, soft_wrap=True)
    for text, style in lines:
        console.print(Text(text, style=style))


def width() -> int | None:
    """Columns of the terminal; None where stdout is none."""
    console = Console()
    return console.width if console.is_terminal else None


def height() -> int:
    """Lines of the terminal."""
    return Console().height


def is_coloured() -> bool:
    """Whether stdout is a terminal that wants colour: not with NO_COLOR, nor a dumb one."""
    console = Console()
    return console.is_terminal and console.color_system is not None and not console.no_color


def is_plain() -> bool:
    """Whether stdout takes no more than ASCII."""
    return not (sys.stdout.encoding or "ascii").lower().startswith("utf")


def clear() -> None:
    """Begin again at the top of the terminal."""
    Console().clear()


def whisper(text: str) -> None:
    """One line on stdout that matters less."""
    Console(soft_wrap=True, emoji=False).print(text, style="dim", highlight=False, markup=False)


def remark(text: str) -> None:
    """One plain line on stderr that is no complaint."""
    Console(stderr=True, soft_wrap=True, emoji=False).print(text, style="yellow", highlight=False, markup=False)


def say(text: str) -> None:
    """One plain line on stdout."""
    Console(soft_wrap=True, emoji=False).print(text, highlight=False, markup=False)


def complain(text: str) -> None:
    """One plain line on stderr."""
    Console(stderr=True, soft_wrap=True, emoji=False).print(text, style="red", highlight=False, markup=False)


def _wrapped(text: str, width: int) -> list[str]:
    """At least one line."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
