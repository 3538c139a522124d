"""Is what was written to a target set back by whoever keeps it as Git has it? By the managers of the one field.

Argo CD, Flux and their like apply a whole object again and again, its size included, so writing against one of them is
a fight that nobody wins. One write is worth trying: the field may be ignored, or applied only when a commit comes. Who
takes it back within HELD_SECONDS keeps it: nothing is written for the first and then for each further of PAUSES, or
until the PredictiveScaler changes. A size that stood longer was taken back by a deployment, after which the scaler goes
on at once.

People, and whatever else writes a size once, own nothing: their size is where the next decision starts.

Nothing here talks to anybody. What is known ends with the process: the next one tries a write of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from controller.ports import Owner
from controller.spec import FLOOR_KIND, FloorRef, TargetRef

HELD_SECONDS = 3600.0
PAUSES = (600.0, 3600.0)
"""How long nothing is written after the first, and after each further size that was taken back, in seconds."""

_ARGO_CD = "Argo CD"
_HELM = "Flux's helm-controller"
CONTINUOUS = {
    "argocd-controller": _ARGO_CD,
    "argocd-application-controller": _ARGO_CD,
    "kustomize-controller": "Flux's kustomize-controller",
    "helm-controller": _HELM,
    "configsync.gke.io": "Config Sync",
    "fleetagent": "Rancher's Fleet",
}
"""The field managers that apply what Git has over and over, and what their users call them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """The one field of one object by which a target is sized."""

    namespace: str
    group: str
    kind: str
    name: str

    @classmethod
    def of(cls, namespace: str, ref: TargetRef | FloorRef) -> Field:
        """That of a target, in whichever version the spec names its kind."""
        group = ref.api_version.rpartition("/")[0]
        return cls(namespace=namespace, group=group, kind=ref.kind, name=ref.name)

    @property
    def key(self) -> str:
        """Its name under `spec`."""
        return "minReplicas" if self.kind == FLOOR_KIND else "replicas"

    def managers(self, body: dict[str, Any]) -> tuple[str, ...]:
        """Who wrote it last, by the object's managedFields; several where all of them apply the same value."""
        entries = body["metadata"].get("managedFields") or ()
        return tuple(one["manager"] for one in entries if f"f:{self.key}" in _spec_of(one))


@dataclass(slots=True, kw_only=True)
class _Claim:
    """What was written to a field, and what became of it.

    `since`: of the first write after which nobody took one back. `pauses`: how many there were in a row.
    `manager`, `found`: who took it back, to which size. `until`: when the next write may be made. `generation`: of the
    PredictiveScaler that asked last.
    """

    size: int
    since: float
    pauses: int = 0
    until: float = 0.0
    manager: str = ""
    found: int | None = None
    generation: int = 0


class Claims:
    """What this process wrote, by field. `clock`: seconds that only ever grow; by default those of the event loop."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or _loop_time
        self._claims: dict[Field, _Claim] = {}

    def wrote(self, field: Field, size: int) -> None:
        """Take in a write that was accepted."""
        claim = self._claims.get(field)
        if claim is None:
            self._claims[field] = _Claim(size=size, since=self._clock())
        elif claim.found is None:
            claim.size = size
        else:
            claim.size, claim.since, claim.found = size, self._clock(), None

    def is_another(self, field: Field, size: int) -> bool:
        """Whether `size` is not what was written last, so that it matters whose it is."""
        claim = self._claims.get(field)
        return claim is not None and claim.found is None and claim.size != size

    def saw(self, field: Field, size: int, managers: Iterable[str]) -> None:
        """Take in the size that a field has, and whose it is."""
        claim = self._claims.get(field)
        if claim is None or claim.found is not None:
            return
        has_stood = self._clock() - claim.since >= HELD_SECONDS
        if has_stood:
            claim.pauses = 0
        if size == claim.size:
            return
        manager = _continuous(managers)
        if manager is None:
            claim.size = size
            return
        claim.found, claim.manager = size, manager
        if not has_stood:
            claim.until = self._clock() + _pause(claim.pauses)
            claim.pauses += 1

    def owner(self, field: Field, generation: int) -> Owner | None:
        """Who keeps the field, while nothing may be written.

        `generation`: of the PredictiveScaler that would write; a new one may at once. 0 for whoever only asks.
        """
        claim = self._claims.get(field)
        if claim is None:
            return None
        if generation and generation != claim.generation:
            if claim.generation:
                claim.until, claim.pauses = 0.0, 0
            claim.generation = generation
        if claim.found is None or self._clock() >= claim.until:
            return None
        return Owner(words=_named(claim.manager), cure=_cure(field, claim))


def note(field: Field, managers: Iterable[str]) -> str:
    """What a user should know of a field that may be written, and may be set back; empty where there is nothing."""
    manager = _continuous(managers)
    if manager is None:
        return ""
    cure = "have it ignore the field" if CONTINUOUS[manager] == _ARGO_CD else "leave the field out of Git"
    return f"{_named(manager)} owns spec.{field.key} as well and may set it back: {cure}"


def _spec_of(entry: dict[str, Any]) -> dict[str, Any]:
    return dict((entry.get("fieldsV1") or {}).get("f:spec") or {})


def _continuous(managers: Iterable[str]) -> str | None:
    return next((one for one in managers if one in CONTINUOUS), None)


def _named(manager: str) -> str:
    return f'{CONTINUOUS[manager]} (field manager "{manager}")'


def _pause(before: int) -> float:
    return PAUSES[min(before, len(PAUSES) - 1)]


def _cure(field: Field, claim: _Claim) -> str:
    minutes = _pause(claim.pauses - 1) / 60
    told = f"it set spec.{field.key} from {claim.size} to {claim.found}"
    pause = f"so nothing is written for {minutes:g} minutes, or until this PredictiveScaler changes"
    lines = "\n".join(_lines(field, CONTINUOUS[claim.manager]))
    return f"{told}, {pause}; {lines}"


def _lines(field: Field, who: str) -> Sequence[str]:
    """How its user has it leave the field alone."""
    if who == _ARGO_CD:
        return (
            "have it ignore the field, by this in its Application:",
            "spec:",
            "  ignoreDifferences:",
            f"    - group: {field.group}",
            f"      kind: {field.kind}",
            f"      name: {field.name}",
            f"      namespace: {field.namespace}",
            f"      jsonPointers: [/spec/{field.key}]",
            "  syncPolicy:",
            "    syncOptions: [RespectIgnoreDifferences=true]",
        )
    if who == _HELM:
        return (
            f"leave spec.{field.key} out of what the chart renders, or add this to its HelmRelease:",
            "spec:",
            "  driftDetection:",
            "    ignore:",
            f"      - paths: [/spec/{field.key}]",
            f"        target: {{kind: {field.kind}, name: {field.name}}}",
        )
    return (f"leave spec.{field.key} of {field.kind} {field.name} out of the manifests in Git",)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
