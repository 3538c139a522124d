"""How do changes of PredictiveScalers reach the registry? The only file that knows kopf.

kopf watches in a thread and loop of its own and hands every event over; it never writes: no finalizer, no annotation,
no status, no events. Its traps, and what is done about them:
- it reports no DELETED after a relist: `controller.relist` compares uids once a minute;
- it strips its own finalizer from objects of other operators: ours has a name of its own;
- it ends for good on a lasting 403/5xx or when the CRD is deleted: it is started anew here, each time with a flag of
  its own, since it leaves a thread behind that waits for the flag, and no loop ends before its threads;
- it calls handlers that are not coroutines in a pool of threads: ours is one, and is called in the watch's thread;
- it asks for the name of the user, whom a container need not know, to have a name among its like: it is given one;
- it replaces signal handlers in the main thread and ends the process after ten minutes: neither in this thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import kopf

from controller.spec import GROUP, PLURAL, VERSION

log = logging.getLogger(__name__)

OnEvent = Callable[[str | None, Mapping[str, Any]], None]
"""(type, body): the type is ADDED, MODIFIED or DELETED, or None for an object that was there before."""

RESTART_SECONDS = 5.0
IDENTITY: Any = "predictive-scaler"
"""Shown to nobody: it has no peers."""


class Watch:
    """kopf in a thread; `on_event` is called in that thread."""

    def __init__(self, *, namespaces: Sequence[str], on_event: OnEvent) -> None:
        self._namespaces = namespaces
        self._registry = _registry(on_event)
        self._stop = threading.Event()
        self._flag = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self, wait_seconds: float = 5.0) -> None:
        """End the watch; whatever it still does after `wait_seconds` ends with the process."""
        self._stop.set()
        self._flag.set()
        self._thread.join(wait_seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._flag = threading.Event()
            try:
                asyncio.run(self._operate(self._flag))
            except Exception:
                log.exception("the watch ended; it is started anew", extra={"after_seconds": RESTART_SECONDS})
            self._stop.wait(RESTART_SECONDS)

    async def _operate(self, flag: threading.Event) -> None:
        """Run kopf until it fails or `flag` is set, which it waits for in a thread that must end with it."""
        if self._stop.is_set():
            return
        try:
            await kopf.operator(
                registry=self._registry,
                settings=_settings(),
                standalone=True,
                identity=IDENTITY,
                clusterwide=not self._namespaces,
                namespaces=list(self._namespaces),
                stop_flag=flag,
            )
        finally:
            flag.set()


def _registry(on_event: OnEvent) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    async def changed(event: Mapping[str, Any], **_: object) -> None:
        on_event(event["type"], event["object"])

    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401  # kopf's own arguments, passed on
        in_cluster = None if os.environ.get("KUBECONFIG") else kopf.login_with_service_account(**kwargs)
        return in_cluster or kopf.login_with_kubeconfig(**kwargs)

    kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)(changed)
    kopf.on.login(registry=registry)(login)
    return registry


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = f"{GROUP}/never-set"
    settings.posting.enabled = False
    settings.scanning.disabled = True  # neither CRDs nor namespaces are watched, so no rights on them are needed
    settings.queueing.idle_timeout = 0.5  # a worker task for each active object: with 5 s there are ten times as many
    settings.watching.chunk_size = 500
    settings.process.ultimate_exiting_timeout = None
    return settings
