"""Who asked the API server for what? Reads the audit log of a sandbox.

Must not start or talk to anything: the file is all it knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

CREDENTIAL = "authentication.kubernetes.io/credential-id"
# Everything, without bodies, once a request: a watch when it starts (it may never end), all else when answered.
POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One request. `resource` is "" for paths that are no resource (`/healthz`); `code`: the HTTP status.

    `credential`: which of its user's tokens or certificates it came with, as the API server tells them apart.
    """

    time: datetime
    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    uri: str
    credential: str = ""

    @property
    def is_allowed(self) -> bool:
        """Whether RBAC let it through."""
        return self.code not in {401, 403}

    @property
    def permission(self) -> tuple[str, str, str]:
        """What a rule has to grant: API group, resource with its subresource ("deployments/scale"), verb."""
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return self.group, resource, self.verb


def read_events(log: Path, user: str | None = None) -> Iterator[AuditEvent]:
    """The requests in the order in which they were answered; those of one user when given."""
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.endswith("\n"):  # the API server is still writing it
                return
            if user is None or user in line:  # far cheaper than to parse what is not wanted
                yield from _events(json.loads(line), user)


def _events(entry: dict[str, Any], user: str | None) -> Iterator[AuditEvent]:
    acting = entry.get("impersonatedUser") or entry["user"]
    is_watch_end = entry["verb"] == "watch" and entry["stage"] != "ResponseStarted" and _code(entry) == 200  # noqa: PLR2004 - HTTP OK
    if not is_watch_end and user in {None, acting["username"]}:
        yield _event(entry, acting["username"])


def _event(entry: dict[str, Any], user: str) -> AuditEvent:
    what = entry.get("objectRef", {})
    return AuditEvent(
        time=datetime.fromisoformat(entry["requestReceivedTimestamp"]),
        user=user,
        verb=entry["verb"],
        group=what.get("apiGroup", ""),
        resource=what.get("resource", ""),
        subresource=what.get("subresource", ""),
        namespace=what.get("namespace", ""),
        name=what.get("name", ""),
        code=_code(entry),
        uri=entry["requestURI"],
        credential="".join((entry["user"].get("extra") or {}).get(CREDENTIAL, ())),
    )


def _code(entry: dict[str, Any]) -> int:
    return int(entry.get("responseStatus", {}).get("code", 0))
