"""What a folder of models holds: whole files and their notes, whatever happened meanwhile, and no more than it may."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.places import cache as cache_module
from controller.places.cache import SPARE, UNUSED, Cache, Entry, Part
from controller.ports import ModelError
from controller.spec import ModelRef

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
WEB, SHOP = ModelRef(name="s3://models/web.onnx"), ModelRef(name="s3://models/shop.onnx")
DATA = b"x" * 1000


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    found = Cache(tmp_path / "models-cache", most_bytes=2500, file_bytes=2000)
    found.prepare()
    return found


def keep(cache: Cache, ref: ModelRef, data: bytes, *, named: datetime = NOW) -> Entry:
    """Have it in the cache since `named`."""
    with cache.part() as part:
        part.write(data)
        entry = Entry(place=ref.name, digest=part.digest, size=part.size, validator='"v1"', fetched=named)
        cache.keep(ref, part, entry)
    cache.touch(ref, named)
    os.utime(cache.path(entry.digest), (named.timestamp(), named.timestamp()))
    return entry


def names(cache: Cache) -> list[str]:
    return sorted(path.suffix or path.name for path in cache.folder.iterdir())


def test_what_is_kept_is_found_by_whoever_comes_next(cache: Cache) -> None:
    entry = keep(cache, WEB, DATA)
    another = Cache(cache.folder, most_bytes=2500, file_bytes=2000)
    assert another.find(WEB) == entry
    assert another.path(entry.digest).read_bytes() == DATA
    assert another.find(SHOP) is None


def test_nothing_is_there_before_the_folder_is(tmp_path: Path) -> None:
    assert Cache(tmp_path / "none", most_bytes=1, file_bytes=1).find(WEB) is None


def test_a_pinned_model_is_found_wherever_it_came_from(cache: Cache) -> None:
    digest = keep(cache, WEB, DATA).digest
    pinned = ModelRef(name="https://elsewhere/web.onnx", sha256=digest.upper())
    found = cache.find(pinned)
    assert found is not None
    assert found.digest == digest
    assert cache.find(ModelRef(name=WEB.name, sha256="0" * 64)) is None


def test_what_a_pin_found_is_not_cleared_with_the_place_it_came_from(cache: Cache) -> None:
    digest = keep(cache, WEB, DATA).digest
    pinned = ModelRef(name="https://elsewhere/web.onnx", sha256=digest)
    cache.find(pinned)
    cache.clear({pinned}, NOW + UNUSED)
    assert cache.find(pinned) is not None
    assert cache.find(WEB) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"digest": "x"}', "\x00"])
def test_a_damaged_note_is_none(cache: Cache, text: str) -> None:
    keep(cache, WEB, DATA)
    (note,) = cache.folder.glob("*.json")
    note.write_text(text)
    assert cache.find(WEB) is None


def test_a_note_without_its_file_is_none(cache: Cache) -> None:
    cache.path(keep(cache, WEB, DATA).digest).unlink()
    assert cache.find(WEB) is None


def test_what_was_not_kept_is_gone(cache: Cache) -> None:
    with cache.part() as part:
        part.write(DATA)
        assert names(cache) == [part.path.name]
    assert names(cache) == []


def test_a_part_counts_and_digests_what_comes(cache: Cache) -> None:
    with cache.part() as part:
        part.write(b"ab")
        part.write(b"c")
        assert (part.size, part.digest, part.read()) == (3, hashlib.sha256(b"abc").hexdigest(), b"abc")


def test_a_part_is_never_larger_than_allowed(cache: Cache) -> None:
    with cache.part() as part:
        part.write(bytes(2000))
        with pytest.raises(ModelError, match=r"^size: the file is larger than the limit of 2000 bytes"):
            part.write(b"x")
        with pytest.raises(ModelError, match=r"^size: the file has 2001 bytes"):
            part.expect(2001)
        part.expect(None)
        part.expect(2000)


def test_a_part_does_not_take_for_ever(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    with cache.part() as part:
        part.write(b"x")
        monkeypatch.setattr(cache_module, "monotonic", lambda: float("inf"))
        with pytest.raises(ModelError, match="had not come whole after 120 s"):
            part.write(b"x")


KILLED = """
import os, sys
from pathlib import Path
from controller.places.cache import Cache
cache = Cache(Path(sys.argv[1]), most_bytes=10**6, file_bytes=10**6)
part = cache.part()
part.write(b"half of it")
part._file.flush()
os._exit(9)
"""


def test_a_controller_that_is_killed_half_way_leaves_nothing_that_is_used(cache: Cache) -> None:
    """And what is left is cleared away by the next."""
    entry = keep(cache, WEB, DATA)
    killed = subprocess.run([sys.executable, "-c", KILLED, cache.folder], check=False)
    assert killed.returncode == 9
    assert [name for name in names(cache) if name.startswith(".part-")] != []
    cache.prepare()
    assert names(cache) == [".json", ".onnx"]
    assert cache.find(WEB) == entry


def test_a_file_is_on_the_disk_before_it_has_its_name(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        order.append("sync")
        sync(descriptor)

    def replaced(old: Path, new: Path) -> Path:
        order.append(new.suffix)
        return replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    keep(cache, WEB, DATA)
    assert order == ["sync", ".onnx", "sync", "sync", ".json", "sync"]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_is_full_or_closed_is_told_with_its_cure(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    before = keep(cache, WEB, DATA)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(
        ModelError, match=rf"^download: the cache .* cannot be written: {os.strerror(error)}; .*MODELS_CACHE"
    ):
        keep(cache, WEB, b"y" * 1000)
    assert cache.find(WEB) == before
    assert names(cache) == [".json", ".onnx"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_device_that_is_full_is_told_and_left(cache: Cache) -> None:
    """As a file on a full disk does it: the bytes are taken, and refused when they are written out."""
    with cache.part() as part:
        part._file.close()
        part._file = Path("/dev/full").open("wb")  # noqa: SIM115  # the part closes it
        part.write(b"x")
        with pytest.raises(ModelError, match="No space left on device"):
            part.keep(cache.folder / "file.onnx")
    assert names(cache) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be written: Not a directory; give PREDICTIVE_SCALER_MODELS_CACHE"):
        Cache(tmp_path / "file" / "below", most_bytes=1, file_bytes=1).prepare()


def test_the_folder_is_nobody_elses(cache: Cache) -> None:
    assert cache.folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("age", "is_kept"), [(UNUSED - timedelta(seconds=1), True), (UNUSED, False)])
def test_what_nobody_names_goes_after_a_week(cache: Cache, age: timedelta, is_kept: bool) -> None:
    keep(cache, WEB, DATA)
    cache.clear((), NOW + age)
    assert (cache.find(WEB) is not None) == is_kept
    assert names(cache) == ([".json", ".onnx"] if is_kept else [])


def test_what_is_named_stays(cache: Cache) -> None:
    keep(cache, WEB, DATA)
    cache.clear({WEB}, NOW + 10 * UNUSED)
    assert cache.find(WEB) is not None


def test_a_file_that_was_replaced_goes_when_no_tick_can_read_it_any_more(cache: Cache) -> None:
    old = cache.path(keep(cache, WEB, DATA).digest)
    keep(cache, WEB, b"y" * 1000)
    cache.clear({WEB}, NOW + SPARE - timedelta(seconds=1))
    assert old.exists()
    cache.clear({WEB}, NOW + SPARE)
    assert not old.exists()
    assert cache.find(WEB) is not None


def test_a_file_that_another_place_has_as_well_stays(cache: Cache) -> None:
    keep(cache, WEB, DATA)
    keep(cache, SHOP, DATA)
    cache.clear({WEB}, NOW + UNUSED)
    assert (cache.find(WEB) is not None, cache.find(SHOP)) == (True, None)


def test_room_is_made_by_what_was_named_longest_ago(cache: Cache) -> None:
    third = ModelRef(name="s3://models/third.onnx")
    keep(cache, WEB, DATA, named=NOW - timedelta(days=1))
    keep(cache, SHOP, b"y" * 1000, named=NOW - timedelta(days=2))
    cache.clear({third}, NOW, room=1000)
    assert (cache.find(WEB) is not None, cache.find(SHOP) is not None) == (True, False)


def test_room_is_never_made_by_what_is_named(cache: Cache) -> None:
    keep(cache, WEB, DATA)
    keep(cache, SHOP, b"y" * 1000)
    with pytest.raises(
        ModelError, match=r"^download: the models in use take 0 MiB of .*raise PREDICTIVE_SCALER_MODELS_CACHE_MIB"
    ):
        cache.clear({WEB, SHOP}, NOW, room=1000)
    assert (cache.find(WEB) is not None, cache.find(SHOP) is not None) == (True, True)


def test_a_file_that_is_not_what_it_was_is_dropped(cache: Cache) -> None:
    entry = keep(cache, WEB, DATA)
    cache.drop(WEB, entry.digest)
    assert names(cache) == []


def test_parts_of_two_downloads_do_not_meet(cache: Cache) -> None:
    with cache.part() as one, Part(cache.folder, 10) as two:
        one.write(b"1")
        two.write(b"2")
        assert (one.read(), two.read()) == (b"1", b"2")
