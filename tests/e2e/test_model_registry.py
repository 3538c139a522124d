"""What the fake registry of the fast tests is taken for: the same pulls from a real one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controller.places.cache import Part
from controller.places.guard import Guard
from controller.places.logins import Logins
from controller.places.oci import Oci
from controller.places.place import OciPlace, Place, parse
from controller.places.web import Web
from controller.ports import ModelError
from sandbox import binaries
from tests.e2e.artifacts import Registry

pytestmark = pytest.mark.e2e

FIRST, SECOND = b"first" * 1000, b"second" * 1000


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    crane = binaries.find_all()["crane"]
    with Registry(crane, tmp_path_factory.mktemp("registry") / "registry.log") as registry:
        yield registry


@pytest.fixture
async def oci() -> AsyncIterator[Oci]:
    web = Web(Guard(["oci://127.0.0.1/"]))
    yield Oci(web, Logins(None))
    await web.close()


@pytest.fixture
def part(tmp_path: Path) -> Iterator[Part]:
    with Part(tmp_path, 2**20) as part:
        yield part


def placed(registry: Registry, reference: str) -> OciPlace:
    place: Place = parse(f"oci://{registry.host}/models/web{reference}")
    assert isinstance(place, OciPlace)
    return place


async def test_a_tag_is_pulled_and_known_again(oci: Oci, registry: Registry, part: Part) -> None:
    digest = registry.push("models/web", "v1", FIRST)
    assert await oci.fetch(placed(registry, ":v1"), "", part) == digest
    assert part.read() == FIRST
    assert await oci.fetch(placed(registry, ":v1"), digest, part) is None


async def test_a_digest_outlives_its_tag(oci: Oci, registry: Registry, part: Part) -> None:
    digest = registry.push("models/web", "moved", FIRST)
    after = registry.push("models/web", "moved", SECOND)
    assert await oci.fetch(placed(registry, f":moved@{digest}"), "", part) == digest
    assert part.read() == FIRST
    assert after != digest


async def test_a_moved_tag_is_pulled_anew(oci: Oci, registry: Registry, part: Part) -> None:
    before = registry.push("models/web", "moving", FIRST)
    after = registry.push("models/web", "moving", SECOND)
    assert await oci.fetch(placed(registry, ":moving"), before, part) == after
    assert part.read() == SECOND


async def test_what_nobody_pushed_is_not_there(oci: Oci, registry: Registry, part: Part) -> None:
    with pytest.raises(ModelError, match="has no manifest nothing of models/web"):
        await oci.fetch(placed(registry, ":nothing"), "", part)
