"""What has the process imported from which the tests fork theirs?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from training import workers


@pytest.fixture(scope="session", autouse=True)
def _imported_once_for_all() -> Iterator[None]:
    """Who forks first says what is imported: here always what any of them needs, else each process imports the rest."""
    context: Any = workers._CONTEXT
    needed = (*workers._PRELOAD, "training.simulate.trials", "pytest")

    def say(asked: Sequence[str]) -> None:
        context.__class__.set_forkserver_preload(context, list(dict.fromkeys((*needed, *asked))))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "set_forkserver_preload", say)
        yield
