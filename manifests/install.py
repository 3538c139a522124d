"""What does `kubectl apply` need to install everything? The chart with its defaults, rendered by helm."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sandbox.toolchain import BUNDLES

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts/predictive-scaler"
CRD = CHART / "crds/predictivescalers.yaml"
FILE = ROOT / "manifests/install.yaml"
HELM = next(bundle for bundle in BUNDLES if bundle.name == "helm")
NAME = "predictive-scaler"
TRAINING = ROOT / "manifests/examples/training"
TRAINING_FILE = TRAINING / "rendered.yaml"
_OF_TRAINING = ("training-fleet", "training-job", "retraining-cronjob")

HEAD = f"""\
# Written by `make manifests` from charts/predictive-scaler; change the chart instead.
apiVersion: v1
kind: Namespace
metadata:
  name: {NAME}
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""

TRAINING_HEAD = """\
# Written by `make manifests` from charts/predictive-scaler with values.yaml beside it; change these instead.
"""


def render(helm: Path, *settings: str) -> str:
    """The chart and a namespace for it as one YAML file; `settings` are helm's own flags."""
    command = [str(helm), "template", NAME, str(CHART), "--namespace", NAME, "--skip-tests", *settings]
    rendered = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own words
    return HEAD + rendered.stdout


def render_training(helm: Path) -> str:
    """The example of training as one YAML file, for those without helm."""
    parts = [f"--show-only=templates/{part}.yaml" for part in _OF_TRAINING]
    values = f"--values={TRAINING / 'values.yaml'}"
    command = [str(helm), "template", NAME, str(CHART), "--namespace", NAME, values, *parts]
    rendered = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own words
    return TRAINING_HEAD + rendered.stdout
