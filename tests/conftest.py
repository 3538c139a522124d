"""Which fixtures may every test ask for? The API server on loopback, and AWS.

Also keeps BLAS to one thread, which has to be said before anything imports numpy.
"""

from __future__ import annotations

import gc
import os

# Matrices are tiny here, and threads that wait for one another spin: with two of them ARMA took ten times the CPU time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from tests.aws.fixtures import aws, aws_server
from tests.servers.fixtures import api, kubeconfig, server

__all__ = ["api", "aws", "aws_server", "kubeconfig", "server"]


def pytest_collection_finish() -> None:
    """What is imported by now stays: to look for garbage in it, and as often as usual, took a sixth of the CPU time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
