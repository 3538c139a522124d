"""How do installed packages become what an image holds? `python -m image ROOT`, the last step of the build stage.

In this order: what nobody uses goes (prune.py), modules are compiled, so that a read-only root does not compile them at
each start, the bill of materials is written (sbom.py), and what should not be there ends the build (contents.py).
"""

from __future__ import annotations

import argparse
import compileall
import sys
from collections.abc import Sequence
from pathlib import Path
from py_compile import PycInvalidationMode

from image.contents import APPLICATION, LIBRARY, SBOM, faults, size, tidy
from image.prune import RULES, PruneError, Taken, prune, read
from image.sbom import Build, sbom

MEGA = 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when the tree is as an image should be, 1 with the reasons when not."""
    given = _parser().parse_args(arguments)
    root: Path = given.root
    try:
        taken = prune(root / LIBRARY, read(RULES.read_text(encoding="utf-8")))
    except PruneError as error:
        return _refuse(str(error))
    _compile(root)
    _write_sbom(root, Build(**{name: value for name, value in vars(given).items() if name != "root"}))
    tidy(root)
    if found := faults(root):
        return _refuse(*found)
    _tell(root, taken)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m image", description="Make an image of installed packages.")
    parser.add_argument("root", type=Path, help="the folder that becomes / of the image")
    parser.add_argument("--version", required=True, help="the release")
    parser.add_argument("--revision", default="", help="the commit")
    parser.add_argument("--created", default="", help="when, as RFC 3339 writes it")
    parser.add_argument("--base", default="", help="the image below")
    parser.add_argument("--base-digest", default="", help="its digest")
    return parser


def _compile(root: Path) -> None:
    """Not checked against the source at run time: nobody can change either."""
    for folder in (LIBRARY, APPLICATION):
        compileall.compile_dir(
            root / folder,
            quiet=2,
            force=True,
            workers=0,
            stripdir=root,
            prependdir="/",
            invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        )


def _write_sbom(root: Path, build: Build) -> None:
    file = root / SBOM
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(sbom(root / LIBRARY, root / APPLICATION / "models", build), encoding="utf-8")


def _refuse(*reasons: str) -> int:
    sys.stderr.writelines(f"image: {reason}\n" for reason in reasons)
    return 1


def _tell(root: Path, taken: Sequence[Taken]) -> None:
    for one in taken:
        sys.stdout.write(f"{one.rule.of:12} -{one.bytes / MEGA:5.1f} MB in {one.files:4} files: {one.rule.why}\n")
    sys.stdout.write(f"{size(root) / MEGA:.1f} MB are left, compiled modules and models among them\n")


if __name__ == "__main__":
    sys.exit(main())
