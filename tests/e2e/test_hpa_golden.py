"""The golden answers of the HPA are still what its controller says: built anew from the pinned modules, and asked."""

from __future__ import annotations

import pytest

from sandbox.binaries import say
from tests.golden.hpa import cases, real

pytestmark = pytest.mark.e2e


@pytest.mark.timeout(1200)  # where nothing is cached the modules are fetched and compiled, which takes minutes
def test_the_hpas_controller_gives_the_answers_of_the_file() -> None:
    obstacle = real.obstacle()
    if obstacle is not None:
        pytest.skip(obstacle)
    golden = cases.read()
    assert real.answers(golden, say) == golden.sizes
