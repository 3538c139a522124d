"""How is an image's program started without an engine? In a root of its own, read-only, as the image's user.

The root holds the image's /app and /opt, this machine's Python with the libraries it needs, a /tmp of its own, and
nothing else: neither the repository nor .venv nor a home directory. That takes mount namespaces; where these are not
allowed, the program runs with its paths led to the tree instead, and `Jail.kind` says so.
"""

from __future__ import annotations

import functools
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OF_THE_IMAGE = ("app", "opt")
OF_THE_MACHINE = ("/usr", "/lib", "/lib64", "/bin", "/etc/ssl", "/etc/hosts", "/etc/resolv.conf")
DEVICES = ("/dev/null", "/dev/urandom")
USER = "65532"

PYTHON = Path(sys.executable).resolve()

_UNSHARE = {
    "as 65532 in a root of its own": ("unshare", "--mount", "--propagation", "private"),
    "in a root of its own": ("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Jail:
    """Where programs of the image's tree at `tree` run; `place` is an empty folder for it.

    `shared`: folders and files of the machine that are there as well, read-only, at the same paths. `python`: whose
    standard library is used, installed below a prefix as make install does.
    """

    tree: Path
    place: Path
    shared: tuple[Path, ...] = ()
    python: Path = PYTHON

    @property
    def kind(self) -> str:
        """How much is kept apart here."""
        return _possible() or "with its paths led to the tree"

    def argv(self, command: Sequence[str], environment: Mapping[str, str], workdir: str) -> tuple[str, ...]:
        """What starts `command`, whose first word is `python`, as a container would with `environment`.

        The process that is started becomes the program. `-S`: no packages of the machine's own Python.
        """
        program = (str(self.python), "-S", *command[1:])
        if not _possible():
            return self._led(program, environment, workdir)
        variables = [f"{name}={value}" for name, value in environment.items()]
        inside = ("/usr/bin/env", "-i", "-C", workdir, *variables, *program)
        return (*_absolute(_UNSHARE[self.kind]), "/bin/sh", "-ec", self._script(inside))

    def _led(self, program: Sequence[str], environment: Mapping[str, str], workdir: str) -> tuple[str, ...]:
        paths = environment.get("PYTHONPATH", "").split(":")
        led = {**environment, "PYTHONPATH": ":".join(f"{self.tree}{path}" for path in paths)}
        variables = [f"{name}={value}" for name, value in led.items()]
        return ("/usr/bin/env", "-i", "-C", f"{self.tree}{workdir}", *variables, *program)

    def _script(self, inside: Sequence[str]) -> str:
        """For a shell in namespaces of its own: build the root, and become the program in it."""
        pairs = [(self.tree / name, f"/{name}") for name in OF_THE_IMAGE]
        pairs += [
            (Path(path), path)
            for path in (*OF_THE_MACHINE, *DEVICES, str(self.python.parents[1]))
            if Path(path).exists()
        ]
        pairs += [(path, str(path)) for path in self.shared]
        lines = [line for source, target in pairs for line in self._bind(source, target)]
        root = shlex.quote(str(self.place))
        user = (f"--userspec={USER}:{USER}", "--groups=") if "65532" in self.kind else ()
        return "\n".join(
            [
                f"mount -t tmpfs -o mode=755 jail {root}",
                f"mkdir -p {root}/proc {root}/tmp",
                f"mount -t tmpfs -o mode=1777 jail {root}/tmp",
                *lines,
                f"mount --rbind /proc {root}/proc",
                f"mount -o remount,bind,ro {root}",
                "exec " + shlex.join((shutil.which("chroot") or "/usr/sbin/chroot", *user, str(self.place), *inside)),
            ]
        )

    def _bind(self, source: Path, target: str) -> list[str]:
        there, point = shlex.quote(str(source.resolve())), shlex.quote(f"{self.place}{target}")
        make = f"mkdir -p {point}" if source.is_dir() else f"mkdir -p $(dirname {point}); touch {point}"
        freeze = [] if target in DEVICES else [f"mount -o remount,bind,ro {point}"]
        return [make, f"mount --rbind {there} {point}", *freeze]


def _absolute(command: Sequence[str]) -> tuple[str, ...]:
    return (shutil.which(command[0]) or command[0], *command[1:])


@functools.cache
def _possible() -> str | None:
    """The best way that this machine allows."""
    script = "d=$(mktemp -d); mount -t tmpfs jail $d; mkdir $d/usr; mount --rbind /usr $d/usr; umount -l $d; rmdir $d"
    for kind, unshare in _UNSHARE.items():
        tried = subprocess.run((*unshare, "/bin/sh", "-ec", script), capture_output=True, check=False)
        if tried.returncode == 0:
            return kind
    return None
