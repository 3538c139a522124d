"""Does the command line fit the family that was asked for, or the best of all?"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest

from controller.forecaster import load_model
from training import __main__ as command_line
from training.commands import choosing
from training.commands.choosing import Wanted
from training.families.catalogue import FAMILIES
from training.families.ensemble import Ensemble
from training.families.family import Family, FitError, Progress

pytestmark = pytest.mark.slow

_HOURLY = ["--data", "generated:1", "--step", "1h", "--season", "1d", "--horizon", "6h"]


def test_auto_fits_the_best_of_all_and_shows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(_progress: Progress) -> Family:
        raise FitError("it needs [training,deep]")

    few = {name: FAMILIES[name] for name in ("persistence", "seasonal-naive", "ets")}
    monkeypatch.setattr(choosing, "FAMILIES", {**few, "absent": absent})
    monkeypatch.setitem(FAMILIES, "absent", absent)
    arguments = [
        "fit",
        *_HOURLY,
        "--family",
        "auto",
        "--budget",
        "1h",
        "--clean",
        "off",
        "--out",
        str(tmp_path / "m.onnx"),
    ]
    monkeypatch.setattr(sys, "argv", ["predictive-scaler-train", *arguments])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    printed = capsys.readouterr().out

    assert ended.value.code == 0
    assert load_model(tmp_path / "m.onnx").card.family == "ets"
    assert "ets is the champion: its pinball loss" in printed
    assert all(
        word in printed for word in ("persistence", "seasonal-naive", "before the test begins", "[training,deep]")
    )


def test_members_are_those_of_the_ensemble() -> None:
    wanted = Wanted.of("ensemble", "ets,lightgbm", None)
    found = wanted.find("ensemble")

    assert isinstance(found, Ensemble)
    assert found.members == ("ets", "lightgbm")
    assert wanted.find("ets").name == "ets"


@pytest.mark.parametrize(
    ("name", "members", "budget", "message"),
    [
        ("oracle", None, None, "there is no family 'oracle'"),
        ("lightgbm", "ets", None, "use --family ensemble or auto, not lightgbm"),
        ("auto", "ets,oracle", None, "an ensemble cannot have 'oracle'"),
        ("ensemble", "ensemble", None, "an ensemble cannot have 'ensemble'"),
        ("lightgbm", None, timedelta(minutes=1), "--budget is for --family auto, not lightgbm"),
    ],
)
def test_what_does_not_fit_together_is_refused_before_reading(
    name: str, members: str | None, budget: timedelta | None, message: str
) -> None:
    with pytest.raises(FitError, match=message):
        Wanted.of(name, members, budget)
