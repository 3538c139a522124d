"""Errors on demand, as each protocol tells them, and the book of the calls that met them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from sandbox.aws.faults import Book, Call, Fault
from sandbox.aws.settings import SettingError
from tests.aws.fixtures import REGION, Place

ONCE: dict[str, Any] = {"retries": {"mode": "standard", "total_max_attempts": 1}}
CALL = Call(time=0.0, service="cloudwatch", region=REGION, operation="GetMetricData", identity="tests")


def hasty(aws: Place, service: str, seconds: float = 30.0) -> Any:
    """A client that tries once, and waits so long for an answer."""
    import boto3  # noqa: PLC0415 - as in the fixtures

    make: Any = boto3.client
    return make(service, region_name=REGION, config=Config(**ONCE, read_timeout=seconds))


def code(call: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as error:
        call()
    return str(error.value.response["Error"]["Code"])


@pytest.mark.parametrize("name", ["Throttling", "AccessDenied", "ExpiredToken", "InternalFailure"])
def test_every_protocol_tells_the_code(aws: Place, name: str) -> None:
    aws.server.fail(code=name)
    assert code(lambda: hasty(aws, "cloudwatch").list_metrics()) == name
    assert code(lambda: hasty(aws, "autoscaling").describe_auto_scaling_groups()) == name
    assert code(lambda: hasty(aws, "sts").get_caller_identity()) == name
    assert code(lambda: hasty(aws, "s3").get_object(Bucket="models", Key="a.onnx")) == name


def test_the_message_is_told(aws: Place) -> None:
    words = "User: arn:aws:iam::1:user/a is not authorized to perform: autoscaling:SetDesiredCapacity & more"
    aws.server.fail(code="AccessDenied", message=words)
    with pytest.raises(ClientError, match="more") as error:
        hasty(aws, "autoscaling").describe_auto_scaling_groups()
    assert error.value.response["Error"]["Message"] == words


def test_a_head_has_only_a_status(aws: Place) -> None:
    aws.server.fail(code="AccessDenied")
    assert code(lambda: hasty(aws, "s3").head_object(Bucket="models", Key="a.onnx")) == "403"


def test_what_is_throttled_so_often_is_answered_then(aws: Place) -> None:
    aws.server.fail(operation="ListMetrics", times=2)
    assert aws.client("cloudwatch").list_metrics()["Metrics"] == []  # the SDK itself tried again
    attempts = [call["invocation"] for call in aws.server.calls("ListMetrics")]
    aws.client("cloudwatch").list_metrics()
    another = aws.server.calls("ListMetrics")[-1]["invocation"]
    assert attempts == [attempts[0]] * 3
    assert another not in {"", attempts[0]}


def test_only_the_call_that_is_meant_fails(aws: Place) -> None:
    aws.server.fail(operation="ListMetrics", region="us-west-2")
    hasty(aws, "cloudwatch").list_metrics()
    aws.server.fail(operation="PutMetricData")
    hasty(aws, "cloudwatch").list_metrics()


def test_a_call_can_hang(aws: Place) -> None:
    aws.server.fail(kind="hang", seconds=100.0)
    with pytest.raises(ReadTimeoutError):
        hasty(aws, "cloudwatch", seconds=0.3).list_metrics()
    aws.server.heal()
    hasty(aws, "cloudwatch").list_metrics()  # which does not wait for the other, which still hangs


def test_a_connection_can_close(aws: Place) -> None:
    aws.server.fail(kind="close")
    with pytest.raises(ConnectionClosedError):
        hasty(aws, "cloudwatch").list_metrics()


def test_permissions_are_checked_when_that_is_wanted(aws: Place) -> None:
    client = hasty(aws, "autoscaling")
    client.describe_auto_scaling_groups()
    aws.server.authorize(is_on=True)
    assert code(client.describe_auto_scaling_groups) == "InvalidClientTokenId"
    aws.server.reset()
    client.describe_auto_scaling_groups()


def test_a_reset_takes_faults_calls_and_settings_away(aws: Place) -> None:
    aws.server.fail()
    aws.server.change(launch=60.0)
    aws.server.reset()
    hasty(aws, "cloudwatch").list_metrics()
    assert len(aws.server.calls()) == 1
    assert aws.server.change()["launch"] == 0.0


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"speed": 1.0}, "no setting speed"), ({"launch": "soon"}, "launch cannot be"), ({"now": "2026-03-02"}, "zone")],
)
def test_a_setting_that_is_wrong_changes_nothing(aws: Place, settings: dict[str, object], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        aws.server.change(delete=5.0, **settings)
    assert aws.server.change()["delete"] == 0.0


def test_the_book_can_be_read_while_it_is_written() -> None:
    book = Book()
    with ThreadPoolExecutor(max_workers=4) as threads:
        writing = [threads.submit(lambda: [book.enter(CALL) for _ in range(500)]) for _ in range(3)]
        read = [len(book.as_json()) for _ in range(20)]
    assert read == sorted(read)
    assert [len(one.result()) for one in writing] == [500] * 3
    assert len(book.as_json()) == 1500


def test_a_fault_waits_and_counts() -> None:
    fault = Fault(operation="GetMetricData", times=2, after=1)
    assert [fault.applies(CALL) for _ in range(5)] == [False, True, True, False, False]


@pytest.mark.parametrize(
    ("fault", "applies"),
    [
        (Fault(), True),
        (Fault(service="cloudwatch"), True),
        (Fault(service="s3"), False),
        (Fault(region="us-west-2"), False),
        (Fault(operation="PutMetricData"), False),
        (Fault(times=0), False),
    ],
)
def test_a_fault_applies_to_what_it_names(fault: Fault, applies: bool) -> None:
    assert fault.applies(CALL) is applies
