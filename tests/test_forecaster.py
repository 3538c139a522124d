"""Are models found, checked once, reloaded when they change, and asked in batches?"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from controller import forecaster
from controller.core.forecast import Forecast
from controller.core.series import Series
from controller.forecaster import OnnxModels, local_seconds
from controller.ports import ForecastRequest, ModelError, Models
from controller.spec import ModelRef
from tests.training.small import END, HOUR, WINDOW, fitted, model, trace
from training.export import write

NAIVE = ModelRef(name="naive")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds `naive.onnx`."""
    write(fitted("seasonal-naive"), model("seasonal-naive").card, tmp_path / "naive.onnx")
    return tmp_path


def _asked(history: Series, ref: ModelRef = NAIVE, zone: tzinfo = UTC) -> ForecastRequest:
    return ForecastRequest(model=ref, history=history, zone=zone)


def _check(models: Models, *requests: ForecastRequest) -> list[str]:
    """The failed check of each answer, "" for a forecast."""
    return [answer.check if isinstance(answer, ModelError) else "" for answer in models.forecast(requests)]


def _level(level: float, count: int = 48) -> Series:
    return Series(end=END, step=HOUR, values=np.full(count, level))


def test_a_forecast_begins_where_the_history_ends(folder: Path) -> None:
    (answer,) = OnnxModels([folder]).forecast([_asked(trace())])

    assert isinstance(answer, Forecast)
    assert (answer.origin, answer.step, answer.horizon) == (trace().end, HOUR, 6 * HOUR)
    np.testing.assert_allclose(answer.at_level(0.5), trace().values[-24:-18], rtol=1e-6)


def test_a_forecast_repeats_after_the_season_on_its_card(folder: Path) -> None:
    weekly = replace(model("seasonal-naive").card, season_seconds=604_800)
    write(fitted("seasonal-naive"), weekly, folder / "naive.onnx")
    (answer,) = OnnxModels([folder]).forecast([_asked(trace())])

    assert isinstance(answer, Forecast)
    assert answer.season == timedelta(weeks=1)


def test_answers_keep_the_order_of_requests(folder: Path) -> None:
    levels = [3.0, 1.0, 2.0] * 30
    answers = OnnxModels([folder]).forecast([_asked(_level(level)) for level in levels])

    assert [answer.at_level(0.5)[0] for answer in answers if isinstance(answer, Forecast)] == pytest.approx(levels)


def test_one_bad_request_does_not_touch_the_others(folder: Path) -> None:
    other_step = Series(end=END, step=timedelta(minutes=5), values=np.ones(48))
    infinite = Series(end=END, step=HOUR, values=np.array([1.0, 1e300]))
    requests = [_level(1.0), other_step, _level(float("nan")), _level(0.0, count=0), infinite, _level(2.0)]

    with np.errstate(over="ignore"):
        found = _check(OnnxModels([folder]), *map(_asked, requests))
    assert found == ["", "step", "not-enough-history", "not-enough-history", "output-finite", ""]


def test_a_missing_model_fails_its_own_requests_only(folder: Path) -> None:
    absent = ModelRef(name="absent")

    assert _check(OnnxModels([folder]), _asked(trace(), absent), _asked(trace())) == ["file", ""]


@pytest.mark.parametrize("name", ["../naive", "naive/../naive", "/etc/passwd", ".naive", "", "naive.onnx\n", "a b"])
def test_a_name_cannot_leave_the_folders(folder: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"^name: "):
        OnnxModels([folder / "below"]).card(ModelRef(name=name))


def test_the_first_folder_wins(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    write(fitted("persistence"), model("persistence").card, own / "naive.onnx")

    assert OnnxModels([own, folder]).card(NAIVE)[0].family == "persistence"


def test_a_replaced_file_is_read_again(folder: Path) -> None:
    models = OnnxModels([folder])
    before = models.card(NAIVE)[0].family
    write(fitted("persistence"), model("persistence").card, folder / "naive.onnx")

    assert (before, models.card(NAIVE)[0].family) == ("seasonal-naive", "persistence")


def test_a_file_is_parsed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = OnnxModels([folder])
    models.card(NAIVE)
    monkeypatch.delattr(forecaster, "read_model")

    assert models.card(NAIVE)[0].family == "seasonal-naive"


def test_a_refused_file_is_tried_again_only_when_it_has_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = OnnxModels([folder])
    good = (folder / "naive.onnx").read_bytes()
    (folder / "naive.onnx").write_bytes(good[: len(good) // 2])
    with monkeypatch.context() as patch:
        first = _check(models, _asked(trace()))
        patch.delattr(forecaster, "read_model")
        again = _check(models, _asked(trace()))
    (folder / "naive.onnx").write_bytes(good)

    assert [first, again, _check(models, _asked(trace()))] == [["onnx"], ["onnx"], [""]]


def test_the_wanted_digest_is_accepted_in_either_case(folder: Path) -> None:
    digest = OnnxModels([folder]).card(NAIVE)[1]

    assert OnnxModels([folder]).card(ModelRef(name="naive", sha256=digest.upper()))[1] == digest


def test_a_file_of_another_digest_is_not_even_parsed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(forecaster, "read_model")

    with pytest.raises(ModelError, match=r"^sha256: .*the spec asks for 00"):
        OnnxModels([folder]).card(ModelRef(name="naive", sha256="00" * 32))


def test_one_scaler_may_pin_a_digest_that_another_does_not(folder: Path) -> None:
    pinned = ModelRef(name="naive", sha256="00" * 32)

    assert _check(OnnxModels([folder]), _asked(trace(), pinned), _asked(trace())) == ["sha256", ""]


def test_a_file_above_the_limit_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"^size: "):
        OnnxModels([folder], max_bytes=100).card(NAIVE)


def test_a_directory_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "naive.onnx").mkdir()

    with pytest.raises(ModelError, match=r"^file: naive\.onnx cannot be read"):
        OnnxModels([tmp_path]).card(NAIVE)


def test_a_link_to_another_file_counts_as_a_change(folder: Path) -> None:
    """As Kubernetes updates a mounted ConfigMap."""
    write(fitted("persistence"), model("persistence").card, folder / "new.onnx")
    (folder / "linked.onnx").symlink_to(folder / "naive.onnx")
    models = OnnxModels([folder])
    before = models.card(ModelRef(name="linked"))[0].family
    (folder / "next").symlink_to(folder / "new.onnx")
    os.replace(folder / "next", folder / "linked.onnx")  # noqa: PTH105  # rename(2) is what is meant

    assert (before, models.card(ModelRef(name="linked"))[0].family) == ("seasonal-naive", "persistence")


@pytest.mark.parametrize(
    ("zone", "hours"),
    [(UTC, 0), (timezone(timedelta(hours=-4)), -4), (ZoneInfo("Europe/Berlin"), 2), (ZoneInfo("Asia/Kolkata"), 5.5)],
)
def test_the_origin_is_what_the_clocks_show(zone: tzinfo, hours: float) -> None:
    time = datetime(2024, 7, 1, 12, tzinfo=UTC)

    assert local_seconds(time, zone) == time.timestamp() + hours * 3600


def test_the_origin_follows_summer_time() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    before, after = datetime(2024, 3, 31, 0, 59, tzinfo=UTC), datetime(2024, 3, 31, 1, 0, tzinfo=UTC)

    assert local_seconds(after, berlin) - local_seconds(before, berlin) == 60 + 3600


def test_the_context_is_filled_from_what_there_is(folder: Path) -> None:
    (answer,) = OnnxModels([folder]).forecast([_asked(_level(7.0, count=3))])

    assert isinstance(answer, Forecast)
    assert len(answer.quantiles) == WINDOW.horizon
    np.testing.assert_allclose(answer.at_level(0.5), 7.0)
