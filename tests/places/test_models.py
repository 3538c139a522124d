"""What does a scaler see of a model from elsewhere, whatever goes wrong with its place, its file or the disk?"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from controller import forecaster
from controller.aws import Aws
from controller.core.forecast import Forecast
from controller.core.series import Series
from controller.forecaster import OnnxModels
from controller.places import models as models_module
from controller.places.models import FIRST_RETRY, FORGET, REFRESH, PlacedModels
from controller.ports import ForecastRequest, ModelError, Models
from controller.settings import ALL_PLACES
from controller.spec import ModelRef
from tests.e2e.models import write_constant
from tests.servers.files import FileServer, refusal
from tests.servers.loopback import serve
from tests.servers.registry import FakeRegistry
from tests.waiting import PATIENCE, until

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HISTORY = Series(end=NOW, step=timedelta(hours=1), values=np.array([1.0, 2.0]))


def onnx(folder: Path, load: float) -> bytes:
    path = folder / f"constant-{load}.onnx"
    write_constant(path, load, step_seconds=3600)
    return path.read_bytes()


@pytest.fixture(scope="session")
def seven(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model that always expects a load of 7."""
    return onnx(tmp_path_factory.mktemp("models"), 7.0)


@pytest.fixture(scope="session")
def nine(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return onnx(tmp_path_factory.mktemp("models"), 9.0)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(slots=True, kw_only=True)
class Life:
    """A controller's models, started anew at will; the folder stays. `fetches`: what was told of each."""

    folder: Path
    aws: Aws
    trust: ssl.SSLContext
    allowed: tuple[str, ...] = ("https://127.0.0.1", *ALL_PLACES)
    cache_bytes: int = 2**20
    max_bytes: int = 2**20
    now: datetime = NOW
    models: PlacedModels = field(init=False)
    fetches: list[tuple[str, str]] = field(default_factory=list)

    def start(self) -> PlacedModels:
        local = OnnxModels([self.folder / "local"])
        self.models = PlacedModels(
            local,
            self.folder / "cache",
            self.aws,
            clock=lambda: self.now,
            environment={},
            allowed=self.allowed,
            cache_bytes=self.cache_bytes,
            max_bytes=self.max_bytes,
            trust=self.trust,
            on_fetch=lambda scheme, outcome, _: self.fetches.append((scheme, outcome)),
        )
        return self.models

    async def pass_by(self, time: timedelta = timedelta(0)) -> None:
        """Let time pass, and what is then due be fetched."""
        self.now += time
        self.models.begin()
        await self.models.settled()

    async def have(self, ref: ModelRef) -> str:
        """Ask as a tick does, let it be fetched, and ask again: the digest."""
        self.check(ref)
        await self.pass_by()
        return self.models.card(ref)[1]

    def check(self, ref: ModelRef) -> str:
        """The failed check of a model, or its digest."""
        try:
            return self.models.card(ref)[1]
        except ModelError as error:
            return error.check

    def load(self, ref: ModelRef) -> float | str:
        """What the model expects, or the failed check."""
        (answer,) = self.models.forecast([ForecastRequest(model=ref, history=HISTORY, zone=UTC)])
        return answer.check if isinstance(answer, ModelError) else float(answer.at_level(0.5)[0])

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "cache").glob("*.onnx"))


@pytest.fixture
def caller() -> Iterator[Aws]:
    found = Aws(timeout_seconds=PATIENCE, clock=lambda: datetime.now(UTC))
    yield found
    found.close()


@pytest.fixture
async def life(tmp_path: Path, caller: Aws, trust: ssl.SSLContext, address: str) -> AsyncIterator[Life]:
    life = Life(folder=tmp_path, aws=caller, trust=trust, allowed=(f"{address}/", "s3://", "oci://127.0.0.1"))
    life.start()
    yield life
    await life.models.aclose()


@pytest.fixture
def web_model(address: str) -> ModelRef:
    return ModelRef(name=f"{address}/web.onnx")


async def test_it_is_a_models() -> None:
    _: type[Models] = PlacedModels


async def test_a_model_is_served_once_it_is_there(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes
) -> None:
    files.put("/web.onnx", seven, '"v1"')
    with pytest.raises(ModelError, match=r"^download: https://.*/web.onnx is being fetched since 2026-03-02T12:00:00Z"):
        life.models.card(web_model)
    assert life.load(web_model) == "download"
    await life.pass_by()
    card, digest = life.models.card(web_model)
    assert (card.family, digest, life.load(web_model)) == ("constant", sha256(seven), 7.0)
    assert life.fetches == [("https", "new")]


async def test_local_and_placed_models_answer_side_by_side(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes, nine: bytes
) -> None:
    (life.folder / "local").mkdir()
    (life.folder / "local" / "nine.onnx").write_bytes(nine)
    files.put("/web.onnx", seven)
    await life.have(web_model)
    missing, local = ModelRef(name=web_model.name + "x"), ModelRef(name="nine")
    requests = [
        ForecastRequest(model=ref, history=HISTORY, zone=UTC) for ref in (web_model, local, missing, local, web_model)
    ]
    answers = life.models.forecast(requests)
    assert [one.at_level(0.5)[0] if isinstance(one, Forecast) else one.check for one in answers] == [
        7,
        9,
        "download",
        9,
        7,
    ]
    assert life.models.card(local)[1] == sha256(nine)


async def test_no_tick_waits_for_a_download(life: Life, files: FileServer, web_model: ModelRef) -> None:
    files.hold = asyncio.Event()
    assert life.check(web_model) == "download"
    life.models.begin()
    await until(lambda: len(files.asked) == 1)
    assert life.check(web_model) == "download"
    life.models.begin()
    await asyncio.sleep(0.05)
    assert len(files.asked) == 1
    files.hold.set()


async def test_few_are_fetched_at_a_time(life: Life, files: FileServer, address: str) -> None:
    files.hold = asyncio.Event()
    for index in range(10):
        life.check(ModelRef(name=f"{address}/{index}.onnx"))
    life.models.begin()
    await until(lambda: len(files.asked) >= models_module.AT_ONCE)
    await asyncio.sleep(0.05)
    assert len(files.asked) == models_module.AT_ONCE
    files.hold.set()
    await life.models.settled()
    assert len(files.asked) == 10


async def test_what_changed_takes_its_place(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes, nine: bytes
) -> None:
    files.put("/web.onnx", seven, '"v1"')
    await life.have(web_model)
    files.put("/web.onnx", nine, '"v2"')
    await life.pass_by(REFRESH - timedelta(seconds=1))
    assert life.load(web_model) == 7.0
    await life.pass_by(timedelta(seconds=1))
    assert (life.models.card(web_model)[1], life.load(web_model)) == (sha256(nine), 9.0)


async def test_what_has_not_changed_is_not_sent_again(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes
) -> None:
    files.put("/web.onnx", seven, '"v1"')
    await life.have(web_model)
    for _ in range(3):
        await life.pass_by(REFRESH)
    assert files.statuses == [200, 304, 304, 304]
    assert life.fetches[1:] == [("https", "unchanged")] * 3


async def test_a_file_without_a_mark_is_compared_by_its_digest(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes
) -> None:
    files.put("/web.onnx", seven)
    await life.have(web_model)
    await life.pass_by(REFRESH)
    assert (files.statuses, life.fetches[1:]) == ([200, 200], [("https", "unchanged")])


async def test_a_pinned_model_is_fetched_once(life: Life, files: FileServer, web_model: ModelRef, seven: bytes) -> None:
    files.put("/web.onnx", seven, '"v1"')
    pinned = replace(web_model, sha256=sha256(seven))
    assert await life.have(pinned) == sha256(seven)
    await life.pass_by(100 * REFRESH)
    assert len(files.asked) == 1


async def test_a_wrong_digest_is_refused(life: Life, files: FileServer, web_model: ModelRef, seven: bytes) -> None:
    files.put("/web.onnx", seven, '"v1"')
    pinned = replace(web_model, sha256="0" * 64)
    life.check(pinned)
    await life.pass_by()
    with pytest.raises(ModelError, match=rf"^sha256: .*/web.onnx: the file has sha256 {sha256(seven)}, the spec asks"):
        life.models.card(pinned)
    assert life.files() == []
    await life.pass_by(REFRESH)
    assert files.statuses == [200, 304]  # the same file is not sent again only to be refused again


async def test_a_file_that_breaks_the_contract_is_refused(life: Life, files: FileServer, web_model: ModelRef) -> None:
    files.put("/web.onnx", b"no model")
    life.check(web_model)
    await life.pass_by()
    with pytest.raises(ModelError, match=r"^onnx: .*/web.onnx: ONNX Runtime refuses the file"):
        life.models.card(web_model)
    assert life.files() == []


async def test_a_bad_file_never_replaces_one_that_works(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes, nine: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    files.put("/web.onnx", seven, '"v1"')
    await life.have(web_model)
    files.put("/web.onnx", nine[: len(nine) // 2], '"v2"')
    for _ in range(3):
        await life.pass_by(REFRESH)
    assert life.load(web_model) == 7.0
    assert files.statuses == [200, 200, 304, 304]
    problem = life.models.problem(web_model)
    assert problem is not None
    assert problem.check == "onnx"
    assert str(problem).endswith("; the file of 2026-03-02T12:00:00Z goes on serving")
    told = [record.error for record in caplog.records if record.levelno == logging.WARNING]  # type: ignore[attr-defined]
    assert told == [str(problem)]
    files.put("/web.onnx", nine, '"v3"')
    await life.pass_by(REFRESH)
    assert (life.load(web_model), life.models.problem(web_model)) == (9.0, None)
    await life.pass_by(REFRESH)
    assert files.statuses[4:] == [200, 304]


async def test_a_file_that_was_taken_back_is_no_problem_any_more(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes
) -> None:
    files.put("/web.onnx", seven, '"v1"')
    await life.have(web_model)
    files.put("/web.onnx", b"no model", '"v2"')
    await life.pass_by(REFRESH)
    assert life.models.problem(web_model) is not None
    files.put("/web.onnx", seven, '"v1"')
    await life.pass_by(REFRESH)
    assert (life.load(web_model), life.models.problem(web_model)) == (7.0, None)


async def test_a_place_that_is_down_is_told_and_tried_again(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes
) -> None:
    files.raw["/web.onnx"] = refusal(503)
    life.check(web_model)
    await life.pass_by()
    with pytest.raises(ModelError, match=r"^download: .*/web.onnx: the server answered 503; tried again later"):
        life.models.card(web_model)
    del files.raw["/web.onnx"]
    files.put("/web.onnx", seven)
    await life.pass_by(FIRST_RETRY)
    assert life.load(web_model) == 7.0


async def test_pauses_after_failures_double_up_to_the_refresh(
    life: Life, files: FileServer, web_model: ModelRef
) -> None:
    life.check(web_model)
    asked: list[int] = []
    for _ in range(1500):
        before = len(files.asked)
        life.check(web_model)
        await life.pass_by()
        if len(files.asked) > before:
            asked.append(int((life.now - NOW).total_seconds()))
        life.now += timedelta(seconds=1)
    assert asked == [0, 5, 15, 35, 75, 155, 315, 615, 915, 1215]


async def test_a_place_that_goes_down_changes_nothing_but_is_told(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes
) -> None:
    files.put("/web.onnx", seven, '"v1"')
    await life.have(web_model)
    files.raw["/web.onnx"] = refusal(503)
    await life.pass_by(REFRESH)
    assert life.load(web_model) == 7.0
    assert "answered 503" in str(life.models.problem(web_model))
    assert life.fetches == [("https", "new"), ("https", "failed")]


@pytest.mark.parametrize("is_pinned", [False, True])
async def test_a_controller_that_starts_while_the_place_is_down_has_its_models(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes, is_pinned: bool
) -> None:
    files.put("/web.onnx", seven, '"v1"')
    ref = replace(web_model, sha256=sha256(seven)) if is_pinned else web_model
    await life.have(ref)
    await life.models.aclose()
    files.raw["/web.onnx"] = refusal(503)
    life.start()
    assert life.load(ref) == 7.0
    await life.pass_by()
    assert life.load(ref) == 7.0
    assert (life.models.problem(ref) is None) == is_pinned


async def test_a_controller_that_was_away_for_long_clears_nothing_before_all_have_asked(
    life: Life, files: FileServer, web_model: ModelRef, address: str, seven: bytes, nine: bytes
) -> None:
    other = ModelRef(name=f"{address}/other.onnx")
    files.put("/web.onnx", seven)
    files.put("/other.onnx", nine)
    await life.have(web_model)
    await life.have(other)
    await life.models.aclose()
    files.raw |= {"/web.onnx": refusal(503), "/other.onnx": refusal(503)}
    life.now += timedelta(days=30)
    life.start()
    assert life.load(web_model) == 7.0
    await life.pass_by()
    assert life.load(other) == 9.0


async def test_what_no_scaler_names_any_more_goes_in_the_end(
    life: Life, files: FileServer, web_model: ModelRef, address: str, seven: bytes, nine: bytes
) -> None:
    other = ModelRef(name=f"{address}/other.onnx")
    files.put("/web.onnx", seven)
    files.put("/other.onnx", nine)
    await life.have(web_model)
    await life.have(other)
    for path in (life.folder / "cache").iterdir():
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))  # the disk goes by the machine's clock
    for _ in range(9):
        life.now += timedelta(days=1)
        life.check(other)
        life.models.begin()
        await life.models.settled()
    assert life.files() == [f"{sha256(nine)}.onnx"]


async def test_a_controller_that_starts_without_a_cache_says_that_the_place_is_down(
    life: Life, files: FileServer, web_model: ModelRef
) -> None:
    files.raw["/web.onnx"] = refusal(503)
    assert life.check(web_model) == "download"
    await life.pass_by()
    assert life.load(web_model) == "download"


async def test_a_controller_that_starts_again_asks_only_whether_it_changed(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes
) -> None:
    files.put("/web.onnx", seven, '"v1"')
    await life.have(web_model)
    await life.models.aclose()
    life.start()
    await life.have(web_model)
    assert files.statuses == [200, 304]


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
async def test_a_damaged_copy_is_never_used_and_fetched_anew(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes, nine: bytes, damage: str
) -> None:
    files.put("/web.onnx", seven, '"v1"')
    path = life.folder / "cache" / f"{await life.have(web_model)}.onnx"
    await life.models.aclose()
    if damage == "gone":
        life.start().card(web_model)
        path.unlink()
    else:
        path.write_bytes(nine if damage == "changed" else seven[:-100])
        life.start()
    with pytest.raises(
        ModelError, match=r"^download: the copy of .* in the cache is damaged; it is being fetched anew"
    ):
        life.models.card(web_model)
    await life.pass_by()
    assert life.load(web_model) == 7.0
    assert path.read_bytes() == seven


async def test_a_file_that_is_too_large_is_refused(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes
) -> None:
    await life.models.aclose()
    life.max_bytes = len(seven) - 1
    life.start()
    files.put("/web.onnx", seven)
    assert life.check(web_model) == "download"
    await life.pass_by()
    assert life.check(web_model) == "size"


async def test_a_full_cache_is_told_and_what_it_holds_goes_on(
    life: Life, files: FileServer, web_model: ModelRef, address: str, seven: bytes, nine: bytes
) -> None:
    await life.models.aclose()
    life.cache_bytes = len(seven) + 10
    life.start()
    files.put("/web.onnx", seven)
    files.put("/other.onnx", nine)
    other = ModelRef(name=f"{address}/other.onnx")
    await life.have(web_model)
    life.check(other)
    await life.pass_by()
    with pytest.raises(ModelError, match=r"raise PREDICTIVE_SCALER_MODELS_CACHE_MIB"):
        life.models.card(other)
    assert life.load(web_model) == 7.0


async def test_a_folder_that_cannot_be_written_serves_what_it_holds(
    life: Life, files: FileServer, web_model: ModelRef, address: str, seven: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.put("/web.onnx", seven, '"v1"')
    await life.have(web_model)
    await life.models.aclose()

    def closed(*_: object, **__: object) -> tuple[int, str]:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "mkstemp", closed)
    monkeypatch.setattr(os, "utime", closed)
    life.start()
    other = ModelRef(name=f"{address}/other.onnx")
    assert (life.load(web_model), life.check(other)) == (7.0, "download")
    await life.pass_by()
    assert life.load(web_model) == 7.0
    with pytest.raises(
        ModelError, match=r"cannot be written: Read-only file system; give PREDICTIVE_SCALER_MODELS_CACHE"
    ):
        life.models.card(other)


async def test_what_breaks_off_leaves_no_file(life: Life, files: FileServer, web_model: ModelRef, seven: bytes) -> None:
    files.put("/web.onnx", seven)
    files.cut = len(seven) // 2
    life.check(web_model)
    await life.pass_by()
    assert life.check(web_model) == "download"
    assert list((life.folder / "cache").iterdir()) == []


async def test_a_controller_that_ends_half_way_leaves_no_file(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes
) -> None:
    files.put("/web.onnx", seven)
    files.hold = asyncio.Event()
    life.check(web_model)
    life.models.begin()
    await until(lambda: len(files.asked) == 1)
    await life.models.aclose()
    files.hold.set()
    assert list((life.folder / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("https://elsewhere.example/web.onnx", r"fetches models from https://127.0.0.1:\d+/, s3://.* only"),
        ("https://127.0.0.1/../web.onnx", "names no file"),
    ],
)
async def test_a_place_that_is_not_allowed_is_never_asked(life: Life, name: str, words: str) -> None:
    with pytest.raises(ModelError, match=rf"^place: .*{words}"):
        life.models.card(ModelRef(name=name))
    assert life.load(ModelRef(name=name)) == "place"
    with pytest.raises(ModelError, match=r"^place: "):
        await life.models.fetch(ModelRef(name=name))
    await life.pass_by()
    assert life.fetches == []


async def test_a_place_that_is_not_allowed_any_more_is_not_served(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes
) -> None:
    files.put("/web.onnx", seven)
    await life.have(web_model)
    await life.models.aclose()
    life.allowed = ("s3://",)
    life.start()
    assert life.check(web_model) == "place"


async def test_what_nobody_asks_for_is_not_fetched_any_more(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes
) -> None:
    files.put("/web.onnx", seven, '"v1"')
    await life.have(web_model)
    for _ in range(30):
        await life.pass_by(REFRESH)
    assert len(files.asked) == 1 + FORGET // REFRESH
    assert life.load(web_model) == 7.0


async def test_the_memory_of_a_replaced_model_is_let_go(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes, nine: bytes
) -> None:
    for turn, data in enumerate((seven, nine, seven, nine)):
        files.put("/web.onnx", data, f'"{turn}"')
        life.check(web_model)
        await life.pass_by(REFRESH)
        life.load(web_model)
    assert len(life.models._cached._held) == 1


async def test_whoever_can_wait_has_it_at_once(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes
) -> None:
    files.put("/web.onnx", seven)
    await life.models.fetch(web_model)
    assert life.load(web_model) == 7.0
    with pytest.raises(ModelError, match="answered 404"):
        await life.models.fetch(ModelRef(name=web_model.name + "x"))
    await life.models.fetch(ModelRef(name="local"))


async def test_run_fetches_until_it_is_stopped(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes
) -> None:
    files.put("/web.onnx", seven)
    stop = asyncio.Event()
    running = asyncio.create_task(life.models.run(stop))
    life.check(web_model)
    await until(lambda: life.check(web_model) == sha256(seven))  # a tick comes now and then
    stop.set()
    await asyncio.wait_for(running, PATIENCE)


async def test_an_error_that_nobody_foresaw_is_told_and_tried_again(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.put("/web.onnx", seven)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(models_module, "read_model", broken)
        life.check(web_model)
        await life.pass_by()
        with pytest.raises(ModelError, match="RuntimeError: a bug"):
            life.models.card(web_model)
    await life.pass_by(FIRST_RETRY)
    assert life.load(web_model) == 7.0


async def test_a_tag_in_a_registry_is_followed_and_a_digest_is_not(life: Life, seven: bytes, nine: bytes) -> None:
    registry = FakeRegistry()
    async with serve(registry.handle) as address:
        host = address.removeprefix("http://")
        digest = registry.push("v1", seven)
        life.allowed = (f"oci://{host}/",)
        life.start()
        tag, pinned = ModelRef(name=f"oci://{host}/models/web:v1"), ModelRef(name=f"oci://{host}/models/web@{digest}")
        assert (await life.have(tag), await life.have(pinned)) == (sha256(seven), sha256(seven))
        registry.push("v1", nine)
        await life.pass_by(REFRESH)
        assert (life.load(tag), life.load(pinned)) == (9.0, 7.0)


async def test_forecasts_are_those_of_a_local_file(
    life: Life, files: FileServer, web_model: ModelRef, seven: bytes
) -> None:
    files.put("/web.onnx", seven)
    await life.have(web_model)
    (life.folder / "local").mkdir()
    (life.folder / "local" / "same.onnx").write_bytes(seven)
    requests = [ForecastRequest(model=ref, history=HISTORY, zone=UTC) for ref in (web_model, ModelRef(name="same"))]
    placed, local = life.models.forecast(requests)
    assert isinstance(placed, Forecast)
    assert isinstance(local, Forecast)
    np.testing.assert_array_equal(placed.quantiles, local.quantiles)
    assert forecaster.MAX_BYTES == 64 * 2**20
