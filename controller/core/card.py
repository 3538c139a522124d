"""What does a model promise? The JSON card inside a model file, parsed and checked.

Must not open files: `controller.forecaster` reads the card out of the ONNX metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Self, TypeVar

CONTRACT = 1
_T = TypeVar("_T")


class CardError(ValueError):
    """The card breaks the contract. `check` names the rule in a word, the message what to do about it."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(f"{check}: {message}")
        self.check = check


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What the model was fitted on. Times are ISO 8601 with zone; `sha256` is of the series' float64 bytes."""

    start: str
    end: str
    samples: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TestVector:
    """One input and what the model answered when it was exported; a loader computes it anew.

    `history`: metric's unit, None where missing, length context. `origin`: local seconds since 1970.
    `expected`: horizon rows of levels values. `history_sha256`: of the history as little-endian float32 bytes.
    """

    __test__ = False  # not a test case, whatever pytest thinks of its name

    history: tuple[float | None, ...]
    history_sha256: str
    origin: int
    expected: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a model promises (`models/README.md` documents every field).

    `step_seconds`, `season_seconds`: seconds. `context`, `horizon`: steps. `levels`: increasing, in (0, 1).
    `scores`: by horizon in steps (as text), then by measure, for the model and the naive baselines. `calendar`: which
    events the model knows of, and until when. `because`: why it is better than the noise of its test allows, if it is.
    `inputs`: a digest of data, settings and libraries, by which a fleet sees that a model is up to date.
    """

    name: str
    version: str
    family: str
    step_seconds: int
    context: int
    horizon: int
    levels: tuple[float, ...]
    unit: str
    season_seconds: int
    trained: Trained | None
    test_vector: TestVector
    scores: Mapping[str, Any] = field(default_factory=dict)
    made_with: Mapping[str, str] = field(default_factory=dict)
    license: str = "Apache-2.0"
    calendar: Mapping[str, Any] = field(default_factory=dict)
    because: str | None = None
    inputs: str | None = None
    contract: int = CONTRACT

    @property
    def step(self) -> timedelta:
        """The time that one step covers."""
        return timedelta(seconds=self.step_seconds)

    @property
    def season(self) -> timedelta:
        """The time after which the load is expected to repeat."""
        return timedelta(seconds=self.season_seconds)

    def to_json(self) -> str:
        """The card as it stands in `metadata_props["card"]`."""
        return json.dumps(asdict(self), separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse and check a card; raises CardError naming the check that failed."""
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as error:
            raise CardError("card-json", f"the card is not JSON: {error}") from error
        if not isinstance(raw, dict):
            raise CardError("card-json", f"the card must be a JSON object, not {type(raw).__name__}")
        return cls(**_checked(raw))


def _checked(raw: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments, every one checked."""
    if raw.get("contract") != CONTRACT:
        raise CardError("contract", f"contract {raw.get('contract')!r} is not known; this release reads {CONTRACT}")
    known = {name for name in Card.__dataclass_fields__ if name in raw}
    missing = {
        "name",
        "version",
        "family",
        "step_seconds",
        "context",
        "horizon",
        "levels",
        "unit",
        "season_seconds",
        "trained",
        "test_vector",
    } - known
    if missing:
        raise CardError("card-fields", f"the card lacks {', '.join(sorted(missing))}")
    return {
        **{name: raw[name] for name in known},
        **{name: _text(raw, name) for name in ("name", "version", "family", "unit")},
        **{name: _positive(raw, name) for name in ("step_seconds", "context", "horizon", "season_seconds")},
        **{name: None if raw.get(name) is None else _text(raw, name) for name in ("because", "inputs")},
        "levels": _levels(raw["levels"]),
        "trained": None if raw["trained"] is None else _record(Trained, "trained", raw["trained"]),
        "test_vector": _test_vector(raw),
    }


def _text(raw: dict[str, Any], name: str) -> str:
    value = raw[name]
    if not isinstance(value, str) or not value:
        raise CardError("card-fields", f"{name} must be a text, not {value!r}")
    return value


def _positive(raw: dict[str, Any], name: str) -> int:
    value = raw[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CardError("card-fields", f"{name} must be a whole number above 0, not {value!r}")
    return value


def _levels(value: object) -> tuple[float, ...]:
    numbers = value if isinstance(value, list) and all(isinstance(level, float) for level in value) else []
    if not numbers or numbers != sorted(set(numbers)) or not 0 < numbers[0] <= numbers[-1] < 1:
        raise CardError("levels", f"levels must increase within (0, 1), not {value!r}")
    return tuple(numbers)


def _test_vector(raw: dict[str, Any]) -> TestVector:
    vector = _record(TestVector, "test_vector", raw["test_vector"])
    rows = vector.expected
    if len(vector.history) != raw["context"]:
        raise CardError("test-vector", f"its history has {len(vector.history)} values, the context is {raw['context']}")
    if len(rows) != raw["horizon"] or any(len(row) != len(raw["levels"]) for row in rows):
        raise CardError("test-vector", "its expected output is not horizon rows of levels values")
    return TestVector(
        history=tuple(vector.history),
        history_sha256=vector.history_sha256,
        origin=vector.origin,
        expected=tuple(tuple(row) for row in rows),
    )


def _record(kind: type[_T], name: str, value: object) -> _T:
    try:
        return kind(**value)  # type: ignore[arg-type]  # TypeError says which part is wrong
    except TypeError as error:
        raise CardError("card-fields", f"{name} is malformed: {error}") from error
