"""What `recommend` chooses is what `simulate` replays only where both are told the same: one option, one meaning."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, get_args, get_origin

from training.commands.recommend import recommend
from training.commands.simulate import simulate

SHARED = {"startup", "per_replica", "mean_replicas", "step", "season", "price", "workers"}
OWN = {"since", "model", "objective"}  # by one name, in words of their own: which part, whose, and instead of what


def options(command: Callable[..., None]) -> dict[str, tuple[object, object, object]]:
    """By parameter: its type, all that typer is told of it, and its default."""
    told = {}
    for name, one in inspect.signature(command).parameters.items():
        assert get_origin(one.annotation) is Annotated
        kind, option = get_args(one.annotation)
        told[name] = (kind, vars(option), one.default)
    return told


def test_what_both_commands_ask_is_asked_in_the_same_words_with_the_same_default() -> None:
    one, other = options(simulate), options(recommend)
    common = one.keys() & other.keys()
    alike = {name for name in common if one[name] == other[name]}
    assert alike >= SHARED
    assert common - alike == OWN


def test_the_size_is_told_that_counts_where_nothing_is_said() -> None:
    assert "8 if nothing is said" in str(options(recommend)["mean_replicas"])
