"""What the Dockerfile promises: pinned bases, no root, no shell, labels, no copy that is not meant. How it is read."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from controller import RELEASE
from controller.settings import Settings
from tests.image.dockerfile import FILE, IGNORE, ROOT, Dockerfile, Instruction, allowed, expand, run_on_base
from tests.image.jail import PYTHON

pytestmark = pytest.mark.slow

OCI = "org.opencontainers.image."
DIGEST = "sha256:" + "1" * 64
GIVEN = {
    "CREATED": "2026-01-05T00:00:00Z",
    "PYTHON_DIGEST": DIGEST,
    "REVISION": "0" * 40,
    "RUNTIME_DIGEST": DIGEST,
    "SOURCE": "https://example.invalid/predictive-scaler",
    "VERSION": "1.2.3",
}
IMAGES = ("controller", "training")


STDLIB = Path(os.__file__).parent
MODULES = "import sys; print(*(each.__file__ for each in sys.modules.values() if getattr(each, '__file__', None)))"
"""What a Python has loaded that did `-c` with the imports before it."""


@pytest.fixture(scope="module")
def dockerfile() -> Dockerfile:
    return Dockerfile.read(FILE.read_text())


def test_the_default_image_is_the_controller(dockerfile: Dockerfile) -> None:
    assert list(dockerfile.stages)[-1] == "controller"


@pytest.mark.parametrize(
    ("stage", "image"),
    [
        ("installer", "python:3.13-slim-trixie"),
        ("training", "python:3.13-slim-trixie"),
        ("runtime", "gcr.io/distroless/python3-debian13:nonroot"),
    ],
)
def test_every_base_can_be_pinned_by_its_digest(dockerfile: Dockerfile, stage: str, image: str) -> None:
    assert dockerfile.base(stage, GIVEN) == f"{image}@{DIGEST}"
    assert dockerfile.base(stage, {}) == image


def test_no_stage_has_a_base_that_cannot_be_pinned(dockerfile: Dockerfile) -> None:
    bases = {dockerfile.base(name, GIVEN) for name in dockerfile.stages} - dockerfile.stages.keys() - {"scratch"}
    assert all(base.endswith(DIGEST) for base in bases)


@pytest.mark.parametrize("image", IMAGES)
def test_every_image_tells_what_it_is(dockerfile: Dockerfile, image: str) -> None:
    told = {name.removeprefix(OCI): text for name, text in dockerfile.labels(image, GIVEN).items()}

    assert told["version"] == "1.2.3"
    assert told["revision"] == "0" * 40
    assert told["created"] == "2026-01-05T00:00:00Z"
    assert told["source"] == GIVEN["SOURCE"]
    assert told["licenses"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    assert told["base.digest"] == DIGEST
    assert told["base.name"] == dockerfile.base(dockerfile.lineage(image)[0].name, {})
    assert told["title"].startswith("predictive-scaler")
    assert told["description"].endswith(".")


@pytest.mark.parametrize("image", IMAGES)
def test_the_version_is_the_release_unless_told_otherwise(dockerfile: Dockerfile, image: str) -> None:
    assert dockerfile.labels(image, {})[f"{OCI}version"] == RELEASE


def test_the_description_is_the_projects(dockerfile: Dockerfile) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert dockerfile.labels("controller", {})[f"{OCI}description"] == project["description"]


@pytest.mark.parametrize("image", [*IMAGES, "tried"])
def test_nothing_runs_as_root(dockerfile: Dockerfile, image: str) -> None:
    users = [step.text for stage in dockerfile.lineage(image) for step in stage.all("USER")]
    assert users[-1] == "65532:65532"


def test_the_folder_of_the_program_belongs_to_root(dockerfile: Dockerfile) -> None:
    """Builders make folders as the user who is set, some of them also what they copy to; the base may have set one."""
    order = [step.keyword for step in dockerfile.stages["runtime"].steps if step.keyword in {"USER", "WORKDIR"}]
    assert order == ["USER", "WORKDIR"]
    assert dockerfile.stages["runtime"].all("USER")[0].text == "0:0"
    for stage in ("tried", "controller"):
        order = [step.keyword for step in dockerfile.stages[stage].steps if step.keyword in {"USER", "COPY"}]
        assert order == ["COPY"] * (len(order) - 1) + ["USER"]


@pytest.fixture
def home(dockerfile: Dockerfile, tmp_path: Path) -> Path:
    """A prefix with as much of this Python's standard library, as source, as compiling needs; and `late`."""
    library = tmp_path / "lib" / STDLIB.name
    imports = _compiling(dockerfile).words[2].partition(";")[0] + ", concurrent.futures, filecmp, pathlib"
    loaded = subprocess.run((PYTHON, "-S", "-c", f"{imports}; {MODULES}"), check=True, capture_output=True, text=True)
    for source in map(Path, loaded.stdout.split()):
        target = library / source.relative_to(STDLIB)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    (library / "late.py").write_text("told = 'compiled'\n")
    return tmp_path


def _compiling(dockerfile: Dockerfile) -> Instruction:
    return dockerfile.stages["runtime"].last("RUN")


def test_the_standard_library_is_compiled_by_root_before_it_is_tried(dockerfile: Dockerfile) -> None:
    order = [step.keyword for step in dockerfile.stages["runtime"].steps if step.keyword in {"USER", "RUN"}]
    assert order == ["USER", "RUN"]
    assert {dockerfile.stages[name].base for name in ("tried", "controller")} == {"runtime"}


def test_every_module_of_the_standard_library_is_compiled(dockerfile: Dockerfile, home: Path) -> None:
    fresh = run_on_base(_compiling(dockerfile).words, dockerfile.environment("runtime"), home)
    sources = (home / "lib").rglob("*.py")
    assert fresh == sorted(Path(cache_from_source(source)) for source in sources)


def test_what_is_compiled_holds_whatever_time_a_layer_gives_its_source(dockerfile: Dockerfile, home: Path) -> None:
    """Nobody reads the source again: another one, of another time, makes no difference."""
    environment = dockerfile.environment("controller")
    run_on_base(_compiling(dockerfile).words, environment, home)
    (home / "lib" / STDLIB.name / "late.py").write_text("told = 'read anew'\n")
    command = (PYTHON, "-S", "-c", "import late; print(late.told)")
    told = subprocess.run(
        command, check=True, capture_output=True, text=True, env={"PYTHONHOME": str(home)} | environment
    )
    assert told.stdout == "compiled\n"


def test_a_standard_library_that_cannot_be_compiled_ends_the_build(dockerfile: Dockerfile, home: Path) -> None:
    (home / "lib" / STDLIB.name / "late.py").write_text("no python")
    with pytest.raises(subprocess.CalledProcessError):
        run_on_base(_compiling(dockerfile).words, dockerfile.environment("runtime"), home)


def test_the_controllers_image_runs_no_shell(dockerfile: Dockerfile) -> None:
    """Its base has none."""
    steps = [step for stage in dockerfile.lineage("controller") for step in stage.steps]
    steps += dockerfile.stages["tried"].steps
    assert all(step.text.startswith("[") for step in steps if step.keyword in {"RUN", "ENTRYPOINT", "CMD"})


def test_what_the_controllers_image_copies_was_tried_on_its_base(dockerfile: Dockerfile) -> None:
    copies = [step.words for step in dockerfile.stages["controller"].all("COPY")]
    assert copies
    assert all(words[0] == "--from=tried" for words in copies)
    assert dockerfile.stages["tried"].last("RUN").words == ["python", "-m", "smoke"]


def test_its_variables_are_settings(dockerfile: Dockerfile) -> None:
    assert Settings.from_environment(dockerfile.environment("controller")).http_endpoint == (None, 8080)


def test_the_build_gets_what_the_dockerfile_copies_and_nothing_else(dockerfile: Dockerfile) -> None:
    steps = [step.words for stage in dockerfile.stages.values() for step in stage.all("COPY")]
    copied = {word.split("/")[0] for words in steps if not words[0].startswith("--from=") for word in words[:-1]}
    assert allowed(IGNORE.read_text()) == copied


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${A}${B:+@${B}}", "a@b"),
        ("${A}${C:+@${C}}", "a"),
        ("$A-${NONE}", "a-"),
        ("plain", "plain"),
    ],
)
def test_variables_are_put_in(text: str, expanded: str) -> None:
    assert expand(text, {"A": "a", "B": "b", "C": ""}) == expanded


def test_an_instruction_that_nobody_taught_is_an_error() -> None:
    with pytest.raises(ValueError, match="what VOLUME does"):
        Dockerfile.read("FROM a AS b\nVOLUME /data\n")


def test_lines_are_joined_and_comments_left_out() -> None:
    stage = Dockerfile.read("ARG A=1\n# no\nFROM a AS b\nENV X=1 \\\n# no\n    Y=two\n").stages["b"]
    assert [(step.keyword, step.text) for step in stage.steps] == [("ENV", "X=1 Y=two")]
