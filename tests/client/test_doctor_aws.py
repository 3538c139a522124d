"""What does `doctor` say of CloudWatch, groups and models at AWS, with the endpoint process behind it?"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.core.series import floor_to_step
from tests.aws.fixtures import REGION, Place
from tests.client.conftest import Invoke
from tests.client.scalers import Json, cloudwatch, group, written
from tests.contracts.specs import merged
from tests.e2e.models import write_constant

MINUTE = timedelta(minutes=1)
SECRET = "a-secret-that-nobody-may-see"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one scaler's checks came to."""

    code: int
    by: str
    results: dict[str, str]
    messages: dict[str, str]
    text: str

    def of(self, result: str) -> set[str]:
        return {check for check, found in self.results.items() if found == result}


class Doctor:
    """`doctor -f` of one scaler, as JSON."""

    def __init__(self, invoke: Invoke, directory: Path) -> None:
        self._invoke = invoke
        self._directory = directory

    async def __call__(self, scaler: Json, *options: str) -> Told:
        ended = await self._invoke("doctor", "-f", written(self._directory, scaler), *options, "-o", "json")
        assert ended.err == ""
        (said,) = json.loads(ended.out)["scalers"]
        return Told(
            code=ended.code,
            by=json.loads(ended.out)["by"],
            results={one["check"]: one["result"] for one in said["findings"]},
            messages={one["check"]: one["message"] for one in said["findings"]},
            text=ended.out,
        )


@pytest.fixture
def doctor(aws: Place, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Without a cluster, and with a load of 30 a minute for two hours and a group of 2."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("COLUMNS", "80")
    now = floor_to_step(datetime.now(UTC), MINUTE)
    aws.put({now - back * MINUTE: 30.0 for back in range(1, 121)})
    aws.group("web", minimum=1, maximum=20, desired=2)
    return Doctor(invoke, tmp_path)


async def test_all_is_well_and_said_so(doctor: Doctor, aws: Place) -> None:
    told = await doctor(group(cloudwatch()))
    assert told.code == 0, told.text
    assert told.of("ok") == {"spec", "identity", "model", "metric", "target", "owner", "lead time", "permissions"}
    assert told.of("skipped") == {"rights", "write"}
    assert "user/moto at AWS" in told.by
    assert "Without a cluster: " in told.by
    assert "account 123456789012, in eu-central-1" in told.messages["identity"]
    assert told.messages["metric"].startswith("Sum of Tests Load in eu-central-1: 30 in the period of 1 min that ended")
    assert "3 replicas at 10 each; 60 of the last 60 periods have a value" in told.messages["metric"]
    assert "2 replicas, 2 in service" in told.messages["target"]
    assert not [
        one for one in aws.server.calls() if one["operation"] in {"SetDesiredCapacity", "UpdateAutoScalingGroup"}
    ]


async def test_missing_permissions_are_named_at_once(doctor: Doctor, aws: Place) -> None:
    words = "User: arn:aws:iam::1:user/a is not authorized to perform: {0}"
    aws.server.fail(operation="DescribePolicies", code="AccessDenied", message=words.format("DescribePolicies"))
    told = await doctor(group(cloudwatch()))
    assert told.code == 1
    assert told.of("failed") == {"owner", "permissions"}
    assert "AWS denies autoscaling:DescribePolicies; allow" in told.messages["permissions"]
    assert "manifests/aws/policy-asg-desired.json" in told.messages["permissions"]
    assert "grant autoscaling:DescribePolicies" in told.messages["owner"]


async def test_a_metric_that_is_denied_names_the_action(doctor: Doctor, aws: Place) -> None:
    aws.server.fail(operation="GetMetricData", code="AccessDenied", message="not authorized")
    told = await doctor(group(cloudwatch()))
    assert told.of("failed") == {"metric"}
    assert "allow cloudwatch:GetMetricData" in told.messages["metric"]


@pytest.mark.parametrize(
    ("capacity", "operation", "size"),
    [
        ("Desired", "SetDesiredCapacity", "DesiredCapacity was set to 2"),
        ("Floor", "UpdateAutoScalingGroup", "MinSize was set to 1"),
    ],
)
async def test_a_write_is_made_only_when_asked_for_and_changes_nothing(
    capacity: str, operation: str, size: str, doctor: Doctor, aws: Place
) -> None:
    before = aws.described()
    told = await doctor(group(cloudwatch(), capacity=capacity), "--write-check")
    assert told.results["write"] == "ok"
    assert size in told.messages["write"]
    assert len(aws.server.calls(operation)) == 1
    sizes = ("DesiredCapacity", "MinSize", "MaxSize")
    after = aws.described()
    assert before is not None
    assert after is not None
    assert [before[one] for one in sizes] == [after[one] for one in sizes]


async def test_a_write_that_is_denied_fails(doctor: Doctor, aws: Place) -> None:
    aws.server.fail(operation="SetDesiredCapacity", code="AccessDenied", message="not authorized")
    told = await doctor(group(cloudwatch()), "--write-check")
    assert (told.code, told.of("failed")) == (1, {"write"})
    assert "grant autoscaling:SetDesiredCapacity" in told.messages["write"]


async def test_bounds_and_suspended_processes_of_the_group_are_warned_of(doctor: Doctor, aws: Place) -> None:
    client = aws.client("autoscaling")
    client.update_auto_scaling_group(AutoScalingGroupName="web", MinSize=2, MaxSize=7)
    client.suspend_processes(AutoScalingGroupName="web", ScalingProcesses=["Launch", "AZRebalance"])
    told = await doctor(group(cloudwatch()))
    assert (told.code, told.results["target"]) == (0, "warning")
    message = told.messages["target"]
    assert "its MaxSize, 7, is below maxReplicas, 20" in message
    assert "its MinSize, 2, is above minReplicas, 1" in message
    assert "resume-processes --scaling-processes Launch" in message
    assert "--scaling-processes AZRebalance" not in message


@pytest.mark.parametrize(("mode", "result"), [("Active", "failed"), ("Observe", "ok")])
async def test_a_policy_on_the_group_stands_in_the_way_of_who_acts(
    mode: str, result: str, doctor: Doctor, aws: Place
) -> None:
    track = {"PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"}, "TargetValue": 50.0}
    aws.client("autoscaling").put_scaling_policy(
        AutoScalingGroupName="web",
        PolicyName="by-cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingConfiguration=track,
    )
    told = await doctor(group(cloudwatch(), mode=mode))
    assert told.results["owner"] == result
    assert 'target tracking policy "by-cpu"' in told.messages["owner"]


@pytest.mark.parametrize(
    ("change", "check", "words"),
    [
        ({"metric": {"cloudwatch": {"metricName": "Lod"}}}, "metric", "CloudWatch has no value of Sum of Tests Lod"),
        ({"metric": {"cloudwatch": {"region": "eu-west-1"}}}, "metric", "check region, namespace, metricName"),
        ({"targetRef": {"name": "wep"}}, "target", 'AutoScalingGroup "wep" in eu-central-1 does not exist'),
        ({"coordination": {"scaler": "pods", "replicasPerUnit": 4}}, "coordination", "no cluster"),
    ],
)
async def test_what_is_not_there_is_named(change: Json, check: str, words: str, doctor: Doctor) -> None:
    scaler = group(cloudwatch())
    scaler["spec"] = merged(scaler["spec"], change)
    told = await doctor(scaler)
    assert words in told.messages[check]
    assert told.results[check] == ("skipped" if check == "coordination" else "failed")


async def test_minutes_that_are_missing_are_counted(doctor: Doctor, aws: Place) -> None:
    now = floor_to_step(datetime.now(UTC), MINUTE)
    aws.put({now - back * MINUTE: 30.0 for back in range(1, 62, 2)}, name="Sparse")
    told = await doctor(group(cloudwatch(metricName="Sparse")))
    assert told.results["metric"] == "warning"
    known = int(told.messages["metric"].partition(" of the last 60 periods")[0].rsplit(" ", 1)[1])
    assert 29 <= known <= 31


async def test_a_model_in_a_bucket_is_fetched_and_held_against_the_metric(
    doctor: Doctor, aws: Place, tmp_path: Path
) -> None:
    """A step of 90 s is no whole number of periods of a minute."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": REGION})
    for step in (90, 300):
        write_constant(tmp_path / f"of-{step}.onnx", 30.0, step_seconds=step)
        s3.put_object(Bucket="models", Key=f"{step}.onnx", Body=(tmp_path / f"of-{step}.onnx").read_bytes())
    fits = await doctor(group(cloudwatch(), model="s3://models/300.onnx"))
    assert (fits.results["model"], fits.results["history"]) == ("ok", "ok")
    assert "of-300" in fits.messages["model"]
    assert "steps of 5 min, 5 min back, 25 min ahead" in fits.messages["model"]
    odd = await doctor(group(cloudwatch(), model="s3://models/90.onnx"))
    assert (odd.results["metric"], odd.results["history"]) == ("ok", "failed")
    assert "90 s, is no whole number of periods of 60 s" in odd.messages["history"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("s3://models/none.onnx", "there is no such bucket"),
        ("https://169.254.169.254/a.onnx", "an address of the machine itself"),
        ("oci://127.0.0.1:9/a/b:1", "no public address"),
    ],
)
async def test_a_model_that_cannot_be_fetched_says_why(model: str, words: str, doctor: Doctor) -> None:
    told = await doctor(group(cloudwatch(), model=model))
    assert told.of("failed") == {"model"}
    assert words in told.messages["model"]


async def test_who_is_nobody_at_aws_is_told_by_each_part_and_no_key_is(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    told = await doctor(group(cloudwatch()))
    assert told.code == 1
    assert told.of("failed") >= {"identity", "metric", "target"}
    assert "there are no AWS credentials" in told.messages["identity"]
    assert "see identity" in told.messages["permissions"]
    assert "nobody at AWS" in told.by


async def test_no_credential_is_ever_printed(doctor: Doctor, aws: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where AWS refuses them, nor the ones of a role."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFNOBODYATALL")
    aws.server.authorize(is_on=True)
    told = await doctor(group(cloudwatch(roleArn="arn:aws:iam::222222222222:role/reader")), "--write-check")
    assert told.code == 1
    assert told.results["identity"] == "failed"
    assert SECRET not in told.text
    assert "ASIA" not in told.text


async def test_a_role_is_shown_as_aws_knows_it(doctor: Doctor) -> None:
    told = await doctor(group(cloudwatch(roleArn="arn:aws:iam::222222222222:role/reader")))
    assert "assumed-role" in told.text
    assert "222222222222" in told.text


@pytest.mark.slow
async def test_an_aws_that_hangs_ends_in_bounded_time(doctor: Doctor, aws: Place) -> None:
    aws.server.fail(operation="*", kind="hang", seconds=100)
    began = time.monotonic()
    told = await doctor(group(cloudwatch()), "--timeout", "1", "--write-check")
    assert time.monotonic() - began < 100  # less than the first of the calls would take
    assert told.of("failed") >= {"identity", "metric", "target", "permissions", "write"}


async def test_lines_at_80_columns(doctor: Doctor, invoke: Invoke, tmp_path: Path) -> None:
    told = await invoke("doctor", "-f", written(tmp_path, group(cloudwatch())))
    lines = told.out.splitlines()
    assert told.code == 0
    assert lines[0].startswith("Looked at from here as arn:aws:sts::123456789012:user/moto at AWS,")
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line.startswith("ok       identity      arn:aws:sts::")]
    assert [line for line in lines if line.startswith("skipped  write         autoscaling:SetDesiredCapacity")]
