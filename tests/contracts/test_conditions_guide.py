"""Does the guide tell of every reason that a condition can have?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controller.conditions import ConditionType, Reason
from controller.coordination import CoordinationReason
from controller.ports import LeadTimeReason, MetricReason, TargetReason

_GUIDE = Path(__file__).parents[2] / "docs" / "guide"
_NAMED = frozenset(re.findall(r"`([A-Z][A-Za-z]+)`", (_GUIDE / "conditions.md").read_text(encoding="utf-8")))
_GRADES = frozenset(re.findall(r"`([A-Z][A-Za-z]+)`", (_GUIDE / "grade.md").read_text(encoding="utf-8")))
_REASONS = (*Reason, *MetricReason, *TargetReason, *LeadTimeReason, *CoordinationReason)


@pytest.mark.parametrize("reason", _REASONS)
def test_reason_is_told(reason: str) -> None:
    assert str(reason) in (_GRADES if reason in {Reason.NOT_YET_KNOWN, Reason.NOT_GRADED} else _NAMED)


@pytest.mark.parametrize("kind", ConditionType)
def test_condition_has_its_part(kind: ConditionType) -> None:
    assert f"## {kind}\n" in (_GUIDE / "conditions.md").read_text(encoding="utf-8")


def test_every_page_is_in_the_index() -> None:
    index = (_GUIDE / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in _GUIDE.glob("*.md")} - {"README.md"}
    assert set(re.findall(r"\(([a-z-]+\.md)\)", index)) == pages
