"""Does every kind of input become the same Series, with missing left missing?"""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.servers.loopback import serve
from tests.servers.prometheus import FakePrometheus
from training import datasets
from training.datasets import DataError, Dataset, Request
from training.generated import generate

_MINUTE = timedelta(minutes=1)
_NOW = datetime(2024, 2, 1, tzinfo=UTC)


def _read(path: Path | str, **changes: Any) -> Dataset:
    request = Request(data=str(path), step=5 * _MINUTE, season=timedelta(days=1), now=_NOW)
    return datasets.load(replace(request, **changes))


def _file(folder: Path, *rows: str, heading: str = "timestamp,requests") -> Path:
    path = folder / "load.csv"
    path.write_text("\n".join([heading, *rows]) + "\n")
    return path


def _minutes(*counts: str, hour: int = 12, offset: str = "Z") -> list[str]:
    return [f"2024-01-31T{hour}:{minute:02d}:00{offset},{count}" for minute, count in enumerate(counts)]


def test_counts_are_summed(tmp_path: Path) -> None:
    found = _read(_file(tmp_path, *_minutes(*"1234512222"))).series

    np.testing.assert_array_equal(found.values, [15, 9])
    assert found.end == datetime(2024, 1, 31, 12, 10, tzinfo=UTC)


def test_loads_are_averaged(tmp_path: Path) -> None:
    found = _read(_file(tmp_path, *_minutes(*"1234512222"), heading="timestamp,load"))

    np.testing.assert_array_equal(found.series.values, [3, 1.8])
    assert "averaged" in found.about


@pytest.mark.parametrize(("how", "first"), [("sum", 15), ("mean", 3)])
def test_the_user_may_say_how_values_make_a_step(tmp_path: Path, how: str, first: float) -> None:
    assert _read(_file(tmp_path, *_minutes(*"1234512222")), aggregate=how).series.values[0] == first


@pytest.mark.parametrize("missing", ["", "NaN", "inf"])
def test_a_step_with_a_missing_part_is_missing(tmp_path: Path, missing: str) -> None:
    found = _read(_file(tmp_path, *_minutes(*"12345", "1", missing, "1", "1", "1", *"54322"))).series

    np.testing.assert_array_equal(found.values, [15, np.nan, 16])


def test_rows_that_are_absent_are_missing(tmp_path: Path) -> None:
    rows = _minutes(*"123451111154322")

    np.testing.assert_array_equal(_read(_file(tmp_path, *rows[:7], *rows[8:])).series.values, [15, np.nan, 16])


def test_incomplete_ends_are_cut_off(tmp_path: Path) -> None:
    found = _read(_file(tmp_path, *_minutes(*"1234512222333")[2:])).series

    np.testing.assert_array_equal(found.values, [9])


def test_rows_in_any_order_and_twice_count_once(tmp_path: Path) -> None:
    rows = _minutes(*"1234512222")

    np.testing.assert_array_equal(_read(_file(tmp_path, *reversed(rows), *rows)).series.values, [15, 9])


def test_compressed_files_are_read(tmp_path: Path) -> None:
    plain = _file(tmp_path, *_minutes(*"1234512222"))
    packed = tmp_path / "load.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))

    np.testing.assert_array_equal(_read(packed).series.values, [15, 9])


def test_a_file_without_timestamps_needs_its_start(tmp_path: Path) -> None:
    path = _file(tmp_path, *"1234512222", heading="requests")
    start = datetime(2024, 1, 31, 12, tzinfo=UTC)

    np.testing.assert_array_equal(_read(path, start=start, every=_MINUTE).series.values, [15, 9])


def test_the_wall_clock_is_that_of_the_timestamps(tmp_path: Path) -> None:
    found = _read(_file(tmp_path, *_minutes(*"1234512222", offset="-04:00")))

    assert found.zone.utcoffset(None) == timedelta(hours=-4)
    assert found.series.end == datetime(2024, 1, 31, 16, 10, tzinfo=UTC)


def test_a_span_may_be_chosen(tmp_path: Path) -> None:
    path = _file(tmp_path, *_minutes(*"111112222233333"))
    since, until = (datetime(2024, 1, 31, 12, minute, tzinfo=UTC) for minute in (5, 10))

    np.testing.assert_array_equal(_read(path, since=since, until=until).series.values, [10])


def test_local_times_that_come_twice_are_refused(tmp_path: Path) -> None:
    """02:30 on the last Sunday of October is two moments in Berlin."""
    path = _file(tmp_path, "2024-10-27T02:30:00,1", "2024-10-27T02:31:00,1")

    with pytest.raises(DataError, match="row 1 has no definite time"):
        _read(path, zone=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("timestamp,requests\n", "a heading but no rows"),
        ("timestamp,clicks\n2024-01-31T12:00:00Z,1\n", "--column; the file has timestamp, clicks"),
        ("timestamp,requests\n2024-01-31T12:00:00Z,many\n", "not a number"),
        ("timestamp,requests\n2024-01-31T12:00:00Z,-1\n", "row 1 holds a load below zero, -1"),
        ("timestamp,requests\n2024-01-31T12:00:00,1\n", "no zone; say which with --time-zone"),
        ("timestamp,requests\nyesterday,1\n", r"row 1 has no definite time \('yesterday'\)"),
        (
            "timestamp,requests\n2024-01-31T12:00:00Z,1\n2024-01-31T12:01:00,1\n",
            "'2024-01-31T12:01:00' has no zone",
        ),
        ("requests\n1\n", "--start and --every"),
        ("timestamp,requests\n2024-01-31T12:00:00Z,\n2024-01-31T12:05:00Z,\n", "no step holds a whole value"),
        ("timestamp,requests\n2024-01-31T12:00:00Z,1\n2024-01-31T12:07:00Z,1\n", "--step must be a multiple"),
        ("timestamp,requests\n" + "\n".join(_minutes(*"1111111111")), "a constant series"),
        ("timestamp,requests\n2024-01-31T12:00:00Z,1,2\n", "cannot be read as CSV"),
    ],
)
def test_bad_files_are_refused_in_words(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)

    with pytest.raises(DataError, match=message):
        _read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv cannot be read"):
        _read(tmp_path / "absent.csv")


def test_an_unknown_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'hits'; the file has timestamp, requests"):
        _read(_file(tmp_path, *_minutes("1")), column="hits")


@pytest.mark.parametrize("data", ["prometheus://127.0.0.1:9090", "prometheus:///?query=up"])
def test_prometheus_needs_an_address_and_a_query(data: str) -> None:
    with pytest.raises(DataError, match="write prometheus://HOST:PORT"):
        _read(data)


@pytest.mark.parametrize("where", ["?query=load", ""])
async def test_prometheus_is_read_page_by_page(where: str) -> None:
    """More points than one query may ask for; every hundredth is absent."""
    server = FakePrometheus(series={"load": [lambda time: None if time % 500 == 0 else time % 7 + 1]})
    until = datetime(2024, 1, 31, tzinfo=UTC)
    since = until - 12_000 * timedelta(seconds=5)
    async with serve(server.handle) as address:
        url = address.replace("http://", "prometheus://")
        changes = {"step": timedelta(seconds=5), "since": since, "until": until, "query": None if where else "load"}
        found = (await asyncio.to_thread(_read, url + where, **changes)).series

    assert len(server.asked) > 1
    assert (found.end, len(found)) == (until, 12_000)
    assert np.isnan(found.values).sum() == 12_000 // 100


def test_an_unreachable_prometheus_is_one_clear_error() -> None:
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:1: .*cannot be reached"):
        _read("prometheus://127.0.0.1:1", query="up", since=_NOW - timedelta(hours=1))


def test_a_generated_trace_says_that_it_is_none() -> None:
    found = _read("generated:7")

    assert "not a measurement" in found.about
    np.testing.assert_array_equal(found.series.values, _read("generated:7").series.values)


def test_seeds_differ() -> None:
    first, second = (generate(seed, step=_MINUTE * 60, season=timedelta(days=1), seasons=2) for seed in (1, 2))

    assert not np.array_equal(first.values, second.values)


def test_a_seed_is_a_number() -> None:
    with pytest.raises(DataError, match="whole number as the seed"):
        _read("generated:today")
