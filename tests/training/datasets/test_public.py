"""Are public traces had by name, and a download kept only when it is what it should be?"""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.bench.logs import write_log
from training.datasets import DataError, Request, public
from training.datasets.public import Archive, Places

_SECOND = timedelta(seconds=1)
_HALF = 6 * 3600


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An address on loopback and the folder that it serves."""
    folder = tmp_path / "origin"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", folder
        server.shutdown()


def _archive(folder: Path) -> tuple[Archive, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Half a day in two logs, with two hours between them in which nothing was written."""
    counts = np.random.default_rng(1).poisson(0.5, 2 * _HALF)
    counts[_HALF - 3600 : _HALF + 3600] = 0
    for name, span in (("a.gz", slice(0, _HALF)), ("b.gz", slice(_HALF, 2 * _HALF))):
        part = np.zeros_like(counts)
        part[span] = counts[span]
        write_log(folder / "log", part)
        (folder / name).write_bytes(gzip.compress((folder / "log").read_bytes()))
    total = int(counts.sum())
    known = Archive(
        name="small",
        logs=("a.gz", "b.gz"),
        start=public.NASA.start,
        seconds=2 * _HALF,
        digest=hashlib.sha256(counts.astype("<u4").tobytes()).hexdigest(),
        fewest=total,
        most=total,
    )
    return known, counts


def test_a_trace_is_downloaded_checked_and_kept(tmp_path: Path, origin: tuple[str, Path]) -> None:
    address, folder = origin
    archive, counts = _archive(folder)
    places = Places(shared=tmp_path / "absent", cache=tmp_path / "cache", origins=("http://127.0.0.1:1/", address))

    path = public.obtained(archive, places)
    with gzip.open(path, "rt") as file:
        heading, *rows = file.read().splitlines()
    assert heading == "requests"
    assert [int(row or 0) for row in rows] == counts.tolist()
    empty = np.array([not row for row in rows])
    assert 7190 < empty.sum() < 7210
    assert empty[_HALF - 3500 : _HALF + 3500].all()
    assert public.obtained(archive, replace(places, origins=())) == path
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_another_count_is_refused_and_nothing_is_kept(tmp_path: Path, origin: tuple[str, Path]) -> None:
    address, folder = origin
    archive, _ = _archive(folder)
    wrong = replace(archive, digest="0", fewest=archive.most + 1, most=archive.most + 9)
    places = Places(shared=tmp_path / "absent", cache=tmp_path / "cache", origins=(address,))

    with pytest.raises(DataError, match="nothing was kept"):
        public.obtained(wrong, places)
    assert [*(tmp_path / "cache" / "small").iterdir()] == []


def test_without_an_origin_the_error_names_all(tmp_path: Path) -> None:
    places = Places(shared=tmp_path, cache=tmp_path / "cache", origins=("http://127.0.0.1:1/", "http://127.0.0.1:2/"))

    with pytest.raises(DataError, match=r"cannot be downloaded; http://127\.0\.0\.1:1/NASA.*127\.0\.0\.1:2/NASA"):
        public.obtained(public.NASA, places)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("public:mars", "no public trace 'mars'"),
        ("public:twitter", "is not there"),
        ("public:cloudwatch/x", "is not there"),
    ],
)
def test_unknown_and_absent_traces_are_named(tmp_path: Path, name: str, message: str) -> None:
    request = Request(data=name, step=_SECOND, season=timedelta(days=1), now=datetime(2026, 1, 1, tzinfo=UTC))

    with pytest.raises(DataError, match=message):
        public.read(request, _SECOND, Places(shared=tmp_path, cache=tmp_path))


def test_a_file_goes_before_a_trace_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert public.is_public("nasa")
    Path("nasa").write_text("1\n2\n")
    assert not public.is_public("nasa")


@pytest.mark.skipif(not (Places().shared / "nasa").is_dir(), reason="the shared traces are not beside this checkout")
def test_nasa_is_what_is_known_of_it() -> None:
    counts = pl.read_csv(public.obtained(public.NASA, Places()))["requests"].fill_null(0).to_numpy()

    assert len(counts) == public.NASA.seconds
    assert hashlib.sha256(counts.astype("<u4").tobytes()).hexdigest() == public.NASA.digest
