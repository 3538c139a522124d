"""Is a dashboard what Grafana's own types say? Objects of its SDK are held against the SDK's own hints."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Iterator
from typing import Any

PLAIN = (str, int, float, bool, types.NoneType)


def misfits(value: Any, hint: Any, where: str) -> Iterator[str]:
    """Each place where `value`, built from JSON by the SDK, is not of its type; the SDK itself checks no type."""
    if hint not in (typing.Any, object):
        check = _CHECKS.get(typing.get_origin(hint), _of_class)
        yield from check(value, hint, where)


def _of_any_of(value: Any, hint: Any, where: str) -> Iterator[str]:
    """What is wrong with it by the type that it is next to."""
    found = [list(misfits(value, one, where)) for one in typing.get_args(hint)]
    yield from min(found, key=lambda each: (any(one.startswith(f"{where}: ") for one in each), len(each)))


def _of_literal(value: Any, hint: Any, where: str) -> Iterator[str]:
    if value not in typing.get_args(hint):
        yield f"{where}: {value!r} is none of {typing.get_args(hint)}"


def _of_list(value: Any, hint: Any, where: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{where}: {value!r} is no list"
        return
    for index, one in enumerate(value):
        yield from misfits(one, typing.get_args(hint)[0], f"{where}[{index}]")


def _of_dict(value: Any, hint: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where}: {value!r} is no object"
        return
    for name, one in value.items():
        yield from misfits(one, typing.get_args(hint)[1], f"{where}.{name}")


def _of_class(value: Any, hint: Any, where: str) -> Iterator[str]:
    if isinstance(value, dict) and hasattr(hint, "from_json"):  # parts that the SDK leaves as they were read
        value = hint.from_json(value)
    if issubclass(hint, enum.Enum):  # read back as its value
        is_fit = value in [one.value for one in hint]
    elif hint is float:
        is_fit = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        is_fit = isinstance(value, hint) and not (hint is int and isinstance(value, bool))
    if not is_fit:
        yield f"{where}: {value!r} is no {hint.__name__}"
    elif hint not in PLAIN and not issubclass(hint, enum.Enum):
        hints = typing.get_type_hints(type(value))
        for name, one in vars(value).items():
            yield from misfits(one, hints.get(name, object), f"{where}.{name}")


_CHECKS: dict[Any, Any] = {
    typing.Union: _of_any_of,
    types.UnionType: _of_any_of,
    typing.Literal: _of_literal,
    list: _of_list,
    dict: _of_dict,
}
