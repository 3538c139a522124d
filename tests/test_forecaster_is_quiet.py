"""ONNX Runtime tells nobody which models are loaded here: it leaves nothing behind that it would send."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOADED = f"""
from pathlib import Path
from controller.forecaster import load_model
load_model(Path({str(ROOT / "models" / "seasonal-naive.onnx")!r}))
print(len(list(Path("/proc/self/task").iterdir())))
"""


@pytest.mark.slow
def test_loading_a_model_leaves_nothing_in_the_home_directory_and_starts_no_uploader(tmp_path: Path) -> None:
    foreign = ("ORT_", "XDG_", "OPENBLAS_", "OMP_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment |= {"HOME": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"}

    told = subprocess.run(
        (sys.executable, "-c", LOADED), env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout

    assert [path.name for path in tmp_path.rglob("*")] == []
    assert int(told) == 1
