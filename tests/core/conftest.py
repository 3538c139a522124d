"""How properties are searched here: without a clock, since a busy machine is no counterexample."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("core", deadline=None)
settings.load_profile("core")
