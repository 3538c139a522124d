"""Is every cell measured by itself, beside the naive forecasts, and missed when it fails?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.training.shell import invoke
from tests.training.small import DAY, HOUR, WINDOW, model, trace
from training import benchmark
from training.backtest import Report
from training.benchmark import Cell, Setting, Task, Trace, run
from training.datasets import Dataset
from training.job import Job

pytestmark = pytest.mark.slow

_DATASET = Dataset(series=trace(), zone=UTC, about="made up")
_SINCE = trace().end - 6 * DAY
_SETTING = Setting(step=HOUR, horizon=6 * HOUR, since=_SINCE, alone=2 * DAY)


def _tasks(*families: str) -> list[Task]:
    job = _SETTING.job(_DATASET, "off")
    return [Task(family=family, job=job, alone=2 * DAY) for family in families]


@pytest.fixture(scope="module")
def cells() -> dict[str, Cell]:
    """Each in a process of its own; `oracle` is no family."""
    found = run(_tasks("persistence", "seasonal-naive", "seasonal-naive-week", "oracle"))
    return {cell.family: cell for cell in found}


def _report(cell: Cell) -> Report:
    assert cell.report is not None, cell.failure
    return cell.report


def test_a_cell_says_what_a_backtest_says(cells: dict[str, Cell]) -> None:
    job = Job.of(_DATASET, WINDOW, _SINCE)
    expected = job.judge(job.baselines()["seasonal-naive"])

    np.testing.assert_allclose(_report(cells["seasonal-naive"]).model.rmse, expected.model.rmse)
    np.testing.assert_allclose(_report(cells["seasonal-naive"]).model.pinball, expected.model.pinball)


def test_skill_is_measured_against_the_cells_of_the_naive_forecasts(cells: dict[str, Cell]) -> None:
    report = _report(cells["seasonal-naive-week"])
    losses = {name: _report(cells[name]).model.loss for name in benchmark.NAIVE}

    assert set(report.baselines) == set(losses)
    assert report.skill == pytest.approx(1 - report.model.loss / min(losses.values()))


def test_a_cell_has_its_costs_and_its_open_loop(cells: dict[str, Cell]) -> None:
    found = cells["seasonal-naive-week"].to_dict()

    assert all(found[name] > 0 for name in ("fit_seconds", "row_microseconds", "megabytes", "file_bytes"))
    assert found["open_loop_rmse"] > 0
    assert set(found["levels_off"]) == {"forecast", "calibrated"}


def test_a_cell_that_fails_says_why(cells: dict[str, Cell]) -> None:
    assert cells["oracle"].report is None
    assert "no family 'oracle'" in str(cells["oracle"].to_dict()["failure"])


def test_a_cell_that_takes_too_long_fails() -> None:
    (cell,) = run(_tasks("lightgbm"), longest=timedelta(milliseconds=1))  # of seconds

    assert "took too long" in str(cell.failure)


def test_the_last_part_is_the_test_where_no_time_is_given() -> None:
    job = Setting(step=HOUR, horizon=HOUR, share=0.25).job(_DATASET, "off")

    assert job.since == trace().end - 7 * DAY


# --- the command


@pytest.fixture
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """One hourly setting on a generated trace."""
    setting = Setting(step=HOUR, horizon=6 * HOUR)
    monkeypatch.setitem(benchmark.TRACES, "nasa", Trace(data="generated:1", settings=(setting,)))


@pytest.mark.usefixtures("_tiny")
def test_the_command_writes_a_table_of_all_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, table = tmp_path / "b.json", tmp_path / "b.md"
    options = ["--families", "seasonal-naive-week", "--clean", "off", "--json", str(out), "--markdown", str(table)]

    assert invoke(monkeypatch, "benchmark", "nasa", *options) == 0
    families = [cell["family"] for cell in json.loads(out.read_text())["cells"]]
    assert families == ["persistence", "seasonal-naive", "seasonal-naive-week"]
    assert [line.split(" | ")[1] for line in table.read_text().splitlines()[2:]] == families
    assert all(name in capsys.readouterr().out for name in families[2:])


@pytest.mark.usefixtures("_tiny")
def test_a_failed_cell_fails_the_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(tasks: Sequence[Task], *, longest: timedelta) -> list[Cell]:
        return [Cell(family=task.family, step=HOUR, failure="it broke") for task in tasks[:1]]

    monkeypatch.setattr("training.commands.benchmark.run", broken)

    assert invoke(monkeypatch, "benchmark", "nasa", "--families", "persistence", "--clean", "off") == 1
    assert "persistence at 1:00:00: it broke" in capsys.readouterr().err


@pytest.mark.usefixtures("_tiny")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mars"], "no benchmark 'mars'"),
        (["nasa", "--families", "oracle"], "no family 'oracle'"),
        (["nasa", "--steps", "2m"], "not judged at steps of 0:02:00"),
        (["nasa", "--json", "absent/b.json"], "no directory absent"),
    ],
)
def test_what_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert invoke(monkeypatch, "benchmark", *arguments) == 2
    assert message in capsys.readouterr().err


def test_rows_are_timed_on_a_past_shorter_than_a_batch() -> None:
    assert benchmark._row_microseconds(model("lightgbm"), _SETTING.job(_DATASET, "off")) > 0
