"""The lock files agree, hold hashes, and name no addresses."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-controller.lock", "requirements-training.lock", "requirements-setup.lock")


def pins(lock: str) -> set[str]:
    return set(re.findall(r"^[a-z0-9._-]+==\S+", (ROOT / lock).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS[1:])
def test_every_lock_holds_what_was_tested(lock: str) -> None:
    assert pins(lock) <= pins("requirements.lock")


def test_the_image_gets_no_training_library() -> None:
    names = {pin.split("==")[0] for pin in pins("requirements-controller.lock")}
    assert not names & {"lightgbm", "onnx", "pandas", "matplotlib", "scipy", "typer", "rich"}


def test_the_image_of_training_gets_what_trains_and_nothing_that_tests() -> None:
    names = {pin.split("==")[0] for pin in pins("requirements-training.lock")}
    assert names >= {"lightgbm", "onnx", "polars", "prophet", "jax", "statsmodels"}
    assert not names & {"pytest", "mypy", "ruff", "hypothesis", "hatchling"}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock: str) -> None:
    entries = re.split(r"^(?=[a-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
