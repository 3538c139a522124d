"""Serve AWS on loopback until SIGTERM: `python -m sandbox.aws --port 5555`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from types import FrameType

from sandbox.aws.app import serve
from sandbox.aws.settings import SETTINGS, SettingError, from_environment


def main() -> int:
    """Serve; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.aws", description="An AWS endpoint on 127.0.0.1.")
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1")
    port = parser.parse_args().port
    try:
        SETTINGS.change(from_environment(os.environ))
    except SettingError as error:
        print(error, file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, _end)
    serve(port)
    return 0


def _end(_: int, __: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
