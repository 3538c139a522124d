"""An object in a bucket, on a real endpoint: whole, by version, again only when changed, and refused in words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web as http

from controller.aws import Aws, RefusedError
from controller.places.cache import Part
from controller.places.place import S3Place
from controller.places.s3 import FIRST_REGION, S3, first_region
from controller.ports import ModelError
from tests.aws.fixtures import REGION, Place
from tests.places.conftest import LIMIT
from tests.servers.files import FileServer
from tests.servers.loopback import serve
from tests.waiting import PATIENCE

BUCKET = "models"
DATA = bytes(range(256)) * 100
WEB = S3Place(bucket=BUCKET, key="team/web.onnx")


@pytest.fixture
def client(aws: Place) -> Any:
    """A bucket that keeps versions."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return s3


@pytest.fixture
def s3(client: Any) -> Iterator[S3]:
    caller = Aws(timeout_seconds=PATIENCE, clock=lambda: datetime.now(UTC))
    yield S3(caller, REGION)
    caller.close()


def put(client: Any, data: bytes) -> str:
    return str(client.put_object(Bucket=BUCKET, Key=WEB.key, Body=data)["VersionId"])


async def test_an_object_comes_whole_with_its_mark(s3: S3, client: Any, part: Part) -> None:
    put(client, DATA)
    assert await s3.fetch(WEB, "", part) == f'"{hashlib.md5(DATA).hexdigest()}"'
    assert (part.read(), part.digest) == (DATA, hashlib.sha256(DATA).hexdigest())


async def test_what_has_not_changed_is_not_sent(s3: S3, client: Any, part: Part) -> None:
    put(client, DATA)
    mark = await s3.fetch(WEB, "", part)
    size = part.size
    assert mark is not None
    assert await s3.fetch(WEB, mark, part) is None
    assert part.size == size


async def test_what_has_changed_is_sent(s3: S3, client: Any, part: Part) -> None:
    put(client, b"before")
    assert await s3.fetch(WEB, '"another mark"', part) is not None
    assert part.read() == b"before"


async def test_a_version_stays_what_it_was(s3: S3, client: Any, part: Part) -> None:
    version = put(client, b"first")
    put(client, b"second")
    await s3.fetch(S3Place(bucket=BUCKET, key=WEB.key, version=version), "", part)
    assert part.read() == b"first"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (S3Place(bucket=BUCKET, key="other"), r"the bucket has no such key \(NoSuchKey\); correct forecast.model"),
        (S3Place(bucket="nobodys", key="web"), r"there is no such bucket \(NoSuchBucket\)"),
        (
            S3Place(bucket=BUCKET, key=WEB.key, version="00000000-0000-0000-0000-000000000000"),
            r"the object has no such version \(NoSuchVersion\)",
        ),
    ],
)
async def test_what_is_not_there_is_told(s3: S3, client: Any, part: Part, place: S3Place, words: str) -> None:
    put(client, DATA)
    with pytest.raises(ModelError, match=rf"^download: {words}"):
        await s3.fetch(place, "", part)


@pytest.mark.parametrize(("version", "action"), [(None, "s3:GetObject"), ("x", "s3:GetObjectVersion")])
async def test_who_is_denied_hears_of_the_action(
    s3: S3, aws: Place, part: Part, version: str | None, action: str
) -> None:
    aws.server.fail(operation="*", code="AccessDenied", message="Access Denied", status=403)
    place = S3Place(bucket=BUCKET, key=WEB.key, version=version)
    with pytest.raises(
        ModelError, match=rf"allow the controller's role {action} on arn:aws:s3:::models/team/web.onnx;"
    ):
        await s3.fetch(place, "", part)


async def test_a_region_that_is_down_is_told(s3: S3, aws: Place, part: Part) -> None:
    aws.server.stop()
    with pytest.raises(ModelError, match=r"^download: s3:get_object: .*; tried again later"):
        await s3.fetch(WEB, "", part)


async def test_a_large_object_is_not_read(s3: S3, client: Any, part: Part) -> None:
    put(client, bytes(LIMIT + 1))
    with pytest.raises(ModelError, match=rf"^size: the file has {LIMIT + 1} bytes"):
        await s3.fetch(WEB, "", part)
    assert part.size == 0


async def test_an_object_that_breaks_off_is_none(
    s3: S3, files: FileServer, part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.put(f"/{BUCKET}/{WEB.key}", DATA, '"v1"')
    files.cut = 1000
    async with serve(files.handle) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(ModelError, match=r"^download: s3:get_object: the answer broke off: .*; tried again later"):
            await s3.fetch(WEB, "", part)


async def test_a_bucket_in_another_region_is_found(
    s3: S3, files: FileServer, part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As S3 leads there: it names the region, and takes only what is signed for that one. moto takes everything."""
    home = "ap-southeast-2"
    regions: list[str] = []

    async def handle(request: http.Request) -> http.StreamResponse:
        regions.append(request.headers["Authorization"].split("/")[2])
        if regions[-1] == home:
            return await files.handle(request)
        wrong = "<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>"
        return http.Response(status=301, text=wrong, headers={"x-amz-bucket-region": home})

    files.put(f"/{BUCKET}/{WEB.key}", DATA, '"v1"')
    async with serve(handle) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        await s3.fetch(WEB, "", part)
    assert (part.read(), regions) == (DATA, [REGION, home])


async def test_a_wrong_question_is_no_reason_to_think_it_unchanged(s3: S3, part: Part) -> None:
    """Only an answer to a known mark can be 304."""

    async def unchanged(*_: object, **__: object) -> str:
        raise RefusedError("s3:get_object: Not Modified (304)", "304")

    s3._aws.download = unchanged  # type: ignore[assignment,method-assign]
    assert await s3.fetch(WEB, "mark", part) is None
    with pytest.raises(ModelError):
        await s3.fetch(WEB, "", part)


async def test_only_get_object_is_asked_for(s3: S3, client: Any, aws: Place, part: Part) -> None:
    """What the role must be allowed is what the guide says."""
    put(client, DATA)
    before = len(aws.server.calls())
    await s3.fetch(WEB, "", part)
    assert [call["operation"] for call in aws.server.calls()][before:] == [f"GET /{BUCKET}/{WEB.key}"]


@pytest.mark.parametrize(
    ("environment", "region"),
    [
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ({}, FIRST_REGION),
    ],
)
def test_s3_is_asked_first_where_the_controller_is(environment: dict[str, str], region: str) -> None:
    assert first_region(environment) == region
