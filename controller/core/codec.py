"""How does a value of the core become plain JSON and come back, bit for bit? By the types that its fields declare.

A dataclass is an object with its fields' names in camelCase, times are ISO 8601, durations are seconds, and a number
that JSON does not know ("nan", "inf", "-inf") is a text. A Series is what it holds and how many steps before its end.
"""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from json.encoder import encode_basestring_ascii
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series

_REMEMBERED = 4096  # texts of shared values, at most: a few MiB
LONGEST = 1_000_000  # steps of a history, so that no file can ask for all the memory there is
_T = TypeVar("_T")
_SHARED: set[type] = set()
_Codec = tuple[Callable[[Any], str], Callable[[Any, str], Any]]
"""Value to JSON text, at once: plain values on the way take longer. JSON, and where it stands, to a value."""


class CodecError(ValueError):
    """JSON is not what the type says. The message names the place."""


def share(*kinds: type) -> None:
    """Write a value of these frozen dataclasses once, of however many it is part; to be said before any is written."""
    _SHARED.update(kinds)


def to_text(kind: type[_T], value: _T) -> str:
    """`value` as JSON in one line."""
    return _codec_of(kind)[0](value)


def to_json(kind: type[_T], value: _T) -> Any:  # noqa: ANN401  # JSON is
    """`value` as plain JSON values."""
    return json.loads(to_text(kind, value))


def from_json(kind: type[_T], raw: object, where: str = "") -> _T:
    """What `to_json` was given. Raises CodecError for what is missing, unknown or of another type."""
    value: _T = _codec_of(kind)[1](raw, where)
    return value


def _codec_of(kind: Any) -> _Codec:  # noqa: ANN401  # mypy takes a type[T] for unhashable
    return _codec(kind)


@cache
def _codec(kind: Any) -> _Codec:  # noqa: ANN401  # a type or a generic of one
    if kind in _PLAIN:
        return _PLAIN[kind]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum(kind)
    if is_dataclass(kind):
        return _record(kind)
    maker = _GENERIC.get(typing.get_origin(kind))
    if maker is None:
        raise TypeError(f"there is no way to write {kind!r} as JSON")
    return maker(*typing.get_args(kind))


def _record(kind: Any) -> _Codec:  # noqa: ANN401  # a dataclass
    hints = typing.get_type_hints(kind)
    parts = {one.name: (_camel(one.name), _codec(hints[one.name])) for one in fields(kind) if one.init}
    names = {told: (name, codec[1]) for name, (told, codec) in parts.items()}
    writers = [(attrgetter(name), f'"{told}":', codec[0]) for name, (told, codec) in parts.items()]

    def write(value: Any) -> str:  # noqa: ANN401
        return "{" + ",".join([told + encode(get(value)) for get, told, encode in writers]) + "}"

    def read(raw: Any, where: str) -> Any:  # noqa: ANN401
        if not isinstance(raw, dict):
            raise CodecError(f"{where or kind.__name__} must be an object, not {raw!r:.40}")
        if unknown := sorted(raw.keys() - names):
            raise CodecError(f"{_at(where, unknown[0])} is not known to this release")
        given = {names[told][0]: names[told][1](value, _at(where, told)) for told, value in raw.items()}
        try:
            return kind(**given)
        except (TypeError, ValueError) as error:
            raise CodecError(f"{where or kind.__name__}: {error}") from error

    return _once(write) if kind in _SHARED else write, read


def _once(write: Callable[[Any], str]) -> Callable[[Any], str]:
    """By identity, which costs nothing; a value that is held cannot give its place to another one."""
    held: dict[int, tuple[Any, str]] = {}

    def written(value: Any) -> str:  # noqa: ANN401
        found = held.get(id(value))
        if found is None:
            if len(held) >= _REMEMBERED:
                held.clear()
            found = held[id(value)] = (value, write(value))
        return found[1]

    return written


def _optional(*kinds: Any) -> _Codec:  # noqa: ANN401
    inner = [kind for kind in kinds if kind is not types.NoneType]
    if len(inner) != 1:
        raise TypeError(f"{kinds} cannot be told apart in JSON, only one type and None")
    write, read = _codec(inner[0])
    return (
        lambda value: "null" if value is None else write(value),
        lambda raw, where: None if raw is None else read(raw, where),
    )


def _tuple(*kinds: Any) -> _Codec:  # noqa: ANN401
    return _many(_codec(kinds[0])) if kinds[1:] == (...,) else _fixed(tuple(_codec(kind) for kind in kinds))


def _many(inner: _Codec) -> _Codec:
    write, read = inner
    return (
        lambda values: "[" + ",".join([write(one) for one in values]) + "]",
        lambda raw, where: tuple(read(one, _item(where, at)) for at, one in enumerate(_listed(raw, where))),
    )


def _fixed(inner: tuple[_Codec, ...]) -> _Codec:
    def read(raw: Any, where: str) -> Any:  # noqa: ANN401
        values = _listed(raw, where)
        if len(values) != len(inner):
            raise CodecError(f"{where} must have {len(inner)} items, not {len(values)}")
        return tuple(codec[1](one, _item(where, at)) for at, (codec, one) in enumerate(zip(inner, values, strict=True)))

    def write(values: Any) -> str:  # noqa: ANN401
        return "[" + ",".join([codec[0](one) for codec, one in zip(inner, values, strict=True)]) + "]"

    return write, read


def _mapping(*kinds: Any) -> _Codec:  # noqa: ANN401
    """The keys are texts in JSON: names or the words of an Enum."""
    key, inner = (_codec(kind) for kind in kinds)

    def read(raw: Any, where: str) -> Any:  # noqa: ANN401
        if not isinstance(raw, dict):
            raise CodecError(f"{where} must be an object, not {raw!r:.40}")
        return {key[1](name, where): inner[1](value, _at(where, name)) for name, value in raw.items()}

    def write(values: Any) -> str:  # noqa: ANN401
        return "{" + ",".join([f"{key[0](name)}:{inner[0](value)}" for name, value in values.items()]) + "}"

    return write, read


def _enum(kind: type[Enum]) -> _Codec:
    def read(raw: Any, where: str) -> Enum:  # noqa: ANN401
        try:
            return kind(raw)
        except ValueError as error:
            raise CodecError(f"{where}: {error}") from error

    return lambda value: encode_basestring_ascii(value.value), read


def _number(value: float) -> str:
    number = float(value)
    return repr(number) if math.isfinite(number) else f'"{number}"'


def _read_number(raw: Any, where: str) -> float:  # noqa: ANN401
    if type(raw) not in {int, float} and raw not in ("nan", "inf", "-inf"):
        raise CodecError(f"{where} must be a number, not {raw!r:.40}")
    return float(raw)


def _exactly(kind: type) -> Callable[[Any, str], Any]:
    def read(raw: Any, where: str) -> Any:  # noqa: ANN401
        if type(raw) is not kind:
            raise CodecError(f"{where} must be {kind.__name__}, not {raw!r:.40}")
        return raw

    return read


def _read_time(raw: Any, where: str) -> datetime:  # noqa: ANN401
    try:
        time = datetime.fromisoformat(raw)
    except (TypeError, ValueError) as error:
        raise CodecError(f"{where} must be an ISO 8601 time, not {raw!r:.40}") from error
    if time.tzinfo is None:
        raise CodecError(f"{where} has no zone: {raw}")
    return time


def _read_duration(raw: Any, where: str) -> timedelta:  # noqa: ANN401
    try:
        return timedelta(seconds=_read_number(raw, where))
    except (OverflowError, ValueError) as error:
        raise CodecError(f"{where}: {error}") from error


def _array(values: NDArray[np.float64]) -> str:
    return str(values.tolist()).replace(" ", "") if np.isfinite(values).all() else _nested(values.tolist())


def _nested(value: Any) -> str:  # noqa: ANN401
    return "[" + ",".join([_nested(one) for one in value]) + "]" if isinstance(value, list) else _number(value)


def _read_array(raw: Any, where: str) -> NDArray[np.float64]:  # noqa: ANN401
    try:
        return np.array(_listed(raw, where), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CodecError(f"{where} must be numbers in rows of one length: {error}") from error


def _series(series: Series) -> str:
    held = np.flatnonzero(~np.isnan(series.values))
    backs = len(series) - 1 - held
    known = ",".join([f"[{back},{_number(value)}]" for back, value in zip(backs, series.values[held], strict=True)])
    about = f'"end":{_time(series.end)},"step":{_duration(series.step)},"length":{len(series)}'
    return f'{{{about},"known":[{known}]}}'


def _time(time: datetime) -> str:
    return f'"{time.isoformat()}"'


def _duration(duration: timedelta) -> str:
    return repr(duration.total_seconds())


def _read_series(raw: Any, where: str) -> Series:  # noqa: ANN401
    if not isinstance(raw, dict) or raw.keys() != {"end", "step", "length", "known"}:
        raise CodecError(f"{where} must have end, step, length and known")
    length = _exactly(int)(raw["length"], _at(where, "length"))
    if not 0 <= length <= LONGEST:
        raise CodecError(f"{_at(where, 'length')} must be at most {LONGEST}, not {length}")
    values = np.full(length, np.nan)
    for back, value in _PAIRS[1](raw["known"], _at(where, "known")):
        if not 0 <= back < length:
            raise CodecError(f"{_at(where, 'known')} has a step {back} before the end of {length} steps")
        values[length - 1 - back] = value
    end, step = _read_time(raw["end"], _at(where, "end")), _read_duration(raw["step"], _at(where, "step"))
    try:
        return Series(end=end, step=step, values=values)
    except ValueError as error:
        raise CodecError(f"{where}: {error}") from error


def _listed(raw: Any, where: str) -> list[Any]:  # noqa: ANN401
    if not isinstance(raw, list):
        raise CodecError(f"{where} must be a list, not {raw!r:.40}")
    return raw


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _item(where: str, at: int) -> str:
    return f"{where}[{at}]"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_PLAIN: dict[Any, _Codec] = {
    float: (_number, _read_number),
    int: (lambda value: str(int(value)), _exactly(int)),
    bool: (lambda value: "true" if value else "false", _exactly(bool)),
    str: (encode_basestring_ascii, _exactly(str)),
    datetime: (_time, _read_time),
    timedelta: (_duration, _read_duration),
    Series: (_series, _read_series),
}
_GENERIC: dict[Any, Callable[..., _Codec]] = {
    typing.Union: _optional,
    types.UnionType: _optional,
    tuple: _tuple,
    Mapping: _mapping,
    np.ndarray: lambda *_: (_array, _read_array),
}
_PAIRS = _many(_fixed((_PLAIN[int], _PLAIN[float])))
