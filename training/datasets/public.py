"""Which public traces can be had by name? From a folder beside the checkout, from the cache, or from their origin.

Nothing is taken as it comes: what is downloaded is parsed, counted and compared with what is known of it before it is
kept. Must not put traces into the project.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import tempfile
import urllib.request
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from controller.core.series import EPOCH
from training.datasets import files, tables
from training.datasets.buckets import SECOND
from training.datasets.reading import Reading
from training.datasets.request import DataError, Request

Counts = NDArray[np.int64]

_SCHEME = "public:"
_NAME = re.compile(r"[\w-]+")
_BY_SECOND = "requests-1s.csv.gz"
_TWITTER_START = datetime(2021, 8, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_LONGEST_SILENCE = 3600  # seconds; shorter ones stay zeros, as in the published series
_TIMEOUT = 60.0
_CHUNK = 1 << 20
_LARGEST = 100 << 20  # bytes; each archive holds about 20 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A trace of access logs, and what is known of it.

    `start`, `seconds`: its span. `digest`: SHA-256 of the requests of each second as little-endian uint32, 0 where
    there is no data. `fewest`, `most`: how many requests it holds; parsers of its rare broken lines differ by a few.
    """

    name: str
    logs: tuple[str, ...]
    start: datetime
    seconds: int
    digest: str
    fewest: int
    most: int


NASA = Archive(
    name="nasa",
    logs=("NASA_access_log_Jul95.gz", "NASA_access_log_Aug95.gz"),
    start=datetime.fromisoformat("1995-07-01T00:00:00-04:00"),
    seconds=62 * 86_400,
    digest="23fcae0034285da70818885b239b2539007a88a4656eadc76f6915404cea6de6",
    fewest=3_461_602,
    most=3_461_612,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where traces are looked for, in this order, and where NASA's logs come from (the Internet Traffic Archive)."""

    shared: Path = field(default_factory=lambda: Path(__file__).resolve().parents[3] / "shared" / "data")
    cache: Path = field(default_factory=lambda: Path.home() / ".cache" / "predictive-scaler" / "data")
    origins: tuple[str, ...] = ("https://ita.ee.lbl.gov/traces/", "ftp://ita.ee.lbl.gov/traces/")


def is_public(data: str) -> bool:
    """Whether `data` names a public trace; a file of that name goes first."""
    return data.startswith(_SCHEME) or (data == NASA.name and not Path(data).is_file())


def read(request: Request, step: timedelta, places: Places | None = None) -> Reading:
    """Read a trace by its name. Raises DataError."""
    places = places or Places()
    name = request.data.removeprefix(_SCHEME)
    family, _, series = name.partition("/")
    if name == NASA.name:
        return _by_second(request, step, obtained(NASA, places), NASA.start, "requests")
    if name == "twitter":
        return _by_second(request, step, _shared(places, "twitter/tweets-1s.csv.gz"), _TWITTER_START, "tweets")
    if family == "cloudwatch" and _NAME.fullmatch(series):
        path = _shared(places, f"cloudwatch/{series}.csv")
        return tables.read_csv(replace(request, data=str(path), zone=request.zone or UTC), step)
    raise DataError(f"there is no public trace {name!r}; there are nasa, twitter and cloudwatch/NAME")


def obtained(archive: Archive, places: Places) -> Path:
    """The requests of each second as a file, downloaded and put together at the first use. Raises DataError."""
    for folder in (places.shared, places.cache):
        path = folder / archive.name / _BY_SECOND
        if path.is_file():
            return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as folder_name:
            made = Path(folder_name) / _BY_SECOND
            _write(made, *_counted(archive, [_download(log, Path(folder_name), places) for log in archive.logs]))
            made.replace(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _by_second(request: Request, step: timedelta, path: Path, start: datetime, column: str) -> Reading:
    given = replace(
        request,
        data=str(path),
        column=column,
        aggregate=request.aggregate or "sum",
        zone=request.zone or start.tzinfo,
        start=start,
        every=SECOND,
    )
    return tables.read_csv(given, step)


def _shared(places: Places, name: str) -> Path:
    path = places.shared / name
    if not path.is_file():
        raise DataError(f"{path} is not there, and this trace cannot be downloaded; put it there or give its file")
    return path


def _download(name: str, folder: Path, places: Places) -> Path:
    """From the first origin that answers. Raises DataError."""
    path, failures = folder / name, []
    for origin in places.origins:
        try:
            with urllib.request.urlopen(origin + name, timeout=_TIMEOUT) as answer, path.open("wb") as file:  # noqa: S310  # of our own list
                _copy(answer, file)
        except (OSError, DataError) as error:
            failures.append(f"{origin}{name}: {error}")
        else:
            return path
    raise DataError(f"the trace cannot be downloaded; {'; '.join(failures)}")


def _copy(answer: IO[bytes], file: IO[bytes]) -> None:
    for _ in range(0, _LARGEST, _CHUNK):
        part = answer.read(_CHUNK)
        if not part:
            return
        file.write(part)
    raise DataError(f"more than {_LARGEST >> 20} MiB")


def _counted(archive: Archive, logs: list[Path]) -> tuple[Counts, NDArray[np.bool_]]:
    """The requests of each second, and which seconds the logs cover. Raises DataError where they are not as known."""
    counts, present = np.zeros(archive.seconds, np.int64), np.zeros(archive.seconds, bool)
    first = (archive.start - EPOCH) // SECOND
    until = archive.start + archive.seconds * SECOND
    for log in logs:
        tally = files.read(Request(data=str(log), step=SECOND, season=_DAY, now=until), SECOND).tally
        place = tally.begin - first
        if place < 0 or place + len(tally.present) > archive.seconds:
            raise DataError(f"{log.name} has lines outside of the trace's span; nothing was kept")
        counts[place : place + len(tally.present)] += tally.sums["requests"].astype(np.int64)
        present[place : place + len(tally.present)] |= tally.present > 0
    _verify(archive, counts)
    return counts, present


def _verify(archive: Archive, counts: Counts) -> None:
    if hashlib.sha256(counts.astype("<u4").tobytes()).hexdigest() == archive.digest:
        return
    total = int(counts.sum())
    if not archive.fewest <= total <= archive.most:
        known = f"{archive.fewest} to {archive.most}"
        raise DataError(
            f"the downloaded logs hold {total} requests, not the {known} of {archive.name}; nothing was kept"
        )


def _write(path: Path, counts: Counts, present: NDArray[np.bool_]) -> None:
    """As the published series: a heading, then a line a second, empty where there is no data."""
    edges = np.flatnonzero(np.diff(present, prepend=True, append=True)).reshape(-1, 2)
    words = counts.astype(str).astype(object)
    for begin, end in edges[np.diff(edges, axis=1)[:, 0] >= _LONGEST_SILENCE]:
        words[begin:end] = ""
    with gzip.open(path, "wt", encoding="ascii") as file:
        file.write("requests\n")
        file.writelines(f"{word}\n" for word in words)
