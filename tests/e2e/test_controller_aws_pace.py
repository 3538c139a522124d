"""How soon does a value that is put at CloudWatch become a size? It is printed; what must hold is the size."""

from __future__ import annotations

import statistics
import time

import pytest

from tests.e2e.clouding import Cloud

pytestmark = pytest.mark.e2e
IS_ON_AWS = True
CHANGES = 12
PAUSE_SECONDS = 1.3  # of no relation to the period and the interval of a second
LATEST_SECONDS = 60.0


def test_every_value_becomes_a_size(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.group(desired=1)
    cloud.sees(15)
    cloud.scene.apply(cloud.scaler())
    cloud.await_desired(2)
    took = []
    for number in range(CHANGES):
        time.sleep(PAUSE_SECONDS)
        wanted, written = 5 + number % 2 * 7 + number % 5, len(cloud.writes())
        put = cloud.sees(wanted * 10 - 3).timestamp()
        until = time.monotonic() + LATEST_SECONDS
        while len(cloud.writes()) == written and time.monotonic() < until:
            time.sleep(0.05)
        took.append(cloud.writes()[-1]["time"] - put)
        cloud.await_desired(wanted)  # a call is written down when it comes, and done a moment later
    with capsys.disabled():
        words = f"median {statistics.median(took):.2f}, most {max(took):.2f} s"
        print(f"\nfrom a value at CloudWatch to SetDesiredCapacity, {CHANGES} changes: {words}")  # noqa: T201  # what it is for
