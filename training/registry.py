"""Where do the models of a fleet lie, and those before them? `DIR/NAME.onnx`, and beside them what they replaced.

    DIR/NAME.onnx                      what the controller reads
    DIR/previous/NAME-<digest>.onnx    what it read before
    DIR/decisions/NAME.json            what was decided about it, and why

Every file is whole or not there. Must not judge models.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.forecaster import load_model
from controller.ports import ModelError
from training import whole

_SUFFIX = ".onnx"
_DIGITS = 12  # of a digest; they tell versions apart
_LOGGED = 10  # decisions of a model that are remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The place of one model in a directory. Only one process at a time may write to it."""

    models: Path
    name: str

    @property
    def path(self) -> Path:
        """The model in use."""
        return self.models / f"{self.name}{_SUFFIX}"

    def sweep(self) -> None:
        """Remove what killed processes left half-written."""
        for left in self.models.glob(f".{self.name}{_SUFFIX}.*"):
            left.unlink(missing_ok=True)

    def retire(self, keep: int) -> None:
        """Copy the model in use to the earlier ones, of which the last `keep` stay; it is in use until replaced."""
        if self.path.exists():
            data = self.path.read_bytes()
            whole.write(self._folder("previous") / f"{self.name}-{_digits(data)}{_SUFFIX}", data)
        for old in self.earlier()[keep:]:
            old.unlink()

    def earlier(self) -> list[Path]:
        """The files of earlier models, the last one first."""
        is_mine = re.compile(rf"{re.escape(self.name)}-[0-9a-f]{{{_DIGITS}}}{re.escape(_SUFFIX)}")
        kept = [each for each in self._folder("previous").iterdir() if is_mine.fullmatch(each.name)]
        return sorted(kept, key=lambda each: each.stat().st_mtime_ns, reverse=True)

    def bring_back(self, keep: int) -> Path | None:
        """Exchange the model in use for the last earlier one that is sound; what that was, None where there is none."""
        for old in self.earlier():
            if is_sound(old):
                data = old.read_bytes()
                self.retire(keep)
                whole.write(self.path, data)
                old.unlink(missing_ok=True)
                return old
        return None

    def note(self, decision: dict[str, Any]) -> None:
        """Add to the model's log, which holds the last decisions, oldest first."""
        log = [*self.log(), decision][-_LOGGED:]
        whole.write(self._folder("decisions") / f"{self.name}.json", (json.dumps(log, indent=1) + "\n").encode())

    def log(self) -> list[dict[str, Any]]:
        """The decisions, oldest first; none where there is no readable log."""
        try:
            found = json.loads((self._folder("decisions") / f"{self.name}.json").read_text())
        except (OSError, ValueError):
            return []
        return found if isinstance(found, list) else []

    def _folder(self, name: str) -> Path:
        folder = self.models / name
        folder.mkdir(exist_ok=True)
        return folder


def is_sound(path: Path) -> bool:
    """Whether a loader accepts the file."""
    try:
        load_model(path)
    except ModelError:
        return False
    return True


def _digits(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGITS]
