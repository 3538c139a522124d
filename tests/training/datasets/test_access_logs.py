"""Does a log become the traffic that wrote it, with outages missing and quiet hours zero?"""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import zstandard
from numpy.typing import NDArray

from tests.bench.logs import counts, write_log
from training import datasets
from training.datasets import DataError, Dataset, Request
from training.datasets.public import NASA, Places

_MINUTE = timedelta(minutes=1)
_HOUR = 60 * _MINUTE
_START = datetime(2024, 1, 1, tzinfo=UTC)
_NOW = datetime(2024, 3, 1, tzinfo=UTC)
_NASA = Places().shared / NASA.name / "requests-1s.csv.gz"


def _request(path: Path, **changes: Any) -> Request:
    return replace(Request(data=str(path), step=_MINUTE, season=timedelta(days=1), now=_NOW), **changes)


def _load(path: Path, **changes: Any) -> Dataset:
    return datasets.load(_request(path, **changes))


def _common(time: datetime, rest: str = '"GET / HTTP/1.1" 200 10') -> str:
    return f"host - - [{time:%d/%b/%Y:%H:%M:%S %z}] {rest}"


def _log(folder: Path, times: NDArray[np.int64], *more: str) -> Path:
    """Lines at these seconds after `_START`."""
    path = folder / "access.log"
    lines = [_common(_START + timedelta(seconds=int(time))) for time in times]
    path.write_text("\n".join([*lines, *more]) + "\n")
    return path


def _visits(
    hours: int, a_minute: Callable[[NDArray[np.float64]], NDArray[np.float64]], seed: int = 1
) -> NDArray[np.int64]:
    """Seconds of chance visits; `a_minute`: how many at an hour of the day."""
    minutes = np.arange(hours * 60)
    counts = np.random.default_rng(seed).poisson(a_minute(minutes / 60 % 24))
    return np.sort(np.repeat(minutes, counts) * 60 + np.random.default_rng(seed).integers(0, 60, counts.sum()))


def _steady(hour: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.full(len(hour), 6.0)


def test_lines_become_counts_and_a_quiet_minute_is_zero(tmp_path: Path) -> None:
    found = _load(_log(tmp_path, np.array([0, 5, 59, 60, 185, 190, 239])))

    np.testing.assert_array_equal(found.series.values, [3, 1, 0, 3])
    assert (found.series.start, found.zone.utcoffset(None)) == (_START, timedelta(0))


def test_the_order_of_the_lines_does_not_matter(tmp_path: Path) -> None:
    """Lines are written when a request ends, and logs of several servers stand one after the other."""
    times = _visits(6, _steady)
    found = _load(_log(tmp_path, times))
    shuffled = _load(_log(tmp_path, np.random.default_rng(1).permutation(times)))

    np.testing.assert_array_equal(shuffled.series.values, found.series.values)
    assert (shuffled.series.end, shuffled.quality) == (found.series.end, found.quality)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [("requests", [3, 1]), ("bytes", [17, 5]), ("2xx", [1, 1]), ("4xx", [2, 0]), ("5xx", [0, 0])],
)
def test_the_measure_is_chosen(tmp_path: Path, measure: str, expected: list[float]) -> None:
    path = tmp_path / "access.log"
    rest = ['"GET /" 200 17', '"GET /" 404 -', '"GET /" 404 0', '"GET /" 200 5']
    times = [_START, _START + timedelta(seconds=20), _START + timedelta(seconds=40), _START + timedelta(seconds=119)]
    path.write_text("\n".join(map(_common, times, rest)))

    found = datasets.read(_request(path, column=measure), _MINUTE).dataset(_MINUTE)
    np.testing.assert_array_equal(found.series.values[:2], expected)


def test_an_outage_is_missing_and_told_to_the_second(tmp_path: Path) -> None:
    times = _visits(72, _steady)
    before, after = times[times < 100_000], times[times >= 110_000]
    found = _load(_log(tmp_path, np.concatenate([before, after])), step=5 * _MINUTE)

    ((since, until),) = found.quality.outages
    assert since == _START + timedelta(seconds=int(before[-1]) + 1)
    assert until == _START + timedelta(seconds=int(after[0]))
    missing = np.flatnonzero(np.isnan(found.series.values))
    np.testing.assert_array_equal(missing, np.arange(before[-1] // 300, after[0] // 300 + 1))


def test_nights_without_visitors_are_zeros(tmp_path: Path) -> None:
    found = _load(_log(tmp_path, _visits(96, lambda hour: np.where((hour > 8) & (hour < 20), 6.0, 0.0))), step=_HOUR)

    assert found.quality.outages == ()
    assert np.isfinite(found.series.values).all()
    assert (found.series.values == 0).sum() >= 3 * 10


@pytest.mark.slow
def test_visits_that_come_in_bursts_are_no_outages(tmp_path: Path) -> None:
    """A job calls 200 times every ten minutes or so."""
    jobs = np.arange(0, 48 * 3600, 600) + np.random.default_rng(1).integers(0, 60, 288)
    found = _load(_log(tmp_path, np.sort(np.repeat(jobs, 200 + np.arange(288) % 7))), step=_HOUR)

    assert found.quality.outages == ()


@pytest.mark.parametrize("seed", range(5))
def test_chance_makes_no_outage(tmp_path: Path, seed: int) -> None:
    times = _visits(48, lambda hour: 2 + 1.9 * np.sin(hour / 24 * 2 * np.pi), seed)

    assert _load(_log(tmp_path, times), step=5 * _MINUTE).quality.outages == ()


def test_steps_that_the_log_does_not_cover_are_missing(tmp_path: Path) -> None:
    """It begins 200 s after midnight and ends in the middle of an hour, with many lines a minute."""
    times = _visits(10, _steady)
    found = _load(_log(tmp_path, times[(times > 200) & (times < 9.5 * 3600)]), step=_HOUR).series

    assert (found.start, found.end) == (_START + _HOUR, _START + 9 * _HOUR)


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data[:500]) + gzip.compress(data[500:])


@pytest.mark.parametrize("pack", [_gzip, bz2.compress, zstandard.compress, bytes])
def test_packed_logs_are_told_by_their_bytes(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    plain = _log(tmp_path, _visits(3, _steady))
    packed = tmp_path / "log"
    packed.write_bytes(pack(plain.read_bytes()))

    np.testing.assert_array_equal(_load(packed).series.values, _load(plain).series.values)


def test_a_truncated_archive_is_one_clear_error(tmp_path: Path) -> None:
    packed = tmp_path / "log.gz"
    packed.write_bytes(gzip.compress(_log(tmp_path, _visits(3, _steady)).read_bytes())[:-200])

    with pytest.raises(DataError, match=r"log\.gz cannot be read"):
        _load(packed)


def test_malformed_lines_are_shown_up_to_a_share(tmp_path: Path) -> None:
    path = _log(tmp_path, _visits(1, _steady), *["nonsense"] * 30, "alyssa.p")

    quality = _load(path, max_bad=0.5).quality
    assert (quality.malformed, quality.samples[0]) == (31, "nonsense")
    assert any("31 of" in words and "'nonsense'" in words for words in quality.words())
    with pytest.raises(DataError, match=r"31 of .* cannot be understood, such as 'nonsense'; .*--max-bad"):
        _load(path, max_bad=0.01)


def test_lines_of_the_future_are_malformed(tmp_path: Path) -> None:
    path = _log(tmp_path, _visits(2, _steady), _common(_NOW + timedelta(days=700)))

    found = _load(path)
    assert found.quality.malformed == 1
    assert "future, 2026-01-30" in found.quality.samples[0]
    assert found.series.end <= _START + 2 * _HOUR


def test_an_unknown_measure_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'hits'; it has requests, bytes"):
        _load(_log(tmp_path, np.array([0])), column="hits")


def test_several_offsets_are_told(tmp_path: Path) -> None:
    """A server in Berlin writes +0100, then +0200."""
    path, zone = tmp_path / "access.log", ZoneInfo("Europe/Berlin")
    times = [datetime(2023, 3, 26, 1, minute, tzinfo=zone) for minute in range(60)]
    times += [datetime(2023, 3, 26, 3, minute, tzinfo=zone) for minute in range(60)]
    path.write_text("\n".join([*map(_common, times), _common(times[-1])]))

    found = _load(path)
    assert (len(found.series), found.quality.gaps) == (120, 0)
    assert any("UTC+01:00, UTC+02:00" in words for words in found.quality.words())
    assert _load(path, zone=zone).quality.words() == ()


_JSON = [
    lambda time: {"time": time.isoformat(), "status": 200, "bytes": 7},
    lambda time: {"@timestamp": f"{time:%Y-%m-%dT%H:%M:%S}.123Z", "status": "200", "body_bytes_sent": "7"},
    lambda time: {"ts": time.timestamp() + 0.25, "request": {"status": 1}, "status": 200, "size": 7},
    lambda time: {"timestamp": round(time.timestamp() * 1000), "response_code": 200, "bytes_sent": 7},
    lambda time: {"start_time": time.astimezone(timezone(_HOUR)).isoformat(), "response_code": 200, "bytes_sent": 7},
    lambda time: {"requestTime": f"{time:%d/%b/%Y:%H:%M:%S %z}", "status": "200", "responseLength": "7"},
]


@pytest.mark.parametrize("record", _JSON)
@pytest.mark.parametrize("measure", ["requests", "bytes", "2xx"])
def test_json_lines_of_many_proxies(tmp_path: Path, record: Callable[[datetime], Any], measure: str) -> None:
    path = tmp_path / "log.json"
    times = _visits(2, _steady)
    lines = [json.dumps(record(_START + timedelta(seconds=int(time)))) for time in times]
    path.write_text("\n".join([*lines, "{broken", '"text"', ""]))

    found = _load(path, column=measure)
    reference = _load(_log(tmp_path, times), column="requests").series.values
    np.testing.assert_array_equal(found.series.values, reference * (7 if measure == "bytes" else 1))
    assert (found.quality.malformed, found.quality.samples) == (2, ("{broken", '"text"'))


def test_json_times_without_a_zone_need_one(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text('{"time": "2024-01-01T00:00:00", "status": 200}\n' * 3)

    with pytest.raises(DataError, match="--time-zone"):
        _load(path)


@pytest.mark.slow
@pytest.mark.skipif(not _NASA.is_file(), reason="the shared traces are not beside this checkout")
def test_both_outages_of_nasa_are_found(tmp_path: Path) -> None:
    """In every fifth request, of the days around them: the whole log is read by `tests.bench.logs`."""
    first = (datetime.fromisoformat("1995-07-27T00:00:00-04:00") - NASA.start) // timedelta(seconds=1)
    span = slice(first, first + 9 * 86_400)
    thinned = np.zeros(NASA.seconds, np.int64)
    thinned[span] = (counts()[span] > 0) & (np.arange(9 * 86_400) % 5 == 0)
    write_log(tmp_path / "log", thinned)

    longest = sorted(_load(tmp_path / "log").quality.outages, key=lambda outage: outage[0] - outage[1])[:2]
    known = ["1995-07-28T13:32:25", "1995-08-01T00:00:00", "1995-08-01T14:52:01", "1995-08-03T04:36:12"]
    for found, expected in zip((time for outage in longest for time in outage), known, strict=True):
        assert abs(found - datetime.fromisoformat(f"{expected}-04:00")) < timedelta(seconds=60)
