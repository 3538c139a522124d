"""What does one tick leave for whoever asks later? The decision's record, of what and by whom it was made.

Versioned JSON that loses no bit; `predictive-scaler replay` reads it years later, offline.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from controller import RELEASE
from controller.core import codec
from controller.core.codec import CodecError
from controller.core.record import Record
from controller.core.startup import LeadTimeSource
from controller.outcome import Outcome, Problem, Stage
from controller.registry import Scaler
from controller.spec import ScalerSpec, SpecError

VERSION = 1


class AccountError(ValueError):
    """No account that this release can read; the message says which can, or what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Of which scaler. `mode`, `target`: of its spec, which has the generation; None where the spec was refused."""

    namespace: str
    name: str
    uid: str
    generation: int
    mode: str | None
    target: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelId:
    """Which model forecast. `digest`: the file's sha256 in hex."""

    name: str
    version: str
    family: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadTimeId:
    """Who named the lead time: Learnt, Spec or Default; from how many start-ups it was learnt; how much is of pods."""

    source: LeadTimeSource
    samples: int
    of_pods: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One scaler's tick. `record`: None where nothing could be decided, and `problems` says why.

    `release`: of the controller. `lead_time`: of the policy in `record`. `found`: the target's size, which in mode
    Observe is not what was decided from. `is_written`: the target was told a new size.
    """

    version: int
    release: str
    time: datetime
    scaler: Subject
    model: ModelId | None
    lead_time: LeadTimeId | None
    problems: tuple[Problem, ...]
    found: int | None
    is_written: bool
    record: Record | None

    @classmethod
    def of(cls, scaler: Scaler, outcome: Outcome) -> Self:
        """What a tick did, with no more inputs than the decision could read."""
        return cls(
            version=VERSION,
            release=RELEASE,
            time=outcome.time,
            scaler=_subject(scaler),
            model=_model(outcome),
            lead_time=_lead_time(outcome),
            problems=(*_refusal(scaler), *outcome.problems),
            found=outcome.found,
            is_written=outcome.is_written,
            record=None if outcome.record is None else outcome.record.thinned(),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal account back."""
        fields: dict[str, Any] = codec.to_json(Account, self)
        return fields

    def to_text(self) -> str:
        """The same as one line of text."""
        return codec.to_text(Account, self)

    @classmethod
    def from_json(cls, raw: object) -> Account:
        """Read what `to_json` wrote. Raises AccountError."""
        if not isinstance(raw, dict) or not {"version", "release", "record"} <= raw.keys():
            raise AccountError("this is no decision record; print one with: predictive-scaler explain NAME -o json")
        if raw["version"] != VERSION:
            raise AccountError(
                f"its version is {raw['version']!r}, of release {raw['release']}; this one reads {VERSION}"
            )
        try:
            return codec.from_json(Account, raw)
        except CodecError as error:
            raise AccountError(
                f"{error}; the record was made by release {raw['release']}, this is {RELEASE}"
            ) from error

    @classmethod
    def from_text(cls, text: str | bytes) -> Account:
        """Read what `to_text` wrote. Raises AccountError."""
        try:
            raw = json.loads(text)
        except ValueError as error:
            raise AccountError(f"this is not JSON: {error}") from error
        return cls.from_json(raw)


def _subject(scaler: Scaler) -> Subject:
    spec = scaler.spec if isinstance(scaler.spec, ScalerSpec) else None
    return Subject(
        namespace=scaler.namespace,
        name=scaler.name,
        uid=scaler.uid,
        generation=scaler.generation,
        mode=None if spec is None else spec.mode.value,
        target=None if spec is None else f'{spec.target.kind} "{spec.target.name}"',
    )


def _refusal(scaler: Scaler) -> tuple[Problem, ...]:
    """That of a spec that cannot be used; the tick itself had nothing to fail at."""
    error = scaler.spec
    return (
        (Problem(stage=Stage.DECIDE, reason="SpecInvalid", message=str(error)),) if isinstance(error, SpecError) else ()
    )


def _lead_time(outcome: Outcome) -> LeadTimeId | None:
    found = outcome.lead_time
    if found is None:
        return None
    return LeadTimeId(source=found.source, samples=found.samples, of_pods=found.of_pods)


def _model(outcome: Outcome) -> ModelId | None:
    if outcome.model is None:
        return None
    card = outcome.model.card
    return ModelId(name=card.name, version=card.version, family=card.family, digest=outcome.model.digest)
