"""How is AWS asked? Each call in a thread, bounded in time, by the credentials of the place or a role, its errors told.

The only file that knows boto3. Credentials come from the SDK's own chain (web identity of the ServiceAccount, Pod
Identity, profile, environment, instance) and never from a PredictiveScaler; a role may be assumed on top of them.
An endpoint other than AWS's is set as for every SDK, by AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_<SERVICE>.

The SDK is imported with the first call, in its thread: it costs half a second and 10 to 20 MiB, which who asks AWS
nothing need not pay.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from controller.aws_spec import AwsAccess, AwsRole
from controller.fence import REFUSED, Left

if TYPE_CHECKING:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.response import StreamingBody

T = TypeVar("T")
Json = Mapping[str, Any]
Clock = Callable[[], datetime]
OnCall = Callable[[str, str, float], None]
"""(service, operation, seconds) of every call, the SDK's own retries within it."""

Take = Callable[[Json, Iterator[bytes]], T]
"""An answer and the pieces of its Body."""

PIECE = 2**18
SESSION_NAME = "predictive-scaler"
RENEW_BEFORE = timedelta(minutes=5)
LONGEST_CONNECT_SECONDS = 2.0
ATTEMPTS = 3
"""So often the SDK itself tries a call, with growing pauses, where AWS throttles or is not there."""

_THROTTLED = frozenset(
    {"Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded", "RequestThrottled"}
    | {"TooManyRequestsException", "SlowDown", "LimitExceeded", "LimitExceededException"}
)
_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "Forbidden", "403"}
)
_NOT_KNOWN = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure"}
    | {"SignatureDoesNotMatch", "InvalidAccessKeyId", "IncompleteSignature", "InvalidIdentityToken"}
)
_MISSING = frozenset(
    {"NoSuchKey", "NoSuchBucket", "NoSuchVersion", "404", "ResourceNotFound", "ResourceNotFoundException"}
)
_SERVER_ERROR = 500
_left: ContextVar[Left] = ContextVar("left", default=lambda: math.inf)
"""For how long the call that runs in this thread may be sent."""


class AwsError(Exception):
    """AWS gave no answer that can be used. `code`: AWS's own word, or empty where it gave none."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class CredentialsError(AwsError):
    """Nobody is known to AWS here: there are no credentials, they have expired, or the role cannot be assumed."""


class DeniedError(AwsError):
    """The identity may not do this; the message names the action where AWS does."""


class ThrottledError(AwsError):
    """Too many calls for this account and region; ask less for a while."""


class MissingError(AwsError):
    """There is no such thing."""


class RefusedError(AwsError):
    """The question itself is wrong, as AWS sees it."""


class UnavailableError(AwsError):
    """No answer in time, no connection, or an error of AWS's own, whose `code` says so."""


class LateError(UnavailableError):
    """No answer in time."""


class FencedError(UnavailableError):
    """Nothing was sent: this process may not change anything now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Client:
    """A client and when its credentials end; None where the SDK renews them itself."""

    client: Any
    until: datetime | None


class Aws:
    """Clients by place and service. Close it when done."""

    def __init__(
        self,
        *,
        timeout_seconds: float,
        clock: Clock,
        threads: int = 8,
        on_call: OnCall = lambda *_: None,
        fence: Left = lambda: math.inf,
    ) -> None:
        """`timeout_seconds`: of one attempt. `threads`: calls at a time. `fence`: for how long changes may be sent."""
        self._clock = clock
        self._fence = fence
        self._on_call = on_call
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="aws")
        self._making = threading.Lock()
        self._timeout_seconds, self._at_once = timeout_seconds, threads
        self._session: boto3.Session | None = None
        self._clients: dict[tuple[AwsAccess, str], _Client] = {}

    async def call(self, access: AwsAccess, service: str, operation: str, /, **arguments: object) -> Json:
        """One call, such as ("cloudwatch", "get_metric_data"), and its answer. Raises AwsError."""
        return await self._in_thread(self.ask, access, service, operation, arguments)

    async def change(self, access: AwsAccess, service: str, operation: str, /, **arguments: object) -> Json:
        """One call that changes something; each of its attempts is sent only while that is permitted. Raises AwsError.

        An attempt that fails may be followed by another seconds later, so the SDK itself has to ask before each.
        """
        context = copy_context()
        context.run(_left.set, self._fence)
        return await self._in_thread(context.run, self.ask, access, service, operation, arguments)

    async def pages(
        self, access: AwsAccess, service: str, operation: str, /, **arguments: object
    ) -> AsyncIterator[Json]:
        """The answers of a call that AWS splits, as they come. Raises AwsError."""
        token: Json = {}
        while True:
            answer = await self.call(access, service, operation, **arguments, **token)
            yield answer
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    async def download(
        self, access: AwsAccess, service: str, operation: str, take: Take[T], /, **arguments: object
    ) -> T:
        """What `take` makes of an answer and the pieces of its Body, in a thread that no call waits for.

        Raises AwsError, and what `take` raises.
        """
        return await asyncio.to_thread(self._take, access, service, operation, take, arguments)

    def ask(self, access: AwsAccess, service: str, operation: str, arguments: Json) -> Json:
        """`call`, for whoever has a thread of its own. Raises AwsError."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # with the first call

        began = perf_counter()
        try:
            answer: Json = getattr(self._client(access, service), operation)(**arguments)
        except (BotoCoreError, ClientError) as error:
            _fail(f"{service}:{operation}", error)
        except ValueError as error:  # what the SDK makes of a token file that ends in a line break
            raise CredentialsError(f"{service}:{operation}: the credentials cannot be used: {error}") from error
        finally:
            self._on_call(service, operation, perf_counter() - began)
        return answer

    def close(self) -> None:
        """End the threads; a call under way ends by its own timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for held in self._clients.values():
            held.client.close()

    def _take(self, access: AwsAccess, service: str, operation: str, take: Take[T], arguments: Json) -> T:
        answer = self.ask(access, service, operation, arguments)
        with contextlib.closing(answer["Body"]) as body:
            return take(answer, _pieces(body, f"{service}:{operation}"))

    async def _in_thread(self, work: Callable[..., Json], *arguments: object) -> Json:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _client(self, access: AwsAccess, service: str) -> Any:  # noqa: ANN401  # its class is made at run time
        """Made once, and again before the credentials of its role end; clients may be shared by threads."""
        with self._making:
            held = self._clients.get((access, service))
            if held is None or (held.until is not None and self._clock() >= held.until - RENEW_BEFORE):
                held = self._clients[access, service] = self._made(access, service)
        return held.client

    def _made(self, access: AwsAccess, service: str) -> _Client:
        given: dict[str, Any] = {}
        until = None
        if access.role is not None:
            given, until = self._assumed(access.region, access.role)
        make: Callable[..., Any] = self._opened().client  # the stubs know a service by its literal name only
        client = make(service, region_name=access.region, **given)
        client.meta.events.register("before-send", _refuse_late)
        return _Client(client=client, until=until)

    def _opened(self) -> boto3.Session:
        if self._session is None:
            self._session = _session(self._timeout_seconds, self._at_once)
        return self._session

    def _assumed(self, region: str, role: AwsRole) -> tuple[dict[str, Any], datetime]:
        from botocore.exceptions import ClientError  # noqa: PLC0415  # as above

        sts = self._opened().client("sts", region_name=region)
        wanted = {"RoleArn": role.arn, "RoleSessionName": SESSION_NAME}
        if role.external_id is not None:
            wanted["ExternalId"] = role.external_id
        try:
            found = sts.assume_role(**wanted)["Credentials"]
        except ClientError as error:
            code, words = _told(error)
            raise CredentialsError(f"the role {role.arn} cannot be assumed: {words}", code) from error
        finally:
            sts.close()
        given = {
            "aws_access_key_id": found["AccessKeyId"],
            "aws_secret_access_key": found["SecretAccessKey"],
            "aws_session_token": found["SessionToken"],
        }
        return given, found["Expiration"]


def _refuse_late(**_: object) -> None:
    """The SDK calls this in the call's thread, before each attempt."""
    if _left.get()() <= 0.0:
        raise FencedError(REFUSED)


def _session(timeout_seconds: float, threads: int) -> boto3.Session:
    """The session's own calls are bounded as well: a web identity is one to STS."""
    import boto3  # noqa: PLC0415  # as above
    import botocore.session  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    session = botocore.session.Session()
    session.set_default_client_config(
        Config(
            connect_timeout=min(timeout_seconds, LONGEST_CONNECT_SECONDS),
            read_timeout=timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=threads,
            user_agent_extra=SESSION_NAME,
        )
    )
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
    return boto3.Session(botocore_session=session)


def _moment(value: float | str) -> datetime:
    """As the SDK reads it, but in UTC, and a number in an eighth of the time: CloudWatch answers with thousands."""
    from botocore.utils import parse_timestamp  # noqa: PLC0415  # as above

    return datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) else parse_timestamp(value)


def _pieces(body: StreamingBody, call: str) -> Iterator[bytes]:
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415  # as above

    try:
        yield from body.iter_chunks(PIECE)
    except (BotoCoreError, OSError) as error:  # OSError: of the socket, which the SDK leaves as it is
        raise UnavailableError(f"{call}: the answer broke off: {error}") from error


def _told(error: ClientError) -> tuple[str, str]:
    said = error.response.get("Error", {})
    return said.get("Code", ""), said.get("Message", "") or str(error)


def _fail(call: str, error: BotoCoreError | ClientError) -> NoReturn:
    """Translate what the SDK raised; never with a credential in its words."""
    from botocore import exceptions  # noqa: PLC0415  # as above

    if isinstance(error, exceptions.ClientError):
        code, words = _told(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        raise _kind(code, status)(f"{call}: {words} ({code})", code) from error
    nobody = (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.TokenRetrievalError)
    if isinstance(error, nobody):
        cure = "give the ServiceAccount a role (IRSA or Pod Identity), or set the SDK's own variables"
        raise CredentialsError(f"{call}: there are no AWS credentials ({error}); {cure}") from error
    if isinstance(error, exceptions.ConnectTimeoutError | exceptions.ReadTimeoutError):
        raise LateError(f"{call}: no answer in time: {error}") from error
    raise UnavailableError(f"{call}: {error}") from error


def _kind(code: str, status: int) -> type[AwsError]:
    for codes, kind in ((_THROTTLED, ThrottledError), (_DENIED, DeniedError), (_NOT_KNOWN, CredentialsError)):
        if code in codes:
            return kind
    if code in _MISSING:
        return MissingError
    return UnavailableError if status >= _SERVER_ERROR else RefusedError
