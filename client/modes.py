"""What does it mean to pause a scaler, and to let it go on? The change to the object, or why none can be meant.

Pure. What the mode was is remembered on the object itself, so that anybody can let it go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from client.errors import ClientError
from controller.spec import GROUP, KIND, Mode
from controller.targets.claims import CONTINUOUS

PAUSED_MODE = f"{GROUP}/paused-mode"
"""The annotation that keeps the mode in which a paused scaler goes on."""

RESUMABLE = tuple(mode for mode in Mode if mode is not Mode.PAUSED)

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be done with a scaler. `patch`: a merge patch of exactly what was read; None: nothing is to do."""

    words: str
    patch: dict[str, Any] | None


def paused(body: Json) -> Change:
    """Pause it, and remember what it was."""
    mode = _mode(body)
    if mode == Mode.PAUSED:
        return Change(words=f"is paused already{_remembered(body)}", patch=None)
    return Change(words=f"paused (was {mode})", patch=_patch(body, Mode.PAUSED, mode))


def resumed(body: Json, wanted: Mode | None) -> Change:
    """Let it go on in the mode that it had, or in the one that is `wanted`. Raises ClientError."""
    mode, name = _mode(body), _name(body)
    if mode != Mode.PAUSED:
        if wanted not in {None, mode}:
            where = _object(body, "metadata").get("namespace", "")
            change = f"""kubectl patch psc {name} -n {where} --type=merge -p '{{"spec":{{"mode":"{wanted}"}}}}'"""
            raise ClientError(f"{name} is not paused but in mode {mode}; to change that: {change}")
        return Change(words=f"is not paused (mode {mode})", patch=None)
    last = wanted or _last(body)
    if last is None:
        raise ClientError(
            f"{name} was not paused by this command, so its mode before is not known; give it with --mode, such as "
            f"--mode {Mode.ACTIVE}"
        )
    return Change(words=f"goes on in mode {last}", patch=_patch(body, last, None))


def check_mode(wanted: Mode | None) -> None:
    """Raises ClientError for one in which nothing goes on."""
    if wanted is Mode.PAUSED:
        raise ClientError(f"--mode: nothing goes on in mode Paused; give one of {', '.join(RESUMABLE)}")


def keepers(body: Json) -> tuple[str, ...]:
    """Who, of those that apply files over and over, has set the mode, and so will set it back: their names."""
    entries = _object(body, "metadata").get("managedFields") or ()
    return tuple(dict.fromkeys(_KEEPERS[one["manager"]] for one in entries if _is_keeper(one)))


_KEEPERS = CONTINUOUS | {
    "helm": "Helm (at the next upgrade)",
    "kubectl-client-side-apply": "kubectl apply (when somebody applies the file again)",
    "kubectl": "kubectl apply (when somebody applies the file again)",
}


def _is_keeper(entry: Json) -> bool:
    is_applied = entry.get("manager") != "kubectl" or entry.get("operation") == "Apply"
    return is_applied and entry.get("manager") in _KEEPERS and "f:mode" in _object(_object(entry, "fieldsV1"), "f:spec")


def kept_words(body: Json) -> str:
    """What there is to tell of them; empty without any."""
    names = keepers(body)
    if not names:
        return ""
    return (
        f"{_name(body)}: spec.mode was set by {' and '.join(names)}, which may set it back; change it there as well, "
        f"or leave it out of the {KIND} there and let nobody compare /spec/mode"
    )


def _patch(body: Json, mode: Mode, remembered: str | None) -> dict[str, Any]:
    """Refused by the API server where somebody changed the object since."""
    return {
        "metadata": {
            "resourceVersion": _object(body, "metadata")["resourceVersion"],
            "annotations": {PAUSED_MODE: remembered},
        },
        "spec": {"mode": str(mode)},
    }


def _remembered(body: Json) -> str:
    last = _last(body)
    return "" if last is None else f" (was {last})"


def _last(body: Json) -> Mode | None:
    """What it was when it was paused; None where that is not known, or no mode of this release."""
    found = _object(_object(body, "metadata"), "annotations").get(PAUSED_MODE)
    return next((mode for mode in RESUMABLE if mode == found), None)


def _mode(body: Json) -> str:
    return str(_object(body, "spec").get("mode") or Mode.ACTIVE)


def _name(body: Json) -> str:
    return str(_object(body, "metadata").get("name", ""))


def _object(found: Json, name: str) -> Json:
    value = found.get(name)
    return value if isinstance(value, Mapping) else {}
