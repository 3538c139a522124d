"""Are the policies of manifests/aws exactly what the code calls? By its own words, and by an AWS that checks them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore import xform_name

from client.checks.permissions import FILES, READS, WRITES
from controller.aws_spec import CapacityField
from controller.targets import asg
from tests.aws.fixtures import REGION, Place
from tests.client.conftest import Invoke
from tests.client.scalers import cloudwatch, group, written

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "manifests" / "aws"
SERVICES = ("autoscaling", "cloudwatch", "s3", "sts")
FREE = {"sts:GetCallerIdentity"}
"""What needs no permission."""

SAME_PERMISSION = {"s3:HeadObject": "s3:GetObject"}
WITH_VERSION = {"s3:GetObjectVersion"}
"""What s3:GetObject is called of an object's version."""

KINDS = ("policy-asg-desired", "policy-asg-floor")


@cache
def operations() -> dict[str, str]:
    """The SDK's name -> service:Operation, of all services that are asked."""
    session = botocore.session.Session()
    models = {service: session.get_service_model(service) for service in SERVICES}
    return {xform_name(name): f"{one}:{name}" for one, model in models.items() for name in model.operation_names}


def words(tree: ast.AST) -> Iterator[str]:
    """Every text and every attribute of a program: an operation is named by one or the other."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.Attribute):
            yield node.attr


def called(folder: str) -> set[str]:
    """The operations that the code of a folder names."""
    any_of_them = re.compile("|".join(operations()))
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / folder).rglob("*.py"))]
    trees = [ast.parse(text) for text in texts if any_of_them.search(text)]
    return {operations()[word] for tree in trees for word in words(tree) if word in operations()}


def policy(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def allowed(*names: str) -> set[str]:
    """The actions of the policies."""
    return {action for name in names for statement in policy(name)["Statement"] for action in statement["Action"]}


def all_policies() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("policy-*.json"))


def test_the_policies_allow_what_the_controller_calls_and_nothing_else() -> None:
    needed = {SAME_PERMISSION.get(one, one) for one in called("controller")}
    assert needed - FREE == allowed(*all_policies()) - WITH_VERSION
    assert "s3:GetObject" in needed


@pytest.mark.parametrize("folder", ["client", "training"])
def test_nothing_that_people_run_needs_more(folder: str) -> None:
    assert called(folder) - FREE <= allowed(*all_policies())


def test_the_two_ways_to_size_a_group_differ_in_what_they_write() -> None:
    desired, floor = (allowed(name) for name in KINDS)
    assert desired ^ floor == {f"autoscaling:{action}" for action in WRITES.values()}
    assert desired & floor == {f"autoscaling:{action}" for action in READS}
    assert {xform_name(action): action for action in READS} == {value: key for key, value in READS.items()}
    assert sorted(Path(path).stem for path in FILES.values()) == list(KINDS)
    assert set(WRITES.values()) == {asg._DESIRED[1], asg._FLOOR[1]}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_each_file_is_a_policy_as_iam_takes_it(path: Path) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    is_trust = path.stem.startswith("trust-")
    assert found["Version"] == "2012-10-17"
    for statement in found["Statement"]:
        assert statement["Effect"] == "Allow"
        assert ("Principal" in statement) == is_trust
        assert ("Resource" in statement) != is_trust
        assert "*" not in statement["Action"]
        assert not is_trust or statement["Condition"]  # nobody else of the account becomes it


def test_only_what_knows_no_resources_is_allowed_of_all() -> None:
    anywhere = {
        action
        for name in all_policies()
        for statement in policy(name)["Statement"]
        if statement["Resource"] == "*"
        for action in statement["Action"]
    }
    assert anywhere == {"cloudwatch:GetMetricData"} | {f"autoscaling:{action}" for action in READS}


def test_the_readme_tells_of_each_file() -> None:
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{path.name}`" in told for path in FOLDER.glob("*.json"))


def test_the_trusted_account_is_the_chart_s() -> None:
    """As the README's own helm line installs it: release and namespace predictive-scaler."""
    irsa, pod = (json.dumps(policy(name)) for name in ("trust-policy-irsa", "trust-policy-pod-identity"))
    install = next(
        one
        for one in yaml.safe_load_all((ROOT / "manifests" / "install.yaml").read_text(encoding="utf-8"))
        if one["kind"] == "ServiceAccount"
    )
    metadata = install["metadata"]
    assert f'system:serviceaccount:{metadata["namespace"]}:{metadata["name"]}"' in irsa
    assert json.dumps({"aws:RequestTag/kubernetes-namespace": metadata["namespace"]})[1:-1] in pod


class Limited:
    """Somebody who may do what a test allows, at an AWS that checks it."""

    def __init__(self, aws: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        self.aws = aws
        self._monkeypatch = monkeypatch

    def may(self, *statements: dict[str, Any]) -> None:
        """Become a user with these permissions."""
        iam = self.aws.client("iam")
        iam.create_user(UserName="limited")
        document = {"Version": "2012-10-17", "Statement": [_known(one) for one in statements]}
        iam.put_user_policy(UserName="limited", PolicyName="all", PolicyDocument=json.dumps(document))
        key = iam.create_access_key(UserName="limited")["AccessKey"]
        self._monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        self._monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        self.aws.server.authorize(is_on=True)


def _known(statement: dict[str, Any]) -> dict[str, Any]:
    """As moto knows it: no resources but S3's, and CloudWatch by the name of its endpoint."""
    actions = [one.replace("cloudwatch:", "monitoring:") for one in statement["Action"]]
    is_of_s3 = all(one.startswith("s3:") for one in actions)
    resource = statement["Resource"].replace("YOUR_BUCKET/YOUR_PREFIX", "models/web") if is_of_s3 else "*"
    return statement | {"Action": actions, "Resource": resource}


@pytest.fixture
def limited(aws: Place, monkeypatch: pytest.MonkeyPatch) -> Limited:
    aws.group("web", minimum=1, maximum=20, desired=2)
    aws.client("s3").create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": REGION})
    return Limited(aws, monkeypatch)


def statements(*names: str, without: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    """Of the policies, less some actions."""
    found = [one for name in names for one in policy(name)["Statement"]]
    left = [one | {"Action": [action for action in one["Action"] if action not in without]} for one in found]
    return [one for one in left if one["Action"]]


def results(out: str) -> dict[str, tuple[str, str]]:
    return {one["check"]: (one["result"], one["message"]) for one in json.loads(out)["scalers"][0]["findings"]}


@pytest.mark.parametrize(("name", "capacity"), [(KINDS[0], "Desired"), (KINDS[1], "Floor")])
async def test_the_policies_suffice(name: str, capacity: str, limited: Limited, invoke: Invoke, tmp_path: Path) -> None:
    model = (ROOT / "models" / "default.onnx").read_bytes()
    limited.aws.client("s3").put_object(Bucket="models", Key="web/a.onnx", Body=model)
    limited.may(*statements(name, "policy-cloudwatch", "policy-models-s3"))
    scaler = group(cloudwatch(), capacity=capacity, model="s3://models/web/a.onnx")
    found = await invoke("doctor", "-f", written(tmp_path, scaler), "--write-check", "-o", "json")
    told = results(found.out)
    wanted = ("identity", "model", "target", "owner", "permissions", "write")
    assert {told[check][0] for check in wanted} == {"ok"}, told
    operations_asked = {call["operation"] for call in limited.aws.server.calls() if call["service"] == "autoscaling"}
    used = {f"autoscaling:{one}" for one in operations_asked} - {"autoscaling:CreateAutoScalingGroup"}
    assert used - {"autoscaling:CreateLaunchConfiguration"} == allowed(name)


READ_ACTIONS = frozenset(f"autoscaling:{action}" for action in READS)


@pytest.mark.parametrize("missing", [READ_ACTIONS, allowed(KINDS[0]) - READ_ACTIONS], ids=["reads", "write"])
async def test_each_action_that_is_missing_is_named(
    missing: frozenset[str], limited: Limited, invoke: Invoke, tmp_path: Path
) -> None:
    limited.may(*statements(KINDS[0], "policy-cloudwatch", without=frozenset(missing)))
    found = await invoke("doctor", "-f", written(tmp_path, group(cloudwatch())), "--write-check", "-o", "json")
    said = " ".join(message for result, message in results(found.out).values() if result == "failed")
    assert found.code == 1
    assert {action for action in allowed(KINDS[0]) if action in said} == missing
    assert FILES[CapacityField.DESIRED] in said


async def test_a_model_that_may_not_be_read_is_named_with_the_right_to_grant(
    limited: Limited, invoke: Invoke, tmp_path: Path
) -> None:
    limited.may(*statements("policy-models-s3", "policy-cloudwatch", KINDS[0]))
    scaler = group(cloudwatch(), model="s3://models/other/a.onnx")
    found = await invoke("doctor", "-f", written(tmp_path, scaler), "-o", "json")
    result, message = results(found.out)["model"]
    assert (found.code, result) == (1, "failed")
    assert "s3:GetObject on arn:aws:s3:::models/other/a.onnx" in message
