"""Does one command make a table of steps that every other command reads?"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.training.shell import invoke
from tests.training.test_command_line import _one_line
from training import datasets
from training.datasets import Request

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _csv(folder: Path) -> Path:
    path = folder / "load.csv"
    rows = [f"2024-01-01T{hour:02d}:{minute:02d}:00-05:00,{hour + minute}" for hour in range(6) for minute in range(60)]
    path.write_text("\n".join(["timestamp,hits", *rows[:70], *rows[80:]]))
    return path


def _ingest(monkeypatch: pytest.MonkeyPatch, path: Path, out: Path, *more: str) -> int:
    options = ["--column", "hits", "--aggregate", "sum", "--bucket", "1m,5m,15m,1h", *more]
    return invoke(monkeypatch, "ingest", "--data", str(path), "--out", str(out), *options)


@pytest.mark.parametrize("step", [1, 5, 10, 15, 60, 120])
def test_what_is_written_reads_as_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    path, out = _csv(tmp_path), tmp_path / "steps.parquet"
    assert _ingest(monkeypatch, path, out) == 0

    asked = Request(data=str(path), step=timedelta(minutes=step), season=timedelta(days=1), now=_NOW)
    source = datasets.load(replace(asked, column="hits", aggregate="sum"))
    found = datasets.load(replace(asked, data=str(out)))
    np.testing.assert_array_equal(found.series.values, source.series.values)
    assert (found.series.end, found.zone) == (source.series.end, source.zone)


def test_the_table_is_long_and_missing_is_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _ingest(monkeypatch, _csv(tmp_path), tmp_path / "steps.parquet") == 0

    table = pl.read_parquet(tmp_path / "steps.parquet")
    assert table.columns == ["timestamp", "bucket", "hits"]
    assert table.group_by("bucket").len().sort("bucket").rows() == [(60, 360), (300, 72), (900, 24), (3600, 6)]
    assert table.filter(pl.col("hits").is_null()).group_by("bucket").len().sort("bucket")["len"].to_list() == [
        10,
        2,
        2,
        1,
    ]


def test_the_summary_says_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ingest(monkeypatch, _csv(tmp_path), tmp_path / "steps.parquet") == 0

    shown = capsys.readouterr().out
    for words in (
        "350 values of hits",
        "summed in each step",
        "2024-01-01T06:10:00Z to 2024-01-01T06:20:00Z",
        "1:00:00",
    ):
        assert words in shown


@pytest.mark.parametrize(
    ("out", "more", "message"),
    [
        ("absent/x.parquet", [], "no directory"),
        ("x.csv", [], "must end in .parquet"),
        ("x.parquet", ["--column", "clicks"], "no column 'clicks'"),
        ("x.parquet", ["--bucket", "90s"], "--step must be a multiple"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    out: str,
    more: list[str],
    message: str,
) -> None:
    path = _csv(tmp_path)

    assert _ingest(monkeypatch, path, tmp_path / out, *more) == 2
    shown = capsys.readouterr().err
    assert _one_line(shown), shown
    assert message in shown
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_folder_that_may_not_be_written_is_told_before_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)

    assert _ingest(monkeypatch, tmp_path / "absent.csv", tmp_path / "x.parquet") == 2
    assert "nothing can be written in" in capsys.readouterr().err


def test_an_interrupted_write_leaves_the_old_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "steps.parquet"
    out.write_bytes(b"old")
    path = _csv(tmp_path)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pl.DataFrame, "write_parquet", interrupt)
    assert _ingest(monkeypatch, path, out) == 130
    assert out.read_bytes() == b"old"
    assert sorted(each.name for each in tmp_path.iterdir()) == [path.name, out.name]


def test_buckets_that_are_none_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ingest(monkeypatch, _csv(tmp_path), tmp_path / "x.parquet", "--bucket", "5m,often") == 2
    assert "'often' is not a duration" in capsys.readouterr().err
