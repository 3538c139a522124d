"""What does a command of training answer? Runs the command line inside the test's own process."""

from __future__ import annotations

import sys

import pytest

from training import __main__ as command_line


def invoke(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `predictive-scaler-train ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["predictive-scaler-train", *arguments])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    return int(ended.value.code or 0)
