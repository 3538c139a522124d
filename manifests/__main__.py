"""Writes what is generated: install.yaml, the example of training, dashboards and rules, and the pages of reference."""

from __future__ import annotations

import os

import yaml

from manifests import chart_page, install, reference, settings_page
from manifests.observability import files
from sandbox.binaries import Search


def main() -> None:
    """Write all of these files."""
    files.write()
    helm = Search.from_environment(os.environ).bundle(install.HELM)["helm"]
    install.FILE.write_text(install.render(helm))
    install.TRAINING_FILE.write_text(install.render_training(helm))
    reference.FILE.write_text(reference.page(yaml.safe_load(install.CRD.read_text())))
    settings_page.FILE.write_text(settings_page.page())
    chart_page.FILE.write_text(chart_page.page(chart_page.VALUES.read_text()))


if __name__ == "__main__":
    main()
