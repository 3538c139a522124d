"""Which fixtures may every test ask for? The API server on loopback, and AWS.

Also keeps BLAS to one thread, which has to be said before anything imports numpy, and properties to 50 examples, unless
they say otherwise. These are the same in every run of the same code, so that nobody's change is refused for what it did
not break; whoever looks for more has `pytest --hypothesis-profile thorough`, which tries 1000, other ones each time.
"""

from __future__ import annotations

import gc
import os
import sys

# Matrices are tiny here, and threads that wait for one another spin: with two of them ARMA took ten times the CPU time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

from tests.aws.fixtures import aws, aws_server
from tests.servers.fixtures import api, kubeconfig, server

__all__ = ["api", "aws", "aws_server", "kubeconfig", "server"]

# jsonschema would make forty parsers as it is imported, which takes 2 s, for formats that no schema of ours has.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]  # as if it were not installed

# How long an example takes says more of what else the machine does than of us.
_ANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", _ANY, max_examples=50, derandomize=True)
settings.register_profile("thorough", _ANY, max_examples=1000)
settings.load_profile("quick")


# What is imported stays. To look for garbage in it, as often as usual, took a sixth of the CPU time.
gc.disable()


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who asks for AWS is slow: a process is started and emptied for each test."""
    for item in items:
        if "aws_server" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")


def pytest_collection_finish() -> None:
    """From here on what is made may be garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()
