"""Every task is answered, whoever is done first, and one that dies is told in one line."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.waiting import PATIENCE
from training.simulate.capacity import SimulationError
from training.simulate.parallel import answers

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Slow:
    """Answers with its process after some seconds; after none at all it dies."""

    seconds: float

    def run(self) -> int:
        if not self.seconds:
            sys.exit(7)
        time.sleep(self.seconds)
        return os.getpid()


@dataclass(frozen=True)
class Last:
    """Answers with its process once somebody has written `word`, or gives up."""

    word: Path

    def run(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while not self.word.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return os.getpid()


def test_who_is_done_first_is_told_first_by_its_place(tmp_path: Path) -> None:
    word = tmp_path / "all others are told"
    tasks: list[Last | Slow] = [Last(word), Slow(0.01), Slow(0.02)]
    found = []
    for answer in answers(tasks, cores=2):
        found.append(answer)
        if len(found) == 2:
            word.touch()
    assert [place for place, _ in found] == [1, 2, 0]
    assert len({*(process for _, process in found), os.getpid()}) == 4


@pytest.mark.parametrize(("count", "cores"), [(3, 1), (1, 2)])
def test_one_core_or_one_task_needs_no_other_process(count: int, cores: int) -> None:
    assert list(answers([Slow(0.01)] * count, cores=cores)) == [(place, os.getpid()) for place in range(count)]


def test_nothing_is_answered_at_once() -> None:
    assert list(answers([], cores=2)) == []


def test_a_replay_that_dies_is_told() -> None:
    with pytest.raises(SimulationError, match=r"^a replay did not end: its process ended with code 7"):
        list(answers([Slow(0.0), Slow(0.01)], cores=2))
