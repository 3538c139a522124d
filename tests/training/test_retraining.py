"""Does a challenger win only by being better, on days that neither had seen, and can it be undone?"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.forecaster import OnnxModels, load_model
from controller.spec import ModelRef
from tests.training import small
from tests.training.shell import invoke
from tests.training.test_fleet import member
from training import export, fleet, registry, retraining
from training.backtest import backtest
from training.datasets import Dataset
from training.job import Job
from training.registry import Place
from training.retraining import Decision, Order, RetrainingError, Rules

pytestmark = pytest.mark.slow

NOW = datetime(2024, 2, 1, tzinfo=UTC)
WEEK_BEFORE = small.END - 8 * small.DAY
Floats = NDArray[np.float64]

BETTER = "seasonal-naive-week"  # than persistence on the trace, on nearly every day; fitted in a blink


def order(models: Path, *, family: str = BETTER, rules: Rules | None = None, **changes: Any) -> Order:
    return Order(member=member(family=family, **changes), models=models, now=NOW, rules=rules or Rules())


def put_champion(models: Path, *, family: str, seen_until: datetime = WEEK_BEFORE, **changes: Any) -> bytes:
    """A model in use that saw nothing from `seen_until` on; its bytes."""
    trained = fleet.Order(member=member(family=family, test_from=seen_until, **changes), out=models, now=NOW)
    assert fleet.fit_one(trained).verdict == "fitted"
    return (models / "web.onnx").read_bytes()


def family_in_use(models: Path) -> str:
    return load_model(models / "web.onnx").card.family


def test_a_better_challenger_is_promoted_and_the_old_file_kept(tmp_path: Path) -> None:
    old = put_champion(tmp_path, family="persistence")

    decision = retraining.retrain(order(tmp_path))

    assert (decision.verdict, decision.family, decision.days) == ("promoted", BETTER, 7), decision.why
    assert family_in_use(tmp_path) == BETTER
    assert decision.gain is not None
    assert decision.gain > 0.1
    assert [each.read_bytes() for each in Place(models=tmp_path, name="web").earlier()] == [old]
    assert (decision.since, decision.until) == (small.END - 7 * small.DAY, small.END)


def test_the_challenger_had_not_seen_the_judged_days(tmp_path: Path) -> None:
    put_champion(tmp_path, family="persistence")
    decision = retraining.retrain(order(tmp_path))

    trained = load_model(tmp_path / "web.onnx").card.trained
    assert trained is not None
    assert decision.since is not None
    assert trained.end == decision.since.isoformat()


@pytest.mark.parametrize(("unseen", "days"), [(6, 6), (5, 5)])
def test_the_judged_span_is_cut_to_what_the_champion_had_not_seen(tmp_path: Path, unseen: int, days: int) -> None:
    put_champion(tmp_path, family="persistence", seen_until=small.END - unseen * small.DAY)

    assert retraining.retrain(order(tmp_path)).days == days


def test_a_champion_that_has_seen_the_last_days_is_kept(tmp_path: Path) -> None:
    old = put_champion(tmp_path, family="persistence", seen_until=small.END - 4 * small.DAY)

    decision = retraining.retrain(order(tmp_path))

    assert (decision.verdict, decision.days) == ("kept", None)
    assert "4 days since the champion was trained; it takes 5" in decision.why
    assert (tmp_path / "web.onnx").read_bytes() == old


def test_a_worse_challenger_changes_nothing(tmp_path: Path) -> None:
    old = put_champion(tmp_path, family=BETTER)

    decision = retraining.retrain(order(tmp_path, family="persistence"))

    assert decision.verdict == "kept"
    assert decision.gain is not None
    assert decision.gain < 0
    assert (tmp_path / "web.onnx").read_bytes() == old
    assert Place(models=tmp_path, name="web").earlier() == []


def test_a_gain_below_the_margin_changes_nothing(tmp_path: Path) -> None:
    old = put_champion(tmp_path, family="persistence")

    decision = retraining.retrain(order(tmp_path, rules=Rules(margin=0.9)))

    assert decision.verdict == "kept"
    assert "it takes 90.0%" in decision.why
    assert (tmp_path / "web.onnx").read_bytes() == old


def test_what_loses_to_naive_is_never_promoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The naive forecast stands for it, and beats a champion that is worse than both."""
    put_champion(tmp_path, family="seasonal-naive", data="generated:1")
    refuse = export.refuse_losers

    def refuse_trees(report: Any, family: str) -> None:
        if family == "lightgbm":
            raise export.ExportError("it loses")
        refuse(report, family)

    monkeypatch.setattr("training.export.refuse_losers", refuse_trees)
    decision = retraining.retrain(order(tmp_path, family="lightgbm"))

    assert decision.family in {"persistence", "seasonal-naive", "seasonal-naive-week"}
    assert decision.why.startswith(f"lightgbm lost to {decision.family}, which stands for it; ")
    assert family_in_use(tmp_path) != "lightgbm"


def test_a_missing_champion_is_put_in_place(tmp_path: Path) -> None:
    decision = retraining.retrain(order(tmp_path, family="seasonal-naive"))

    assert (decision.verdict, decision.why, decision.champion) == ("promoted", "there was no model", None)
    assert family_in_use(tmp_path) == "seasonal-naive"


def test_a_broken_champion_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "web.onnx").write_bytes(b"half a model")

    decision = retraining.retrain(order(tmp_path, family="seasonal-naive"))

    assert decision.verdict == "promoted"
    assert decision.why.startswith("the champion is broken (onnx: ")
    assert family_in_use(tmp_path) == "seasonal-naive"


def test_a_champion_of_another_window_is_replaced(tmp_path: Path) -> None:
    put_champion(tmp_path, family=BETTER, horizon=3 * small.HOUR)

    decision = retraining.retrain(order(tmp_path, family="seasonal-naive"))

    assert decision.verdict == "promoted"
    assert "another step, season or horizon" in decision.why
    assert load_model(tmp_path / "web.onnx").card.horizon == 6


@pytest.mark.parametrize("end", [None, "yesterday", "2024-01-20T00:00:00"])
def test_a_champion_that_does_not_say_what_it_saw_is_kept(tmp_path: Path, end: str | None) -> None:
    card = small.model("persistence").card
    assert card.trained is not None
    trained = None if end is None else replace(card.trained, end=end)
    export.write(small.fitted("persistence"), replace(card, trained=trained), tmp_path / "web.onnx")

    decision = retraining.retrain(order(tmp_path))

    assert decision.verdict == "kept"
    assert "no day is known to be unseen" in decision.why


def test_what_cannot_be_read_is_a_failed_row_and_touches_nothing(tmp_path: Path) -> None:
    decision = retraining.retrain(order(tmp_path, data="absent.csv"))

    assert decision.verdict == "failed"
    assert "absent.csv cannot be read" in decision.why
    assert list(tmp_path.glob("*.onnx")) == []


def test_daily_losses_add_up_to_the_backtest_of_the_same_questions() -> None:
    """Over all days they are what the report means over: count of values x mean loss, step by step."""
    job = Job(dataset=Dataset(series=small.trace(), zone=UTC, about=""), window=small.WINDOW, since=WEEK_BEFORE)
    models = [small.model("persistence"), small.model("seasonal-naive")]

    losses = retraining.daily_losses(models, job)

    assert losses.shape == (2, 8)
    for model, days in zip(models, losses, strict=True):
        score = backtest(model, {"naive": models[1]}, small.trace(), UTC, WEEK_BEFORE).model
        assert days.sum() == pytest.approx((score.pinball * score.count[:, None]).sum(), rel=1e-9)


def test_daily_losses_of_one_day_are_those_of_its_origins() -> None:
    """By the slow way: one question after another, one level after another."""
    series, window, model = small.trace(), small.WINDOW, small.model("seasonal-naive")
    job = Job(dataset=Dataset(series=series, zone=UTC, about=""), window=window, since=WEEK_BEFORE)
    first = len(job.past) - 1
    expected = 0.0
    for origin in range(first, first + 24):
        history = series.values[origin + 1 - window.context : origin + 1].astype(np.float32)
        end = series.end - (len(series) - 1 - origin) * series.step
        said = model.predict(history[None], np.array([int(end.timestamp())], np.int64))[0].astype(np.float64)
        for step, row in enumerate(said, start=1):
            for level, quantile in zip(model.card.levels, row, strict=True):
                over = series.values[origin + step] - quantile
                expected += max(level * over, (level - 1) * over)

    assert retraining.daily_losses([model], job)[0, 0] == pytest.approx(expected, rel=1e-9)


ONE_BAD_DAY = np.array([10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 100.0])


@pytest.mark.parametrize(
    ("champion", "challenger", "is_win", "gain", "chance"),
    [
        (np.full(7, 10.0), np.full(7, 9.0), True, 0.1, 1 / 128),
        (np.full(7, 10.0), np.full(7, 9.9), False, 0.01, 1 / 128),  # below the margin
        (np.full(7, 10.0), np.full(7, 10.0), False, 0.0, 1.0),
        (np.full(7, 10.0), np.full(7, 11.0), False, -0.1, 1.0),
        (np.full(4, 10.0), np.full(4, 5.0), False, 0.5, 1 / 16),  # four days cannot tell
        (ONE_BAD_DAY, np.minimum(ONE_BAD_DAY, 10.0), False, 90 / 160, 0.5),  # one day alone does not decide
        (np.zeros(7), np.ones(7), False, 0.0, 1.0),
    ],
)
def test_the_challenger_must_save_enough_and_on_most_days(
    champion: Floats, challenger: Floats, is_win: bool, gain: float, chance: float
) -> None:
    found = retraining.compare(champion, challenger, Rules())

    assert found.is_win is is_win
    assert found.gain == pytest.approx(gain)
    assert found.chance == pytest.approx(chance)


def test_of_equally_good_models_few_challengers_win() -> None:
    """At most 5 % of 400 comparisons, whatever the margin; 5 % + 2 standard errors of the count are allowed for."""
    random = np.random.default_rng(3)
    levels = random.lognormal(0.0, 0.3, (400, 7))
    pairs = levels[:, None, :] * (1 + 0.1 * random.standard_normal((400, 2, 7)))
    wins = [retraining.compare(one, other, Rules(margin=0.0)).is_win for one, other in pairs]

    assert 0 < np.mean(wins) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fewest": 8}, "--fewest 8 and --days 7"),
        ({"days": 17}, "to 16"),
        ({"fewest": 3}, "3 days cannot tell what happens by chance in 0.05 of cases; take --fewest 5"),
        ({"margin": 1.5}, "--margin"),
        ({"keep": 0}, "--keep"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RetrainingError, match=message):
        Rules(**changes)


def test_the_last_few_old_files_are_kept(tmp_path: Path) -> None:
    place = Place(models=tmp_path, name="web")
    for number in range(5):
        place.path.write_bytes(b"%d" % number)
        place.retire(3)
        for age, old in enumerate(place.earlier()):
            os.utime(old, ns=(10**18 + (number - age) * 10**9,) * 2)  # within one tick of the clock they look the same

    assert [old.read_bytes() for old in place.earlier()] == [b"4", b"3", b"2"]


def test_models_whose_names_begin_alike_keep_their_own_files(tmp_path: Path) -> None:
    web, shop = Place(models=tmp_path, name="web"), Place(models=tmp_path, name="web-shop")
    for place in (web, shop):
        place.path.write_bytes(place.name.encode())
        place.retire(3)

    assert [old.read_bytes() for old in web.earlier()] == [b"web"]
    assert [old.read_bytes() for old in shop.earlier()] == [b"web-shop"]


def test_a_promotion_can_be_rolled_back_and_so_can_that(tmp_path: Path) -> None:
    place = Place(models=tmp_path, name="web")
    old = put_champion(tmp_path, family="persistence")
    retraining.retrain(order(tmp_path))
    new = place.path.read_bytes()

    retraining.roll_back(place, NOW, 3)
    assert place.path.read_bytes() == old
    assert [each.read_bytes() for each in place.earlier()] == [new]
    retraining.roll_back(place, NOW, 3)
    assert place.path.read_bytes() == new
    assert [each.read_bytes() for each in place.earlier()] == [old]


def test_rolling_back_passes_over_a_broken_file(tmp_path: Path) -> None:
    place = Place(models=tmp_path, name="web")
    old = put_champion(tmp_path, family="persistence")
    place.retire(3)
    place.path.write_bytes(b"broken")
    place.retire(3)

    assert "rolled back to" in retraining.roll_back(place, NOW, 3).why
    assert place.path.read_bytes() == old


def test_there_must_be_something_to_roll_back_to(tmp_path: Path) -> None:
    with pytest.raises(RetrainingError, match="no sound earlier model of 'web'"):
        retraining.roll_back(Place(models=tmp_path, name="web"), NOW, 3)


def test_every_decision_is_written_down_with_its_reason(tmp_path: Path) -> None:
    put_champion(tmp_path, family="persistence", seen_until=small.END - 4 * small.DAY)
    decision = retraining.retrain(order(tmp_path))

    (noted,) = json.loads((tmp_path / "decisions" / "web.json").read_text())
    assert noted == decision.to_dict()
    assert (noted["verdict"], noted["time"]) == ("kept", NOW.isoformat())


def test_the_log_keeps_the_last_decisions_and_outlives_a_broken_one(tmp_path: Path) -> None:
    place = Place(models=tmp_path, name="web")
    (tmp_path / "decisions").mkdir()
    (tmp_path / "decisions" / "web.json").write_text("[{")
    for number in range(12):
        place.note({"number": number})

    assert [each["number"] for each in place.log()] == list(range(2, 12))
    assert [each.name for each in (tmp_path / "decisions").iterdir()] == ["web.json"]


def test_the_controller_never_meets_half_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What breaks while the winner is written leaves the champion in use, and no other file that looks like a model."""
    old = put_champion(tmp_path, family="persistence")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    decision = retraining.retrain(order(tmp_path))

    assert decision.verdict == "failed"
    assert "No space left" in decision.why
    assert (tmp_path / "web.onnx").read_bytes() == old
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == ["web.onnx"]


def test_the_controller_sees_the_promoted_model_at_once(tmp_path: Path) -> None:
    put_champion(tmp_path, family="persistence")
    models = OnnxModels([tmp_path])
    before = models.card(ModelRef(name="web"))[0].family
    retraining.retrain(order(tmp_path))

    assert (before, models.card(ModelRef(name="web"))[0].family) == ("persistence", BETTER)


def test_what_a_killed_run_left_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / ".web.onnx.x1").touch()
    retraining.retrain(order(tmp_path, family="seasonal-naive"))

    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == ["web.onnx"]
    assert registry.is_sound(tmp_path / "web.onnx")


def test_the_command_line_retrains_and_rolls_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = put_champion(tmp_path, family="persistence")
    roster = tmp_path / "fleet.yaml"
    entries = "[{name: web, data: 'generated:1'}, {name: gone, data: absent.csv}]"
    roster.write_text(
        f"defaults: {{step: 1h, season: 1d, horizon: 6h, family: {BETTER}, clean: off}}\nseries: {entries}\n"
    )
    told = tmp_path / "told.json"

    models = ("--models", str(tmp_path))
    code = invoke(monkeypatch, "retrain", "--fleet", str(roster), *models, "--workers", "1", "--json", str(told))
    assert code == 1
    assert "2 models: 1 promoted, 0 kept, 1 failed" in capsys.readouterr().out
    assert {each["name"]: each["verdict"] for each in json.loads(told.read_text())} == {
        "web": "promoted",
        "gone": "failed",
    }
    assert invoke(monkeypatch, "retrain", "--rollback", "web", *models) == 0
    assert (tmp_path / "web.onnx").read_bytes() == old


def test_a_decision_says_what_it_was_made_of() -> None:
    decision = Decision(name="web", time=NOW, verdict="kept", why="", since=NOW - timedelta(days=1))

    assert decision.to_dict()["since"] == "2024-01-31T00:00:00+00:00"
