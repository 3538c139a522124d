"""A file on a web server: whole or not at all, and again only when it has changed."""

from __future__ import annotations

import hashlib

import pytest
from aiohttp import web as http

from controller.places.cache import Part
from controller.places.https import Https
from controller.places.place import HttpsPlace
from controller.places.web import Web
from controller.ports import ModelError
from tests.places.conftest import LIMIT
from tests.servers.files import FileServer, refusal

DATA = bytes(range(256)) * 100


@pytest.fixture
def place(address: str) -> HttpsPlace:
    return HttpsPlace(url=f"{address}/web.onnx")


async def test_a_file_comes_whole_with_its_mark(web: Web, files: FileServer, place: HttpsPlace, part: Part) -> None:
    files.put("/web.onnx", DATA, '"v1"')
    assert await Https(web).fetch(place, "", part) == '"v1"'
    assert (part.read(), part.digest) == (DATA, hashlib.sha256(DATA).hexdigest())


async def test_what_has_not_changed_is_not_sent(web: Web, files: FileServer, place: HttpsPlace, part: Part) -> None:
    files.put("/web.onnx", DATA, '"v1"')
    assert await Https(web).fetch(place, '"v1"', part) is None
    assert (files.statuses, part.size) == ([304], 0)


async def test_a_time_marks_a_file_where_there_is_no_tag(
    web: Web, files: FileServer, place: HttpsPlace, part: Part
) -> None:
    files.put("/web.onnx", DATA)
    files.modified["/web.onnx"] = "Mon, 02 Mar 2026 12:00:00 GMT"
    mark = await Https(web).fetch(place, "", part)
    assert await Https(web).fetch(place, mark or "", part) is None
    assert files.statuses == [200, 304]


async def test_a_file_without_a_mark_is_sent_each_time(
    web: Web, files: FileServer, place: HttpsPlace, part: Part
) -> None:
    files.put("/web.onnx", DATA)
    assert await Https(web).fetch(place, "", part) == ""


async def test_a_path_is_asked_for_as_it_is_written(web: Web, files: FileServer, address: str, part: Part) -> None:
    files.put("/a b+c/web.onnx", DATA)
    await Https(web).fetch(HttpsPlace(url=f"{address}/a%20b+c/web.onnx"), "", part)
    assert files.asked[0].raw_path == "/a%20b+c/web.onnx"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "answered 401; https:// is read without credentials; use s3:// or oci://"),
        (403, "answered 403; https:// is read without credentials"),
        (404, "answered 404; there is no such file; correct forecast.model"),
        (304, "answered 304"),
        (500, "answered 500; tried again later"),
        (599, "answered 599; tried again later"),
    ],
)
async def test_words_by_status(
    web: Web, files: FileServer, place: HttpsPlace, part: Part, status: int, words: str
) -> None:
    files.raw["/web.onnx"] = refusal(status)
    with pytest.raises(ModelError, match=words) as caught:
        await Https(web).fetch(place, "", part)
    assert caught.value.check == "download"


async def test_a_file_that_is_announced_too_large_is_not_read(
    web: Web, files: FileServer, place: HttpsPlace, part: Part
) -> None:
    files.put("/web.onnx", bytes(LIMIT + 1))
    with pytest.raises(ModelError, match=rf"^size: the file has {LIMIT + 1} bytes"):
        await Https(web).fetch(place, "", part)
    assert part.size == 0


async def test_a_file_that_grows_too_large_is_left(web: Web, files: FileServer, place: HttpsPlace, part: Part) -> None:
    files.put("/web.onnx", bytes(4 * LIMIT))
    files.is_sized = False
    with pytest.raises(ModelError, match=rf"^size: the file is larger than the limit of {LIMIT}"):
        await Https(web).fetch(place, "", part)


async def test_a_file_that_breaks_off_is_none(web: Web, files: FileServer, place: HttpsPlace, part: Part) -> None:
    files.put("/web.onnx", DATA)
    files.cut = 1000
    with pytest.raises(ModelError, match=r"^download: 127.0.0.1"):
        await Https(web).fetch(place, "", part)


async def test_a_packed_answer_is_refused(web: Web, files: FileServer, place: HttpsPlace, part: Part) -> None:
    """A few packed bytes could unpack to any number."""
    files.raw["/web.onnx"] = lambda _: http.Response(body=b"x", headers={"Content-Encoding": "gzip"})
    with pytest.raises(ModelError, match="packs the file though it was asked not to"):
        await Https(web).fetch(place, "", part)
    assert files.asked[0].headers["Accept-Encoding"] == "identity"
