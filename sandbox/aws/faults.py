"""Which calls does the endpoint answer with an error, and in which words? Also: which calls were made?

Speaks the protocols of the services that we ask: JSON (CloudWatch), query (Auto Scaling, STS, EC2) and REST (S3).
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

MOST_CALLS = 200_000
_SCOPE = re.compile(r"Credential=([^/]*)/[0-9]*/([-a-z0-9]*)/([-a-z0-9]*)/aws4_request")
_SERVICES = {"monitoring": "cloudwatch"}
_STATUSES = {"AccessDenied": 403, "AccessDeniedException": 403, "ExpiredToken": 403, "InvalidClientTokenId": 403}
_STATUSES |= {
    "SignatureDoesNotMatch": 403,
    "InternalFailure": 500,
    "ServiceUnavailable": 503,
    "ResourceContention": 500,
}
_STATUSES |= {"SlowDown": 503, "NoSuchKey": 404, "NoSuchBucket": 404}
_BAD_REQUEST = 400
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `time`: Unix seconds. `queries`: how many metrics a GetMetricData asked for, else 0.

    `operation` of S3: the HTTP method and the path. `identity`: the access key id; "" in an unsigned request.
    `invocation`: the SDK's own name of what it calls, the same for all of its attempts; "" where it tells none.
    """

    time: float
    service: str
    region: str
    operation: str
    identity: str
    queries: int = 0
    invocation: str = ""


@dataclass(slots=True, kw_only=True)
class Fault:
    """How calls fail: `times` of them, -1 for all until it is taken away.

    `operation` "*" means every one, `region` and `service` "" any. `kind`: "error" answers with `code`; "hang" says
    nothing for `seconds` and then closes the connection; "close" closes it at once. `after`: so many calls go well
    first. `status` 0: the one that goes with the code.
    """

    operation: str = "*"
    service: str = ""
    region: str = ""
    kind: str = "error"
    code: str = "Throttling"
    message: str = "Rate exceeded"
    status: int = 0
    times: int = -1
    after: int = 0
    seconds: float = 0.0

    @property
    def http_status(self) -> int:
        """The status of its answer."""
        return self.status or _STATUSES.get(self.code, _BAD_REQUEST)

    def applies(self, call: Call) -> bool:
        """Whether it is this call that fails; counts it."""
        is_meant = (
            self.operation in {"*", call.operation}
            and self.service in {"", call.service}
            and self.region in {"", call.region}
        )
        if not is_meant or self.times == 0:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= self.times > 0
        return True


class Book:
    """The calls that came, and the faults that wait for some; for any number of threads."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=MOST_CALLS)
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def enter(self, call: Call) -> Fault | None:
        """Write a call down; the fault that it meets."""
        with self._lock:
            self._calls.append(call)
            return next((fault for fault in self._faults if fault.applies(call)), None)

    def fail(self, faults: Iterable[Fault]) -> None:
        """Have calls meet these faults, in place of those before."""
        with self._lock:
            self._faults = list(faults)

    def reset(self) -> None:
        """Forget calls and faults."""
        with self._lock:
            self._calls.clear()
            self._faults.clear()

    def as_json(self) -> list[dict[str, Any]]:
        """The calls, oldest first."""
        with self._lock:
            calls = list(self._calls)
        return [asdict(call) for call in calls]


def call_of(environ: Mapping[str, Any], body: bytes, time: float) -> Call:
    """What a request is, by its head and its body (empty where that was not read)."""
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    identity, region, service = scope.groups() if scope else ("", "", "")
    target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    operation = target or _action(body) or f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '')}"
    return Call(
        time=time,
        service=_SERVICES.get(service, service),
        region=region,
        operation=operation,
        identity=identity,
        queries=_queries(body) if target == "GetMetricData" else 0,
        invocation=environ.get("HTTP_AMZ_SDK_INVOCATION_ID", ""),
    )


def told(fault: Fault, call: Call, *, is_json: bool) -> tuple[str, bytes]:
    """Content type and body of an error."""
    if is_json:
        said = {
            "__type": f"com.amazonaws.{call.service}#{fault.code}",
            "message": fault.message,
            "Message": fault.message,
        }
        return "application/x-amz-json-1.0", json.dumps(said).encode()
    code, message = escape(fault.code), escape(fault.message)
    if call.service == "s3":
        return "application/xml", f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    kind = "Receiver" if fault.http_status >= _SERVER_ERROR else "Sender"
    error = f"<Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return "text/xml", f"<ErrorResponse>{error}<RequestId>0</RequestId></ErrorResponse>".encode()


def _action(body: bytes) -> str:
    return "" if b"Action=" not in body else parse_qs(body.decode()).get("Action", [""])[0]


def _queries(body: bytes) -> int:
    try:
        return len(json.loads(body).get("MetricDataQueries", ()))
    except ValueError:
        return 0
