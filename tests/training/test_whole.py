"""Is a file there whole or not at all, whatever happens while it is written?"""

from __future__ import annotations

from pathlib import Path

import pytest

from training import whole


def test_what_was_there_stays_until_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_text("old")

    with whole.replacing(path) as beside:
        beside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("trouble", [OSError, KeyboardInterrupt, ValueError])
def test_trouble_changes_nothing_and_leaves_nothing(tmp_path: Path, trouble: type[BaseException]) -> None:
    path = tmp_path / "m"
    whole.write(path, b"old")

    with pytest.raises(trouble):
        _interrupted(path, trouble)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _interrupted(path: Path, trouble: type[BaseException]) -> None:
    with whole.replacing(path) as beside:
        beside.write_bytes(b"ha")
        raise trouble
