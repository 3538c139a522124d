"""How is something said on a terminal? Sentences beside their labels, plain lines, and complaints on stderr."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

WIDEST = 110  # columns: longer lines are hard to read
_LABEL = 12


def tell(paragraphs: Iterable[tuple[str, str]]) -> None:
    """Each text beside its label, as wide as the terminal allows."""
    console = Console(emoji=False, highlight=False, soft_wrap=True)
    width = max(30, min(console.width, WIDEST) - _LABEL)
    for label, text in paragraphs:
        lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
        console.print(Text(f"{label:<{_LABEL}}", style="bold") + Text(lines[0]))
        for line in lines[1:]:
            console.print(Text(" " * _LABEL + line))


def say(text: str) -> None:
    """One plain line on stdout."""
    Console(soft_wrap=True, emoji=False).print(text, highlight=False, markup=False)


def complain(text: str) -> None:
    """One plain line on stderr."""
    Console(stderr=True, soft_wrap=True, emoji=False).print(text, style="red", highlight=False, markup=False)
