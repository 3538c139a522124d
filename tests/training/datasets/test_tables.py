"""Are tables of every kind read in parts, with the row named where something is wrong?"""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
import zstandard

from training import datasets
from training.datasets import DataError, Dataset, Request, tables

_MINUTE = timedelta(minutes=1)
_NOW = datetime(2024, 2, 1, tzinfo=UTC)
_START = datetime(2024, 1, 1, tzinfo=UTC)


def _load(path: Path, **changes: Any) -> Dataset:
    request = Request(data=str(path), step=5 * _MINUTE, season=timedelta(days=1), now=_NOW)
    return datasets.load(replace(request, **changes))


def _csv(folder: Path, times: list[str], heading: str = "timestamp,requests") -> Path:
    path = folder / "load.csv"
    path.write_text("\n".join([heading, *(f"{time},{place}" for place, time in enumerate(times))]) + "\n")
    return path


def _minutes(count: int, form: Callable[[datetime], str] = datetime.isoformat) -> list[str]:
    return [form(_START + minute * _MINUTE) for minute in range(count)]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, zstandard.compress])
def test_packed_tables_are_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    plain = _csv(tmp_path, _minutes(100))
    (tmp_path / "packed").write_bytes(pack(plain.read_bytes()))
    whole = _load(plain)
    monkeypatch.setattr(tables, "_BLOCK", 200)

    found = _load(tmp_path / "packed")
    np.testing.assert_array_equal(found.series.values, np.arange(100).reshape(-1, 5).sum(1))
    assert (found.quality, found.about) == (whole.quality, whole.about)


@pytest.mark.parametrize(
    "form",
    [
        lambda time: f"{time.timestamp():.0f}",
        lambda time: f"{time.timestamp() * 1000:.0f}",
        lambda time: f"{time:%Y-%m-%d %H:%M:%S}+00:00",
        lambda time: f"{time:%Y-%m-%dT%H:%M:%S}.500Z",
        lambda time: time.astimezone(ZoneInfo("Asia/Kolkata")).isoformat(),
    ],
)
def test_times_are_written_in_many_ways(tmp_path: Path, form: Callable[[datetime], str]) -> None:
    found = _load(_csv(tmp_path, _minutes(10, form))).series

    np.testing.assert_array_equal(found.values, [10, 35])
    assert found.start == _START


@pytest.mark.parametrize(
    ("heading", "separator"),
    [
        ("\ufefftimestamp;load", ";"),
        ('"timestamp"\t"load"', "\t"),
        ("timestamp, load, a third column that no row has", ","),
    ],
)
def test_other_separators_and_marks_are_understood(tmp_path: Path, heading: str, separator: str) -> None:
    path = tmp_path / "load.csv"
    path.write_text(
        "\r\n".join(["", heading, *(f"{time}{separator} 3.{minute}" for minute, time in enumerate(_minutes(10)))])
    )

    assert _load(path).series.values == pytest.approx([3.2, 3.7])


def test_a_clock_that_is_put_back_is_no_duplicate(tmp_path: Path) -> None:
    """An hour of Berlin comes twice; with offsets it is two hours."""
    zone, before = ZoneInfo("Europe/Berlin"), datetime(2023, 10, 29, 0, 0, tzinfo=UTC)
    found = _load(_csv(tmp_path, [(before + minute * _MINUTE).astimezone(zone).isoformat() for minute in range(120)]))

    assert (len(found.series), found.quality.gaps, found.quality.duplicates) == (24, 0, 0)


def test_oddities_are_reported(tmp_path: Path) -> None:
    times = _minutes(40)
    found = _load(_csv(tmp_path, [*times[:10], times[3], *times[20:]]))

    assert (found.quality.rows, found.quality.duplicates, found.quality.gaps, found.quality.steps) == (31, 1, 2, 8)
    assert found.quality.irregular == pytest.approx(1 / 29)
    assert found.quality.outages == ((_START + 10 * _MINUTE, _START + 20 * _MINUTE),)
    assert len(found.quality.words()) == 4


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["2024-03-01T00:00:00Z,1"], "row 1 lies in the future, 2024-03-01T00:00:00Z"),
        (["2024-01-01T00:00:00Z,1", ",1"], "row 2 has no definite time"),
        (["2024-01-01T00:00:00Z,1", "2024-01-01T00:00:01Z,x"], "'requests' holds 'x' in row 2"),
        (["2024-01-01T00:00:00.1Z,1", "2024-01-01T00:00:00.2Z,1"], "several values within a second"),
        (["2024-01-01T00:00:00+01:00,1", "2024-01-01T00:01:00,1"], "from row 2 on the timestamps differ"),
        (["2024-01-01T00:00:00Z,"] * 3, "no step holds a whole value"),
        (["2024-01-01T00:00:00Z,1", "2024-01-01T00:00:01Z,1e300"], "row 2 holds a load that no model can, 1e\\+300"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, rows: list[str], message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("\n".join(["timestamp,requests", *rows]))  # the last line has no end, and comes as its own part

    with pytest.raises(DataError, match=message):
        _load(path)


def test_one_sample_is_one_step_and_no_longer_one(tmp_path: Path) -> None:
    path = _csv(tmp_path, _minutes(1))
    request = Request(data=str(path), step=5 * _MINUTE, season=timedelta(days=1), now=_NOW)
    reading = datasets.read(request, request.step)

    assert len(datasets.finished(reading.dataset(request.step), request).series) == 1
    with pytest.raises(DataError, match="the data is shorter than 1:00:00"):
        datasets.finished(reading.dataset(60 * _MINUTE), request)


@pytest.mark.parametrize("text", ["timestamp,load\n".encode("utf-16"), b"\x1b[2J\x07timestamp,load\n"])
def test_what_begins_with_no_text_is_not_shown(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "load.csv"
    path.write_bytes(text)

    with pytest.raises(DataError, match=r"^\S*load.csv does not begin with a line of text; save it as CSV in UTF-8$"):
        _load(path)


def test_a_binary_file_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    path.write_bytes(bytes(17 << 20))

    with pytest.raises(DataError, match="no line end within 16 MiB"):
        _load(path)


@pytest.mark.parametrize("text", ["1\n2\n3\n4\n", "1,2,3,4", "1, 2,\n3, 4\n", "1;2;3;4\n"])
def test_plain_numbers_are_five_minutes_each(tmp_path: Path, text: str) -> None:
    path = tmp_path / "load.txt"
    path.write_text(text)

    found = _load(path)
    np.testing.assert_array_equal(found.series.values, [1, 2, 3, 4])
    assert any("it is taken to begin at" in words for words in found.quality.words())
    assert _load(path, start=_START, every=_MINUTE, step=2 * _MINUTE).series.start == _START


@pytest.mark.parametrize(
    "times",
    [
        pl.datetime_range(_START, _START + 9 * _MINUTE, _MINUTE, time_zone="UTC", eager=True),
        pl.datetime_range(_START, _START + 9 * _MINUTE, _MINUTE, time_zone="UTC", eager=True).dt.convert_time_zone(
            "Asia/Tokyo"
        ),
        pl.datetime_range(_START, _START + 9 * _MINUTE, _MINUTE, time_zone="UTC", eager=True).dt.epoch("ms"),
        pl.Series(_minutes(10)),
    ],
)
def test_parquet_of_many_types(tmp_path: Path, times: pl.Series) -> None:
    path = tmp_path / "load"
    pl.DataFrame({"timestamp": times, "requests": range(10)}).write_parquet(path)

    found = _load(path).series
    np.testing.assert_array_equal(found.values, [10, 35])
    assert found.start == _START


def test_broken_parquet_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "load.parquet"
    path.write_bytes(b"PAR1 and then nothing")

    with pytest.raises(DataError, match="cannot be read as Parquet"):
        _load(path)
