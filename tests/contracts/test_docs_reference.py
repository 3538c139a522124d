"""Are the pages of reference what the code says?"""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from controller.core.card import Card
from controller.forecaster import MAX_BYTES
from controller.settings import PREFIX, Settings
from manifests import chart_page, settings_page

ROOT = Path(__file__).parents[2]
CONTRACT = (ROOT / "docs/reference/model-contract.md").read_text(encoding="utf-8")
_CHECKING = ("controller/core/card.py", "controller/forecaster.py")


def test_the_settings_are_fresh() -> None:
    assert settings_page.FILE.read_text(encoding="utf-8") == settings_page.page(), "stale; run `make manifests`"


def test_the_values_are_fresh() -> None:
    values = chart_page.VALUES.read_text(encoding="utf-8")
    assert chart_page.FILE.read_text(encoding="utf-8") == chart_page.page(values), "stale; run `make manifests`"


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_a_setting_has_its_row(name: str) -> None:
    assert f"| `{PREFIX}{name.upper()}` |" in settings_page.FILE.read_text(encoding="utf-8")


def test_a_value_without_a_comment_is_refused() -> None:
    with pytest.raises(ValueError, match=r"says nothing above one\.two; write a comment there"):
        chart_page.page("one:\n  two: 1\n  # Said.\n  three: 2\n")


def test_a_page_of_values() -> None:
    text = "# Names of things,\n# or of < others | more.\nname: ''\npart:\n  # What it is.\n  inner:\n"
    text += "    # How many.\n    many: 3\n"
    rows = [line for line in chart_page.page(text).splitlines() if line.startswith("| `")]
    assert rows == [
        "| `name` | `''` | Names of things, or of &lt; others \\| more. |",
        "| `part.inner` |  | What it is. |",
        "| `part.inner.many` | `3` | How many. |",
    ]


def test_every_value_of_the_chart_is_told_once() -> None:
    rows = re.findall(r"^\| `([^`]+)`", chart_page.FILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == len(set(rows))
    top = {row.partition(".")[0] for row in rows}
    assert top == set(yaml.safe_load(chart_page.VALUES.read_text(encoding="utf-8")))


def _checks() -> set[str]:
    """The first word of every ModelError and CardError that checking a file can raise."""
    return {
        str(call.args[0].value)
        for name in _CHECKING
        for call in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in {"ModelError", "CardError"}
        and isinstance(call.args[0], ast.Constant)
    } | {"inputs"}  # handed to the function that raises it, as "outputs" is


def test_every_check_of_a_model_is_told() -> None:
    told = set(re.findall(r"`([a-z0-9-]+)`", CONTRACT))
    assert len(_checks()) > 15
    assert _checks() <= told


@pytest.mark.parametrize("name", [field.name for field in fields(Card)])
def test_every_field_of_the_card_is_told(name: str) -> None:
    assert f"`{name}`" in CONTRACT


def test_the_limit_of_a_file_is_told() -> None:
    assert f"at most {MAX_BYTES // 2**20} MiB" in CONTRACT
