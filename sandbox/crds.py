"""Which kinds of other projects does a test apply? Their own CRDs, from the Go modules that `toolchain/` pins.

Nothing of them is copied into the project: `go mod download` has them in its cache, checked against go.sum. Must not
apply anything.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sandbox.toolchain import MODULES

DOWNLOAD_SECONDS = 300.0


class CrdError(Exception):
    """The CRDs cannot be had here. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crds:
    """Files of one Go module. `name`: the directory in `toolchain/` that pins it. `files`: within the module."""

    name: str
    module: str
    version: str
    folder: str
    files: tuple[str, ...]

    def paths(self) -> list[Path]:
        """Where the files are on this machine; the first time they are downloaded. Raises CrdError."""
        folder = Path(self._download()["Dir"]) / self.folder
        return [folder / file for file in self.files]

    def _download(self) -> dict[str, str]:
        go = shutil.which("go")
        if go is None:
            raise CrdError(f"the CRDs of {self.module} come by `go mod download`, and there is no Go in PATH")
        done = subprocess.run(
            [go, "mod", "download", "-json", f"{self.module}@v{self.version}"],
            cwd=MODULES / self.name,
            capture_output=True,
            text=True,
            check=False,
            timeout=DOWNLOAD_SECONDS,
            env={**os.environ, "GOWORK": "off", "GOFLAGS": "-mod=readonly"},
        )
        answer: dict[str, str] = json.loads(done.stdout or "{}")
        if done.returncode or "Dir" not in answer:
            raise CrdError(f"{self.module} {self.version}: {answer.get('Error') or done.stderr.strip()}")
        return answer


MONITORING = Crds(
    name="monitoring",
    module="github.com/prometheus-operator/prometheus-operator",
    version="0.85.0",
    folder="example/prometheus-operator-crd",
    files=tuple(f"monitoring.coreos.com_{kind}.yaml" for kind in ("servicemonitors", "podmonitors", "prometheusrules")),
)
ROLLOUTS = Crds(
    name="rollouts",
    module="github.com/argoproj/argo-rollouts",
    version="1.8.3",
    folder="manifests/crds",
    files=("rollout-crd.yaml",),
)
KEDA = Crds(
    name="keda",
    module="github.com/kedacore/keda/v2",
    version="2.21.0",
    folder="config/crd/bases",
    files=("keda.sh_scaledobjects.yaml",),
)
