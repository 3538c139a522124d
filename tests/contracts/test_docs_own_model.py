"""Do the commands of "Bring your own model" work, and does the example compute what its page says?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.forecaster import Model, load_model
from tests.training.small import DAY
from training.generated import generate

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "bring-your-own.md"
_FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DEVIATIONS = np.array([-1.645, -1.282, -0.674, 0.0, 0.674, 1.282, 1.645, 2.326])
_FIVE_MINUTES = timedelta(minutes=5)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the page takes from a clone, and a CSV of traffic."""
    folder = tmp_path_factory.mktemp("clone")
    for part in ("docs", "controller", "training"):
        (folder / part).symlink_to(ROOT / part)
    (folder / "models").mkdir()
    past = generate(1, step=_FIVE_MINUTES, season=DAY, seasons=12)
    times = (past.start + _FIVE_MINUTES * place for place in range(len(past.values)))
    rows = (f"{time.isoformat()},{value}\n" for time, value in zip(times, past.values, strict=True))
    (folder / "traffic.csv").write_text("timestamp,load\n" + "".join(rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def said(clone: Path) -> list[str]:
    """What each command of the page says."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "120"}
    return [_run(command, clone, environment) for command in _FENCE.findall(PAGE.read_text(encoding="utf-8"))]


def _run(command: str, folder: Path, environment: dict[str, str]) -> str:
    ran = subprocess.run(
        ["bash", "-euc", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=250, check=False
    )
    assert ran.returncode == 0, command + ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def model(clone: Path, said: list[str]) -> Model:
    assert said
    return load_model(clone / "models" / "seasonal-mean.onnx")


def test_the_commands_say_what_the_page_says(said: list[str]) -> None:
    made, checked, judged = said
    assert (made, checked.strip()) == ("", "seasonal-mean")
    assert "seasonal-mean, tested from" in judged


def _expected(history: NDArray[np.float64]) -> NDArray[np.float64]:
    """One row in plain numpy, step by step."""
    rows = []
    for step in range(72):
        known = [history[day * 288 + step] for day in range(3) if np.isfinite(history[day * 288 + step])]
        mean = float(np.mean(known)) if known else float(np.nanmean(history))
        spread = float(np.std(known)) if known else mean
        rows.append(np.maximum(mean + max(spread, 0.05 * mean) * _DEVIATIONS, 0.0))
    return np.array(rows)


@pytest.mark.parametrize("share_missing", [0.0, 0.3, 0.9])
def test_the_example_is_what_numpy_makes_of_it(model: Model, share_missing: float) -> None:
    random = np.random.default_rng(1)  # seeded
    history = random.uniform(0, 500, 864).astype(np.float32)
    history[random.uniform(size=864) < share_missing] = np.nan

    found = model.predict(history[np.newaxis], np.array([0]))[0]

    np.testing.assert_allclose(found, _expected(history.astype(np.float64)), rtol=1e-4, atol=1e-3)
