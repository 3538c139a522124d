"""How does a child die with its parent, however the parent dies? Becomes a program that the kernel kills then.

Run as a script: `tether.py PARENT_PID PROGRAM ARGUMENT...`. Must import nothing outside the standard library.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(parent: int, program: list[str]) -> None:
    """Ask the kernel for SIGKILL at the parent's death, then become `program`."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL):
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit("the parent is gone")
    os.execv(program[0], program)  # noqa: S606 - the program is what the parent asked for


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
