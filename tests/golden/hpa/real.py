"""What does Kubernetes' own controller answer? Builds the Go program beside this file as the sandbox builds its tools.

Nothing is kept but Go's build cache, which the sandbox shares: so it is never older than its source.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sandbox import gobuild
from sandbox.toolchain import KUBERNETES, Bundle, Tool
from tests.golden.hpa.cases import Case, Golden

HERE = Path(__file__).parent
FETCH_SECONDS = 600
RUN_SECONDS = 300
FOREIGN = (
    "k8s.io/kubernetes/pkg/controller/podautoscaler",
    "k8s.io/kubernetes/pkg/apis/autoscaling/validation",
    "k8s.io/client-go/kubernetes/fake",
)


class _Program(Bundle):
    @property
    def module(self) -> Path:
        return HERE


_HPA = Tool(name="hpa", package="predictivescaler.dev/tests/golden/hpa", oldest=(0, 0), too_new=(0, 0))
_PROGRAM = _Program(name="golden-hpa", version=KUBERNETES, tools=(_HPA,), releases=(), usual_build=4.5)


def obstacle() -> str | None:
    """Why the program cannot be built here; None when Go and the modules are there or could be fetched."""
    go = shutil.which("go")
    if go is None:
        return "there is no Go, and the HPA's answers need it"
    # What is not ours only: a mistake in our own source must fail the build, not look like a missing network.
    environment = {**os.environ, "GOWORK": "off", "GOFLAGS": ""}
    command = [go, "list", "-mod=readonly", "-deps", *FOREIGN]
    listing = subprocess.run(
        command, cwd=HERE, env=environment, capture_output=True, text=True, check=False, timeout=FETCH_SECONDS
    )
    if listing.returncode == 0:
        return None
    return f"Kubernetes' Go modules are out of reach: {listing.stderr.strip().rpartition(chr(10))[2]}"


def answers(golden: Golden, report: Callable[[str], None]) -> dict[str, tuple[int, ...]]:
    """The sizes after every sync, by case. Raises gobuild.BuildError, or RuntimeError with what the program said."""
    with tempfile.TemporaryDirectory(prefix="golden-hpa-") as work:
        directory = Path(work) / "bin"
        directory.mkdir()
        gobuild.build(_PROGRAM, (_HPA,), directory, report)
        return _asked(directory / _HPA.name, Path(work), golden)


def _asked(program: Path, work: Path, golden: Golden) -> dict[str, tuple[int, ...]]:
    asked, answered = work / "cases.json", work / "answers.json"
    asked.write_text(json.dumps([_go(golden, case) for case in golden.cases]), encoding="utf-8")
    run = subprocess.run(
        [program, asked, answered], capture_output=True, text=True, check=False, timeout=RUN_SECONDS, cwd=work
    )
    if run.returncode != 0:
        raise RuntimeError(f"the HPA's controller failed:\n{run.stdout[-4000:]}{run.stderr[-4000:]}")
    return {one["name"]: tuple(one["sizes"]) for one in json.loads(answered.read_text(encoding="utf-8"))}


def _go(golden: Golden, case: Case) -> Mapping[str, Any]:
    """As main.go reads it."""
    return {
        "name": case.name,
        "hpa": {
            "minReplicas": case.low,
            "maxReplicas": case.high,
            "kind": case.kind,
            "averageValue": case.average,
            "behavior": golden.behaviors[case.behavior],
        },
        "initial": case.initial,
        "loads": golden.loads[case.loads],
        "outside": dict(case.outside),
        "surge": dict(case.surge),
    }
