"""Writes what is generated from the chart: install.yaml, the example of training, and the reference of the resource."""

from __future__ import annotations

import os

import yaml

from manifests import install, reference
from sandbox.binaries import Search


def main() -> None:
    """Write all of these files."""
    helm = Search.from_environment(os.environ).bundle(install.HELM)["helm"]
    install.FILE.write_text(install.render(helm))
    install.TRAINING_FILE.write_text(install.render_training(helm))
    reference.FILE.write_text(reference.page(yaml.safe_load(install.CRD.read_text())))


if __name__ == "__main__":
    main()
