"""A number of things, as people say it."""

from __future__ import annotations

import pytest

from client.words import counted


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 replicas"),
        (1, "1 replica"),
        (2, "2 replicas"),
        (100_000, "100000 replicas"),
        (0.5, "0.5 replicas"),
        (1.0, "1 replica"),
        (1.00004, "1 replica"),
        (12.3456, "12.35 replicas"),
        (None, "? replicas"),
    ],
)
def test_a_count_and_its_noun(count: float | None, words: str) -> None:
    assert counted(count, "replica") == words
