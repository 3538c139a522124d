"""An artifact in a registry: by digest, behind a login, with blobs elsewhere, and refused in words."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.places.cache import Part
from controller.places.guard import Guard
from controller.places.logins import Logins
from controller.places.oci import Oci
from controller.places.place import OciPlace
from controller.places.web import Web
from controller.ports import ModelError
from tests.places.conftest import LIMIT
from tests.servers.files import FileServer
from tests.servers.loopback import serve
from tests.servers.registry import TOKEN, USER, FakeRegistry, described, digest_of, index_of, manifest_of

DATA = bytes(range(256)) * 100


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
async def place(registry: FakeRegistry) -> AsyncIterator[OciPlace]:
    """models/web:v1 of the registry, which is on this machine and speaks http."""
    async with serve(registry.handle) as address:
        registry.realm = f"{address}/token"
        yield OciPlace(registry=address.removeprefix("http://"), repository="models/web", tag="v1")


@pytest.fixture
def oci(web: Web) -> Oci:
    return Oci(web, Logins(None))


@pytest.fixture
def logins(tmp_path: Path, place: OciPlace) -> Logins:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {place.registry: {"auth": USER}}}))
    return Logins(tmp_path)


def pinned(place: OciPlace, digest: str) -> OciPlace:
    return OciPlace(registry=place.registry, repository=place.repository, digest=digest)


async def test_a_file_comes_whole_with_its_manifests_digest(
    oci: Oci, registry: FakeRegistry, place: OciPlace, part: Part
) -> None:
    digest = registry.push("v1", DATA)
    assert await oci.fetch(place, "", part) == digest
    assert part.read() == DATA


async def test_what_has_not_changed_is_asked_for_and_not_pulled(
    oci: Oci, registry: FakeRegistry, place: OciPlace, part: Part
) -> None:
    digest = registry.push("v1", DATA)
    assert await oci.fetch(place, digest, part) is None
    assert registry.methods("manifests") == ["HEAD"]


async def test_a_registry_that_names_no_digest_is_asked_for_the_manifest(
    oci: Oci, registry: FakeRegistry, place: OciPlace, part: Part
) -> None:
    registry.names_digest = False
    digest = registry.push("v1", DATA)
    assert await oci.fetch(place, digest, part) is None
    assert (registry.methods("manifests"), registry.methods("blobs")) == (["HEAD", "GET"], [])


async def test_a_moved_tag_is_pulled(oci: Oci, registry: FakeRegistry, place: OciPlace, part: Part) -> None:
    before = registry.push("v1", b"before")
    after = registry.push("v1", b"after")
    assert await oci.fetch(place, before, part) == after
    assert part.read() == b"after"


async def test_a_digest_decides(oci: Oci, registry: FakeRegistry, place: OciPlace, part: Part) -> None:
    first = registry.push("v1", b"first")
    registry.push("v1", b"second")
    assert await oci.fetch(pinned(place, first), "", part) == first
    assert part.read() == b"first"


async def test_a_manifest_must_have_its_digest(oci: Oci, registry: FakeRegistry, place: OciPlace, part: Part) -> None:
    first = registry.push("v1", b"first")
    registry.push("v2", b"second")
    registry.manifests[first] = registry.manifests["v2"]
    with pytest.raises(ModelError, match=rf"^digest: the manifest has the digest sha256:\w+, not {first}") as caught:
        await oci.fetch(pinned(place, first), "", part)
    assert caught.value.check == "digest"


async def test_a_file_must_have_its_digest(oci: Oci, registry: FakeRegistry, place: OciPlace, part: Part) -> None:
    registry.push("v1", DATA)
    registry.blobs[digest_of(DATA)] = DATA[:-1] + b"x"
    with pytest.raises(ModelError, match=r"^digest: the file has the digest sha256:\w+, the manifest says"):
        await oci.fetch(place, "", part)


async def test_an_index_of_one_leads_to_it(oci: Oci, registry: FakeRegistry, place: OciPlace, part: Part) -> None:
    """What is signed beside an image is none."""
    registry.push("only", DATA)
    signed = described(b"signature", annotations={"vnd.docker.reference.type": "attestation-manifest"})
    digest = registry.put("v1", index_of(described(registry.manifests["only"]), signed))
    assert await oci.fetch(place, "", part) == digest
    assert part.read() == DATA


@pytest.mark.parametrize(
    ("titles", "found"),
    [(["README.md", "web.onnx"], 1), ([""], 0), (["a.onnx", "b.onnx"], None), (["a", "b"], None), ([], None)],
)
async def test_the_layer_that_is_the_model(
    oci: Oci, registry: FakeRegistry, place: OciPlace, part: Part, titles: list[str], found: int | None
) -> None:
    data = [f"layer {index}".encode() for index in range(len(titles))]
    registry.blobs |= {digest_of(one): one for one in data}
    registry.put("v1", manifest_of(*(described(one, title) for one, title in zip(data, titles, strict=True))))
    if found is None:
        with pytest.raises(ModelError, match=rf"holds {len(titles)} files that could be the model; push one .onnx"):
            await oci.fetch(place, "", part)
        return
    await oci.fetch(place, "", part)
    assert part.read() == data[found]


async def test_two_manifests_under_one_name_are_refused(
    oci: Oci, registry: FakeRegistry, place: OciPlace, part: Part
) -> None:
    registry.put("v1", index_of(described(b"one"), described(b"two")))
    with pytest.raises(ModelError, match="has 2 manifests under one name; name one by @sha256:"):
        await oci.fetch(place, "", part)


async def test_a_large_layer_is_not_read(oci: Oci, registry: FakeRegistry, place: OciPlace, part: Part) -> None:
    registry.push("v1", bytes(LIMIT + 1))
    with pytest.raises(ModelError, match=rf"^size: the file has {LIMIT + 1} bytes"):
        await oci.fetch(place, "", part)
    assert registry.methods("blobs") == []


async def test_a_layer_that_is_larger_than_it_says_is_left(
    oci: Oci, registry: FakeRegistry, place: OciPlace, part: Part
) -> None:
    data = bytes(LIMIT + 1)
    registry.blobs[digest_of(data)] = data
    registry.put("v1", manifest_of(described(data, "web.onnx") | {"size": 10}))
    with pytest.raises(ModelError, match=r"^size: "):
        await oci.fetch(place, "", part)


@pytest.mark.parametrize(
    "manifest",
    [
        b"<html>",
        b"[]",
        b'{"layers": 1}',
        b'{"layers": [{"digest": "sha256:../../x", "size": 1}]}',
        b'{"manifests": [1]}',
    ],
)
async def test_what_is_no_manifest_is_refused(
    oci: Oci, registry: FakeRegistry, place: OciPlace, part: Part, manifest: bytes
) -> None:
    registry.put("v1", manifest)
    with pytest.raises(ModelError, match=r"^download: "):
        await oci.fetch(place, "", part)


async def test_a_tag_that_is_not_there_is_told(oci: Oci, place: OciPlace, part: Part) -> None:
    with pytest.raises(ModelError, match=r"has no manifest v1 of models/web; correct forecast.model, or push"):
        await oci.fetch(place, "", part)


@pytest.mark.parametrize("login", ["basic", "bearer"])
async def test_a_login_is_used(
    web: Web, logins: Logins, registry: FakeRegistry, place: OciPlace, part: Part, login: str
) -> None:
    registry.login = login
    registry.push("v1", DATA)
    await Oci(web, logins).fetch(place, "", part)
    assert part.read() == DATA
    wanted = f"Basic {USER}" if login == "basic" else f"Bearer {TOKEN}"
    assert [authorization for _, _, authorization in registry.asked] == [None, wanted, wanted]


async def test_a_token_is_asked_for_with_what_the_registry_says(
    web: Web, logins: Logins, registry: FakeRegistry, place: OciPlace, part: Part
) -> None:
    registry.login = "bearer"
    registry.push("v1", DATA)
    await Oci(web, logins).fetch(place, "", part)
    (asked,) = registry.tokens
    assert asked == {
        "service": "registry.test",
        "scope": "repository:models/web:pull",
        "authorization": f"Basic {USER}",
    }


async def test_a_public_registry_gives_a_token_to_anybody(
    oci: Oci, registry: FakeRegistry, place: OciPlace, part: Part
) -> None:
    registry.login, registry.is_anonymous = "bearer", True
    registry.push("v1", DATA)
    await oci.fetch(place, "", part)
    assert part.read() == DATA


@pytest.mark.parametrize("login", ["basic", "bearer"])
async def test_without_a_login_the_cure_is_told(
    oci: Oci, registry: FakeRegistry, place: OciPlace, part: Part, login: str
) -> None:
    registry.login = login
    with pytest.raises(ModelError, match=r"answered 401 for models/web; give the controller a login that may pull"):
        await oci.fetch(place, "", part)


async def test_a_wrong_login_is_told_without_the_password(
    web: Web, tmp_path: Path, registry: FakeRegistry, place: OciPlace, part: Part
) -> None:
    wrong = base64.b64encode(b"robot:wrong-password").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {place.registry: {"auth": wrong}}}))
    registry.login = "basic"
    with pytest.raises(ModelError, match="answered 401") as caught:
        await Oci(web, Logins(tmp_path)).fetch(place, "", part)
    assert "wrong-password" not in str(caught.value)
    assert wrong not in str(caught.value)


async def test_a_blob_elsewhere_is_asked_for_without_the_token(
    web: Web,
    logins: Logins,
    registry: FakeRegistry,
    place: OciPlace,
    part: Part,
    files: FileServer,
    address: str,
) -> None:
    registry.login, registry.elsewhere = "bearer", f"{address}/blobs"
    registry.push("v1", DATA)
    files.put(f"/blobs/{digest_of(DATA)}", DATA)
    await Oci(web, logins).fetch(place, "", part)
    assert part.read() == DATA
    assert [one.headers.get("Authorization") for one in files.asked] == [None]


async def test_a_token_is_not_fetched_over_plain_http_from_elsewhere(
    web: Web, logins: Logins, registry: FakeRegistry, place: OciPlace, part: Part
) -> None:
    registry.login, registry.realm = "bearer", "http://tokens.example/token"
    with pytest.raises(ModelError, match=r"tokens given by 'http://tokens.example/token', which is not https://"):
        await Oci(web, logins).fetch(place, "", part)


async def test_any_other_registry_speaks_https(
    registry: FakeRegistry, serving: ssl.SSLContext, part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the machine's own name makes it http; a registry that is not here is asked behind TLS, or not at all."""
    asked: list[str] = []

    class Watched(Web):
        async def _once(self, method: str, url: Any, headers: Any) -> Any:
            asked.append(f"{url.scheme}://{url.host}")
            raise OSError("seen enough")

    for name in ("registry.example", "10.0.0.7:5000", "localhost.example", "docker.io", "localhost:5000", "127.0.0.1"):
        with pytest.raises(ModelError, match="seen enough"):
            await Oci(Watched(Guard([])), Logins(None)).fetch(OciPlace(registry=name, repository="a"), "", part)
    assert asked == [
        "https://registry.example",
        "https://10.0.0.7",
        "https://localhost.example",
        "https://registry-1.docker.io",
        "http://localhost",
        "http://127.0.0.1",
    ]
