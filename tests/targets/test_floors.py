"""Is the floor of an autoscaler's user known again, whatever happened to the object meanwhile?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.targets.floors import ANNOTATION, Floor, lowest, own

KEPT = Floor(scaler="web", uid="u1", own=2, set=5)


def autoscaler(least: int | None, text: str | None) -> dict[str, Any]:
    annotations = None if text is None else {ANNOTATION: text}
    spec = {"maxReplicas": 10} if least is None else {"maxReplicas": 10, "minReplicas": least}
    return {"metadata": {"name": "web", "annotations": annotations}, "spec": spec}


@pytest.mark.parametrize(
    ("least", "text", "expected"),
    [
        pytest.param(3, None, 3, id="never raised"),
        pytest.param(None, None, 1, id="left out"),
        pytest.param(5, KEPT.text(), 2, id="raised"),
        pytest.param(8, KEPT.text(), 8, id="then raised further by somebody"),
        pytest.param(2, KEPT.text(), 2, id="then set back by somebody"),
        pytest.param(1, KEPT.text(), 1, id="then lowered by somebody"),
        pytest.param(5, "{", 5, id="what is kept is no JSON"),
        pytest.param(5, '{"own": 2, "set": 5}', 5, id="what is kept is not whole"),
        pytest.param(5, '{"scaler": "web", "uid": "u1", "own": -1, "set": 5}', 5, id="a floor that cannot be"),
        pytest.param(5, '{"scaler": "web", "uid": "u1", "own": true, "set": 5}', 5, id="no number"),
        pytest.param(5, "[]", 5, id="another thing altogether"),
        pytest.param(5, "[" * 100_000, 5, id="deeper than can be read"),
        pytest.param(5, '{"scaler": "web", "uid": "u1", "own": ' + "9" * 5000 + ', "set": 5}', 5, id="endless"),
        pytest.param(5, Floor(scaler="web", uid="u1", own=6, set=5).text(), 5, id="never lowered by us"),
        pytest.param(5, Floor(scaler="../x?", uid="u1", own=2, set=5).text(), 2, id="of nobody's name"),
    ],
)
def test_own(least: int | None, text: str | None, expected: int) -> None:
    assert own(autoscaler(least, text)) == expected


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_who_writes_another_floor_wins(kept: int, more: int, now: int) -> None:
    written = kept + more
    found = autoscaler(now, Floor(scaler="web", uid="u1", own=kept, set=written).text())
    assert own(found) == (kept if now == written else now)
    assert lowest(found) == now


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,60}[a-z0-9])?", fullmatch=True) | st.just("")


@given(NAMES, st.text(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_what_is_kept_is_read_as_it_was_written(scaler: str, uid: str, kept: int, more: int) -> None:
    written = kept + more
    floor = Floor(scaler=scaler, uid=uid, own=kept, set=written)
    assert Floor.of(autoscaler(written, floor.text())) == floor


@pytest.mark.parametrize("name", ["../x", "?limit=1", "a/b", "a" * 254, "Web", "-a", "a#", "%2e"])
def test_what_is_no_name_becomes_no_part_of_a_path(name: str) -> None:
    floor = Floor.of(autoscaler(5, Floor(scaler=name, uid="u1", own=2, set=5).text()))
    assert floor == Floor(scaler="", uid="u1", own=2, set=5)


@given(st.text())
def test_nothing_that_stands_there_is_an_error(text: str) -> None:
    assert own(autoscaler(4, text)) == 4
