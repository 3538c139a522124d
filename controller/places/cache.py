"""What is kept of models from elsewhere? Files by their digest, and notes of which place had which, in one folder.

`<sha256>.onnx` is a file that was once whole and good; `<key>.json` says which file a place had, and with what mark it
can be asked for something newer. Both appear by a rename after their bytes are on the disk: whenever the controller is
killed, the folder holds what it held before or what it should hold now. A folder serves one controller.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import BinaryIO

from controller.ports import ModelError
from controller.settings import PREFIX
from controller.spec import ModelRef

UNUSED = timedelta(days=7)
"""So long a model is kept that no scaler names any more."""

SPARE = timedelta(minutes=10)
"""A file that no note names any more stays so long: a tick under way may still read it."""

FETCH_SECONDS = 120.0
"""So long may a file take: 64 MiB at 5 Mbit/s."""

_PART = ".part-"
_FOLDER_MODE = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Which file a place had. `validator`: what its server marks this version by; empty where it marks none."""

    place: str
    digest: str
    size: int
    validator: str
    fetched: datetime


class Part:
    """A file on its way: counted, digested, and never larger than `limit` bytes. Use it as a context manager."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._limit = limit
        self._deadline = monotonic() + FETCH_SECONDS
        self._hash = hashlib.sha256()
        self.size = 0
        with _writing(folder):
            descriptor, name = tempfile.mkstemp(prefix=_PART, dir=folder)
        self.path = Path(name)
        self._folder = folder
        self._file: BinaryIO = os.fdopen(descriptor, "wb")

    def __enter__(self) -> Part:
        return self

    def __exit__(self, *_: object) -> None:
        """What was not kept is gone."""
        with contextlib.suppress(OSError):  # a full disk says it again when the file is closed
            self._file.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    @property
    def digest(self) -> str:
        """The sha256 of what has come so far, in hex."""
        return self._hash.hexdigest()

    def expect(self, size: int | None) -> None:
        """What the server says will come, in bytes. Raises ModelError("size")."""
        if size is not None and size > self._limit:
            raise ModelError("size", f"the file has {size} bytes, more than the limit of {self._limit}")

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises ModelError."""
        self.size += len(chunk)
        if self.size > self._limit:
            raise ModelError("size", f"the file is larger than the limit of {self._limit} bytes")
        if monotonic() > self._deadline:
            raise ModelError("download", f"the file had not come whole after {FETCH_SECONDS:g} s; tried again later")
        self._hash.update(chunk)
        with _writing(self._folder):
            self._file.write(chunk)

    def read(self) -> bytes:
        """All that has come. Raises ModelError."""
        with _writing(self._folder):
            self._file.flush()
            return self.path.read_bytes()

    def keep(self, path: Path) -> None:
        """Make it the file `path`, for good. Raises ModelError."""
        with _writing(self._folder):
            self._file.flush()
            os.fsync(self._file.fileno())
            self.path.replace(path)
            _sync(self._folder)


class Cache:
    """The folder. Made when it is first written to."""

    def __init__(self, folder: Path, *, most_bytes: int, file_bytes: int) -> None:
        """`most_bytes` limits all files together, `file_bytes` one."""
        self.folder = folder
        self._most = most_bytes
        self._file_bytes = file_bytes

    def prepare(self) -> None:
        """Make the folder, and clear away what a killed controller left half. Raises ModelError."""
        with _writing(self.folder):
            self.folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            for part in self.folder.glob(f"{_PART}*"):
                part.unlink(missing_ok=True)

    def part(self) -> Part:
        """A new file on its way. Raises ModelError."""
        return Part(self.folder, self._file_bytes)

    def find(self, ref: ModelRef) -> Entry | None:
        """What is held of `ref`; a file whose digest the spec gives serves from whichever place it came."""
        entry = _read(self._note(ref))
        if entry is not None and self.path(entry.digest).is_file():
            return entry
        if ref.sha256 is None or (entry := self._lying(ref.name, ref.sha256.lower())) is None:
            return None
        with contextlib.suppress(ModelError):  # a folder that cannot be written to serves what it holds
            self.note(ref, entry)
        return entry

    def keep(self, ref: ModelRef, part: Part, entry: Entry) -> None:
        """Take in a whole, good file and its note. Raises ModelError."""
        path = self.path(entry.digest)
        if not path.is_file():
            part.keep(path)
        self.note(ref, entry)

    def note(self, ref: ModelRef, entry: Entry) -> None:
        """Write down what a place has. Raises ModelError."""
        text = json.dumps({**asdict(entry), "fetched": entry.fetched.isoformat()})
        with self.part() as part:
            part.write(text.encode())
            part.keep(self._note(ref))

    def drop(self, ref: ModelRef, digest: str) -> None:
        """Forget a file that is not what it was."""
        for path in (self._note(ref), self.path(digest)):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def touch(self, ref: ModelRef, now: datetime) -> None:
        """Note that a scaler names it."""
        with contextlib.suppress(OSError):  # a folder that cannot be written to is told when something is fetched
            os.utime(self._note(ref), (now.timestamp(), now.timestamp()))

    def path(self, digest: str) -> Path:
        """Where the file of that digest is, or would be."""
        return self.folder / f"{digest}.onnx"

    def clear(self, named: Collection[ModelRef], now: datetime, *, room: int = 0) -> None:
        """Remove what no scaler named for long, and more until `room` bytes are free; never what `named` has.

        Raises ModelError where that leaves too little.
        """
        with _writing(self.folder):
            self._clear({self._note(ref) for ref in named}, now, room)
        if room and self.size() + room > self._most:
            held, most = (round(size / 2**20) for size in (self.size(), self._most))
            cure = f"raise {PREFIX}MODELS_CACHE_MIB"
            raise ModelError("download", f"the models in use take {held} MiB of the cache's {most} MiB; {cure}")

    def _clear(self, kept: Collection[Path], now: datetime, room: int) -> None:
        notes = sorted((path for path in self.folder.glob("*.json") if path not in kept), key=_named_at)
        for path in notes:
            if now.timestamp() - _named_at(path) >= UNUSED.total_seconds():
                path.unlink(missing_ok=True)
        self._sweep(now)
        for path in notes:
            if self.size() + room <= self._most:
                return
            path.unlink(missing_ok=True)
            self._sweep(now)

    def size(self) -> int:
        """How many bytes all files take."""
        return sum(_size(path) for path in self.folder.glob("*.onnx"))

    def digests(self) -> set[str]:
        """The files that some note names."""
        return {entry.digest for path in self.folder.glob("*.json") if (entry := _read(path)) is not None}

    def _lying(self, place: str, digest: str) -> Entry | None:
        try:
            status = self.path(digest).stat()
        except OSError:
            return None
        fetched = datetime.fromtimestamp(status.st_mtime, UTC)
        return Entry(place=place, digest=digest, size=status.st_size, validator="", fetched=fetched)

    def _sweep(self, now: datetime) -> None:
        """Remove files that no note names."""
        named = self.digests()
        for path in self.folder.glob("*.onnx"):
            if path.stem not in named and now.timestamp() - _named_at(path) >= SPARE.total_seconds():
                path.unlink(missing_ok=True)

    def _note(self, ref: ModelRef) -> Path:
        key = hashlib.sha256(f"{ref.name}\n{(ref.sha256 or '').lower()}".encode()).hexdigest()
        return self.folder / f"{key}.json"


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """What the disk refuses, in words."""
    try:
        yield
    except OSError as error:
        cure = f"give {PREFIX}MODELS_CACHE a folder that can be written to and has room"
        raise ModelError("download", f"the cache {folder} cannot be written: {error.strerror}; {cure}") from error


def _read(note: Path) -> Entry | None:
    try:
        fields = json.loads(note.read_bytes())
        return Entry(**{**fields, "fetched": datetime.fromisoformat(fields["fetched"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _named_at(path: Path) -> float:
    """When it was last written or named, in seconds since 1970; 0 where it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sync(folder: Path) -> None:
    """A rename is on the disk once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
