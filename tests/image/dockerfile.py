"""What does the Dockerfile say, and what comes of it without an engine? Reads it, and follows its steps in folders.

Each stage gets a folder of its own as its root. What it copies is copied there, what it runs is run there with this
machine's Python in place of the base's: steps must therefore name files relative to their WORKDIR. What root runs
without a shell works on the base itself, of which there is a copy of this machine's standard library. An instruction
that is not understood is an error, so that what is tested here cannot drift away from what an engine does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tests.image.jail import PYTHON, Jail

ROOT = Path(__file__).parents[2]
FILE = ROOT / "Dockerfile"
IGNORE = ROOT / ".dockerignore"
TOOLS_STEP = "requirements-setup.lock"
"""In a RUN, it makes ready what .venv has been made ready with from the same file: not done again."""

BASE_LIBRARY = "usr/lib"
"""Where distroless has the folder of Python's standard library."""

NOT_OF_A_BASE = (
    "__pycache__",
    "config-*",
    "idlelib",
    "lib2to3",
    "site-packages",
    "test",
    "tests",
    "tkinter",
    "turtledemo",
)
"""Of this machine's standard library; distroless brings none of it."""

ADMIN = "0:0"
"""As USER writes root."""

OURS = {"UV_NO_CACHE": "false"}
"""Variables that win over the Dockerfile's ENV: packages come from the cache of `make setup`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One line, continued ones joined."""

    keyword: str
    text: str

    @property
    def words(self) -> list[str]:
        """The text as a list, also where it is written as JSON."""
        found: list[str] = json.loads(self.text) if self.text.startswith("[") else self.text.split()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What follows one FROM. `base`: as it is written there."""

    name: str
    base: str
    steps: tuple[Instruction, ...]

    def all(self, keyword: str) -> list[Instruction]:
        """Its instructions of one kind."""
        return [step for step in self.steps if step.keyword == keyword]

    def last(self, keyword: str) -> Instruction:
        """The instruction that holds in the end."""
        return self.all(keyword)[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """All of it. `arguments`: those before the first FROM, with their defaults."""

    arguments: Mapping[str, str]
    stages: Mapping[str, Stage]

    @classmethod
    def read(cls, text: str) -> Dockerfile:
        """Raises ValueError for what a Dockerfile cannot be."""
        instructions = list(_instructions(text))
        starts = [at for at, each in enumerate(instructions) if each.keyword == "FROM"]
        head = dict(_argument(each) for each in instructions[: starts[0]])
        bounds = zip(starts, [*starts[1:], len(instructions)], strict=True)
        stages = [_stage(instructions[first], instructions[first + 1 : end]) for first, end in bounds]
        return cls(arguments=head, stages={stage.name: stage for stage in stages})

    def lineage(self, name: str) -> list[Stage]:
        """A stage, after those it is built from."""
        stage = self.stages[name]
        return [*(self.lineage(stage.base) if stage.base in self.stages else []), stage]

    def environment(self, name: str) -> dict[str, str]:
        """What a container of that stage finds set by ENV, besides what its base sets."""
        found: dict[str, str] = {}
        for stage in self.lineage(name):
            for step in stage.all("ENV"):
                found |= {key: expand(value, found) for key, value in _pairs(step.text).items()}
        return found

    def labels(self, name: str, given: Mapping[str, str]) -> dict[str, str]:
        """The labels of a stage's image, built with `given` arguments."""
        known = self.given_to(self.stages[name], given)
        found: dict[str, str] = {}
        for step in self.stages[name].all("LABEL"):
            found |= {key: expand(value, known) for key, value in _pairs(step.text).items()}
        return found

    def base(self, name: str, given: Mapping[str, str]) -> str:
        """The image or stage that a stage is built from."""
        return expand(self.stages[name].base, {**self.arguments, **given})

    def given_to(self, stage: Stage, given: Mapping[str, str]) -> dict[str, str]:
        """An ARG in a stage has the value that is given, else its own default, else that before the first FROM."""
        told = [_argument(step) for step in stage.all("ARG")]
        return {name: given.get(name, default or self.arguments.get(name, "")) for name, default in told}


@dataclass(slots=True, kw_only=True)
class Follower:
    """Follows stages into folders below `place`, with `given` build arguments and `python` for that of the base.

    What is run as a list of words is run in a Jail, as where there is no shell, with `contained` as further variables;
    as root, on a copy of the base's standard library: what that adds to it is in the stage's folder.
    """

    dockerfile: Dockerfile
    place: Path
    given: Mapping[str, str] = field(default_factory=dict)
    contained: Mapping[str, str] = field(default_factory=dict)
    python: Path = PYTHON
    _made: dict[str, Path] = field(default_factory=dict)

    def root(self, name: str) -> Path:
        """The folder that is / in a stage, made now if it is not there yet."""
        if name not in self._made:
            self._made[name] = self._make(self.dockerfile.stages[name])
        return self._made[name]

    def _make(self, stage: Stage) -> Path:
        root = self.place / stage.name
        if stage.base in self.dockerfile.stages:
            shutil.copytree(self.root(stage.base), root, symlinks=True, copy_function=os.link)
        root.mkdir(exist_ok=True)
        user = self._user(stage.base)
        for step in stage.steps:
            if step.keyword == "COPY":
                self._copy(step, root, self._workdir(stage))
            elif step.keyword == "RUN":
                self._run(step, stage, root, user)
            elif step.keyword == "USER":
                user = step.text
        return root

    def _user(self, name: str) -> str:
        """Who runs in a stage in the end; empty where the base says so."""
        lineage = self.dockerfile.lineage(name) if name in self.dockerfile.stages else []
        told = [step.text for stage in lineage for step in stage.all("USER")]
        return told[-1] if told else ""

    def _workdir(self, stage: Stage) -> PurePosixPath:
        told = [step.text for each in self.dockerfile.lineage(stage.name) for step in each.all("WORKDIR")]
        return PurePosixPath(told[-1].lstrip("/") if told else ".")

    def _copy(self, step: Instruction, root: Path, workdir: PurePosixPath) -> None:
        *sources, target = [word for word in step.words if not word.startswith("--")]
        stages = [word.removeprefix("--from=") for word in step.words if word.startswith("--from=")]
        place = root / (target.lstrip("/") if target.startswith("/") else workdir / target)
        for source in sources:
            found = self.root(stages[0]) / source.lstrip("/") if stages else _of_context(source)
            _put(found, place, into=target.endswith(("/", ".")) and found.is_file())

    def _run(self, step: Instruction, stage: Stage, root: Path, user: str) -> None:
        if TOOLS_STEP in step.text:
            return
        own = self.dockerfile.environment(stage.name) | self.dockerfile.given_to(stage, self.given)
        workdir = self._workdir(stage)
        if step.text.startswith("[") and user == ADMIN:
            home = standard_library(self.python, Path(tempfile.mkdtemp(dir=self.place)))
            _move(run_on_base(step.words, own, home, self.python), home / "lib", root / BASE_LIBRARY)
        elif step.text.startswith("["):
            self._run_contained(step.words, own, root, workdir)
        else:
            self._run_here(step.text, own, root / workdir)

    def _run_contained(self, words: list[str], own: Mapping[str, str], root: Path, workdir: PurePosixPath) -> None:
        jail = Jail(tree=root, place=Path(tempfile.mkdtemp(dir=self.place)), python=self.python)
        command = jail.argv(words, {**own, **self.contained}, f"/{workdir}")
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def _run_here(self, line: str, own: Mapping[str, str], workdir: Path) -> None:
        """A line for a shell, which finds this Python as python3, and uv."""
        workdir.mkdir(parents=True, exist_ok=True)
        tools = Path(tempfile.mkdtemp(dir=self.place))
        (tools / "python3").symlink_to(self.python)
        (tools / "uv").symlink_to(Path(sys.executable).with_name("uv"))
        environment = {**os.environ, **own, **OURS, "PATH": f"{tools}:{os.environ['PATH']}"}
        command = ("sh", "-c", line)
        told = subprocess.run(command, cwd=workdir, env=environment, capture_output=True, text=True, check=False)
        if told.returncode:
            raise RuntimeError(f"RUN {line}\n{told.stdout}{told.stderr}")


def standard_library(python: Path, home: Path) -> Path:
    """Make `home` a prefix with a copy of the standard library of `python`, as source, and give it back."""
    command = (python, "-S", "-c", "import os; print(os.path.dirname(os.__file__))")
    found = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    shutil.copytree(found, home / "lib" / found.name, ignore=shutil.ignore_patterns(*NOT_OF_A_BASE))
    return home


def run_on_base(words: list[str], own: Mapping[str, str], home: Path, python: Path = PYTHON) -> list[Path]:
    """Run `words`, the first being `python`, with the standard library below `home`; the files that are new there."""
    before = _files(home)
    command = (str(python), "-S", *words[1:])
    subprocess.run(command, env={**own, "PYTHONHOME": str(home)}, check=True, stdout=subprocess.DEVNULL)
    return sorted(_files(home) - before)


def expand(text: str, known: Mapping[str, str]) -> str:
    """Put in what `$NAME`, `${NAME}` and `${NAME:+words}` stand for."""
    text = re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: known.get(found[1] or found[2], ""), text)
    return re.sub(r"\$\{(\w+):\+([^{}]*)\}", lambda found: found[2] if known.get(found[1]) else "", text)


def allowed(text: str) -> set[str]:
    """The names at the top of the repository that a .dockerignore lets through, which begins by letting none."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    if lines[0] != "*":
        raise ValueError(".dockerignore must begin with *")
    return {line.removeprefix("!") for line in lines if line.startswith("!")}


_KNOWN = frozenset({"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "LABEL", "RUN", "USER", "WORKDIR"})


def _instructions(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    found = [line.strip().split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    if strange := {keyword for keyword, _ in found} - _KNOWN:
        raise ValueError(f"nobody taught tests/image/dockerfile.py what {', '.join(sorted(strange))} does")
    return [Instruction(keyword=keyword, text=rest) for keyword, rest in found]


def _stage(start: Instruction, steps: list[Instruction]) -> Stage:
    base, word, name = start.words
    if word != "AS":
        raise ValueError(f"FROM {start.text}: a stage needs a name")
    return Stage(name=name, base=base, steps=tuple(steps))


def _argument(step: Instruction) -> tuple[str, str]:
    name, _, default = step.text.partition("=")
    return name, default


def _pairs(text: str) -> dict[str, str]:
    """What ENV and LABEL are given."""
    return {name: quoted or plain for name, quoted, plain in re.findall(r'([\w.]+)=(?:"([^"]*)"|(\S*))', text)}


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def _move(files: list[Path], folder: Path, place: Path) -> None:
    """Files below `folder` to the same paths below `place`."""
    for file in files:
        target = place / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)


def _of_context(source: str) -> Path:
    if source.split("/", maxsplit=1)[0] not in allowed(IGNORE.read_text()):
        raise ValueError(f".dockerignore keeps {source} from the build")
    return ROOT / source


def _put(source: Path, place: Path, *, into: bool) -> None:
    """The contents of a folder, or a file, as COPY does."""
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
        if source.is_relative_to(ROOT):
            shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True, ignore=ignored)
        else:  # of another stage, whose files nobody changes any more
            shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True, copy_function=os.link)
        return
    target = place / source.name if into else place
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
