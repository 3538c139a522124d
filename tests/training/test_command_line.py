"""Does the command line do what its help says, and fail in one clear line?"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from controller.forecaster import load_model
from tests.training.shell import invoke
from training import __main__ as command_line
from training.export import ExportError

pytestmark = pytest.mark.slow

_HOURLY = ["--step", "1h", "--season", "1d", "--horizon", "6h"]


def _one_line(text: str) -> bool:
    return text.startswith("error: ") and text.count("\n") == 1


def test_fit_and_backtest_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, fitted, judged = tmp_path / "m.onnx", tmp_path / "fit.json", tmp_path / "backtest.json"
    data = ["--data", "generated:1"]

    assert invoke(monkeypatch, "fit", *data, *_HOURLY, "--out", str(out), "--json", str(fitted)) == 0
    assert invoke(monkeypatch, "backtest", *data, "--model", str(out), "--json", str(judged)) == 0
    horizons = [json.loads(found.read_text())["horizons"] for found in (fitted, judged)]
    assert horizons[0] == horizons[1] == load_model(out).card.scores
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("persistence", "seasonal-naive", "RMSE", "skill against", "sha256"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "absent.csv", "--out", "m.onnx"], "absent.csv cannot be read"),
        (["--data", "generated:1", "--out", "absent/m.onnx"], "no directory absent"),
        (["--data", "generated:1", "--out", "m.bin"], "must end in .onnx"),
        (["--data", "generated:1", "--out", "m.onnx", "--family", "oracle"], "no family 'oracle'"),
        (["--data", "generated:1", "--out", "m.onnx", "--step", "7m"], "must be a multiple of the step"),
        (["--data", "generated:1", "--out", "m.onnx", "--step", "1d"], "the step (1 day, 0:00:00), twice it at least"),
        (["--data", "generated:1", "--out", "m.onnx", "--until", "2024-01-02"], "learning and testing need 3"),
        (["--data", "generated:1", "--out", "m.onnx", "--test-from", "2030-01-01"], "the test cannot begin at 2030"),
        (["--data", "generated:1", "--out", "m.onnx", "--json", "absent/x.json"], "no directory absent"),
        (["--data", "generated:1", "--out", "m.onnx", "--report", ".."], ".. is a directory; name a file in it"),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    assert invoke(monkeypatch, "fit", *arguments) == 2
    shown = capsys.readouterr().err
    assert _one_line(shown), shown
    assert message in shown


@pytest.mark.parametrize(("allowing", "code", "files"), [([], 2, []), (["--allow-worse-than-naive"], 0, ["m.onnx"])])
def test_a_model_that_loses_is_written_only_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowing: list[str], code: int, files: list[str]
) -> None:
    def refuse(_report: object, _family: str) -> None:
        raise ExportError("it loses")

    monkeypatch.setattr("training.export.refuse_losers", refuse)
    out = ["--family", "seasonal-naive", "--out", str(tmp_path / "m.onnx")]

    assert invoke(monkeypatch, "fit", "--data", "generated:1", *_HOURLY, *out, *allowing) == code
    assert [each.name for each in tmp_path.iterdir()] == files


@pytest.mark.parametrize("option", [["--step", "7"], ["--time-zone", "Mars/Olympus"], ["--from", "yesterday"]])
def test_malformed_options_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    assert invoke(monkeypatch, "fit", "--data", "generated:1", "--out", "m.onnx", *option) == 2
    assert option[0] in capsys.readouterr().err


def test_it_runs_as_a_module() -> None:
    found = subprocess.run([sys.executable, "-m", "training", "--help"], capture_output=True, text=True, check=True)

    assert "backtest" in found.stdout


def test_the_shipped_models_are_made_by_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.commands.shipped.SHIPPED", ())  # those that learn take minutes
    assert invoke(monkeypatch, "shipped", "--out", str(tmp_path)) == 0
    assert [each.name for each in tmp_path.iterdir()] == ["seasonal-naive.onnx"]


def test_a_page_and_an_open_loop_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page, found = tmp_path / "m.onnx", tmp_path / "report.html", tmp_path / "found.json"
    data = ["--data", "generated:1"]
    asked = ["--open-loop", "2d", "--report", str(page), "--json", str(found)]

    assert invoke(monkeypatch, "fit", *data, *_HOURLY, "--family", "seasonal-naive", "--out", str(out)) == 0
    assert invoke(monkeypatch, "backtest", *data, "--model", str(out), *asked) == 0
    assert "2 days in one go" in page.read_text()
    assert json.loads(found.read_text())["open_loop"]["seconds"] == 2 * 86400
    assert "2 days, 0:00:00 in one go" in capsys.readouterr().out


def test_a_page_that_cannot_be_written_costs_no_fit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", "generated:1", "--out", str(tmp_path / "m.onnx"), "--report", str(tmp_path / "absent" / "r")]

    assert invoke(monkeypatch, "fit", *arguments) == 2
    assert "no directory" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_page_that_fails_in_the_end_costs_no_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill(_path: Path, _findings: object) -> None:
        raise ExportError("the disk is full")

    monkeypatch.setattr("training.report.write_page", fill)
    page = ["--family", "seasonal-naive", "--report", str(tmp_path / "report.html")]

    assert invoke(monkeypatch, "fit", "--data", "generated:1", *_HOURLY, *page, "--out", str(tmp_path / "m.onnx")) == 2
    assert "the disk is full" in capsys.readouterr().err
    assert load_model(tmp_path / "m.onnx").card.scores


def test_why_a_figure_can_be_goes_into_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "m.onnx"
    family = ["--family", "seasonal-naive", "--because", "the load is planned"]

    assert invoke(monkeypatch, "fit", "--data", "generated:1", *_HOURLY, *family, "--out", str(out)) == 0
    assert load_model(out).card.because == "the load is planned"


@pytest.mark.parametrize("name", ["[red]x:x:", "a[/b]"])
def test_names_are_shown_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = tmp_path / name.rpartition("/")[0]
    folder.mkdir(exist_ok=True)
    out = ["--family", "seasonal-naive", "--out", str(tmp_path / f"{name}.onnx")]

    assert invoke(monkeypatch, "fit", "--data", "generated:1", *_HOURLY, *out) == 0
    assert f"│ {Path(name).name} " in capsys.readouterr().out


@pytest.mark.parametrize(("width", "is_whole"), [("80", False), ("120", True)])
def test_no_terminal_cuts_a_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: str, is_whole: bool
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    out = ["--family", "seasonal-naive", "--out", str(tmp_path / "m.onnx")]

    assert invoke(monkeypatch, "fit", "--data", "generated:1", *_HOURLY, *out) == 0
    shown = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)  # a terminal's colours
    assert "…" not in shown
    assert max(len(line) for line in shown.splitlines() if line[:1] in "│┃┏└") <= int(width)
    assert ("MASE ┃" in shown) == is_whole
    assert ("a wider terminal also shows MAPE" in shown) != is_whole


def test_what_is_odd_about_the_data_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "load.csv"
    rows = [f"2024-01-{day:02}T{hour:02}:00:00Z,{10 + hour}" for day in range(1, 9) for hour in range(24)]
    data.write_text("\n".join(["timestamp,requests", *rows, rows[-1], rows[-2]]))
    out = ["--family", "seasonal-naive", "--out", str(tmp_path / "m.onnx")]

    assert invoke(monkeypatch, "fit", "--data", str(data), *_HOURLY, *out) == 0
    assert "data: 2 rows came at a time that an earlier row had taken, and were left out\n" in capsys.readouterr().out


def test_being_told_to_end_is_as_ctrl_c_and_only_while_a_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(command_line, "app", lambda: signal.raise_signal(signal.SIGTERM))

    with pytest.raises(KeyboardInterrupt):
        command_line.main()
    assert signal.getsignal(signal.SIGTERM) is before
