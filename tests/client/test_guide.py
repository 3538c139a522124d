"""Does the guide of the plugin tell of commands, options, columns and signs that there are?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from client.chart import DRAWN
from client.commands.listing import MODULES
from client.completion import completed
from client.modes import PAUSED_MODE
from client.table import table

GUIDES = Path(__file__).parents[2] / "docs" / "guide"
GUIDE = (GUIDES / "kubectl.md").read_text(encoding="utf-8")
CALL = re.compile(r"(?:kubectl predictivescaler|predictive-scaler) ([a-z]+)((?: [^\n#`]+)?)")


def _calls() -> list[tuple[str, str, str]]:
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(GUIDES.glob("*.md"))}
    blocks = {name: "\n".join(text.split("```")[1::2]) for name, text in texts.items()}
    return [(name, *call) for name, text in blocks.items() for call in CALL.findall(text) if call[0] in MODULES]


def test_there_are_calls_of_each_command_but_what_has_its_own_guide() -> None:
    assert {command for _, command, _ in _calls()} >= {"get", "forecast", "pause", "resume", "explain", "doctor"}


@pytest.mark.parametrize(("guide", "command", "rest"), _calls())
def test_every_option_of_a_call_exists(guide: str, command: str, rest: str) -> None:
    known = set(completed([command, "-"]))
    used = {word.partition("=")[0] for word in rest.split() if word.startswith("-") and word != "-"}
    assert used <= known, f"{guide} calls {command}{rest}"


def test_its_tables_have_the_columns_of_the_table() -> None:
    header = table([], has_namespace=True).header
    (piped, on_terminal) = [line for line in GUIDE.splitlines() if line.startswith("NAME")]
    assert piped.split() == header.split()
    assert set(on_terminal.split()) == set(header.split()) - {"NAMESPACE", "TARGET", "COVERAGE", "WHY"}
    wide = set(table([], is_wide=True).header.split()) - set(header.split())
    assert all(column in GUIDE for column in wide)


def test_its_chart_has_the_signs_and_fits() -> None:
    chart = GUIDE.partition("forecast web -n shop\n")[2].partition("```")[0]
    assert max(map(len, chart.splitlines())) <= 80
    assert {DRAWN.band, DRAWN.size, DRAWN.wanted, DRAWN.demand, DRAWN.now} <= set(chart)
    assert DRAWN.ready in GUIDE


def test_the_annotation_is_named() -> None:
    assert f"`{PAUSED_MODE}`" in GUIDE
