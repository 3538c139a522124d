"""Does a controller that was just installed work? What `helm test` runs, in the controller's own image and account.

    python -m controller.probe http://predictive-scaler.predictive-scaler:8080 [NAMESPACE ...]

Asks what users would ask: the Service, and the API server for the PredictiveScalers of the namespaces (none: of all).
Must not change anything.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

import aiohttp

from controller.conditions import ConditionType, Status, stored
from controller.kubernetes_api import ApiError, ConfigurationError, ForbiddenError, KubernetesApi, NotFoundError
from controller.spec import GROUP, PLURAL, VERSION

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 1.0
ANSWER_SECONDS = 5.0


class ProbeError(Exception):
    """Something does not work. The message says what, and what to look at."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each thing that was asked; 0 when all of them work, else 1."""
    parser = argparse.ArgumentParser(prog="python -m controller.probe", description="Ask a controller how it is.")
    parser.add_argument("address", help="of its Service, such as http://predictive-scaler.predictive-scaler:8080")
    parser.add_argument("namespaces", nargs="*", help="that it serves; none means all")
    parser.add_argument("--patience", type=float, default=PATIENCE_SECONDS, help="seconds to wait for it [%(default)g]")
    given = parser.parse_args(arguments)
    questions = {
        "controller": lambda: _ready(given.address, given.patience),
        "scalers": lambda: _scalers(given.namespaces),
    }
    is_well = [asyncio.run(_told(name, ask)) for name, ask in questions.items()]
    _say("It works." if all(is_well) else "It does not work yet.")
    return 0 if all(is_well) else 1


async def _told(name: str, ask: Callable[[], Awaitable[str]]) -> bool:
    try:
        answer = await ask()
    except ProbeError as error:
        _say(f"FAIL  {name}: {error}")
        return False
    _say(f"ok    {name}: {answer}")
    return True


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _ready(address: str, patience: float) -> str:
    """That the Service leads to a controller that has a list of its scalers. Raises ProbeError."""
    deadline = time.monotonic() + patience
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session:
        while problem := await _unready(session, f"{address}/readyz"):
            if time.monotonic() >= deadline:
                raise ProbeError(f"{problem}; look at the pods' events and logs")
            await asyncio.sleep(POLL_SECONDS)
    return f"{address} is ready"


async def _unready(session: aiohttp.ClientSession, url: str) -> str:
    """Why it is not ready; empty when it is."""
    try:
        async with session.get(url) as answer:
            said = (await answer.text())[:200].strip()
            return "" if answer.status == HTTPStatus.OK else f"{url} answers {answer.status}: {said}"
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError and says nothing
        return f"{url} does not answer: {str(error) or f'nothing came within {ANSWER_SECONDS:g} s'}"


async def _scalers(namespaces: Sequence[str]) -> str:
    """How many PredictiveScalers this ServiceAccount may list, and how many are Ready. Raises ProbeError."""
    where = f"in {', '.join(namespaces)}" if namespaces else "in all namespaces"
    try:
        async with await KubernetesApi.connect() as api:
            found = [body for path in _paths(namespaces) for body in (await api.list_all(path)).items]
    except NotFoundError as error:
        raise ProbeError(
            f"the API server knows no PredictiveScalers: install the CRD (crds.install=true): {error}"
        ) from error
    except ForbiddenError as error:
        raise ProbeError(
            f"this ServiceAccount may not list them {where}: see rbac.create and watchNamespaces: {error}"
        ) from error
    except (ApiError, ConfigurationError) as error:
        raise ProbeError(f"they cannot be listed {where}: {error}") from error
    ready = sum(_is_ready(body) for body in found)
    return f"{len(found)} {where}, {ready} of them Ready" if found else f"none {where} yet"


def _paths(namespaces: Sequence[str]) -> list[str]:
    root = f"/apis/{GROUP}/{VERSION}"
    return [f"{root}/namespaces/{namespace}/{PLURAL}" for namespace in namespaces] or [f"{root}/{PLURAL}"]


def _is_ready(body: dict[str, Any]) -> bool:
    found = stored(body.get("status") or {})
    return any((one.type, one.status) == (ConditionType.READY, Status.TRUE) for one in found)


if __name__ == "__main__":
    raise SystemExit(main())
