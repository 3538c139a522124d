"""Writes what is generated from the chart: manifests/install.yaml and docs/reference/predictivescaler.md."""

from __future__ import annotations

import os

import yaml

from manifests import install, reference
from sandbox.binaries import Search


def main() -> None:
    """Write both files."""
    helm = Search.from_environment(os.environ).bundle(install.HELM)["helm"]
    install.FILE.write_text(install.render(helm))
    reference.FILE.write_text(reference.page(yaml.safe_load(install.CRD.read_text())))


if __name__ == "__main__":
    main()
