"""What the chart makes of training: Jobs that the training image understands, and models where the controller looks."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests import install
from tests.contracts.specs import documents
from training import roster
from training.retraining import Rules
from training.roster import Share

Object = dict[str, Any]

ENABLED = ("--set=models.persistentVolumeClaim=models", "--set=training.job.enabled=true", "--set=training.pods=3")
FLEET = '--set-json=training.fleet={"series": [{"name": "web", "data": "generated:1"}]}'


@pytest.fixture(scope="session")
def example() -> dict[str, Object]:
    """The rendered example by kind."""
    return {found["kind"]: found for found in documents(install.TRAINING_FILE.read_text())}


def pod(found: Object) -> Object:
    spec = found["spec"]["jobTemplate"]["spec"] if found["kind"] == "CronJob" else found["spec"]
    return dict(spec["template"]["spec"])


def rendered(helm: Path, *settings: str) -> list[Object]:
    return documents(install.render(helm, *settings))


def test_the_rendered_example_is_fresh(helm: Path) -> None:
    assert install.TRAINING_FILE.read_text() == install.render_training(helm), "stale; run `make manifests`"


def test_helm_finds_nothing_to_complain_about(helm: Path) -> None:
    command = [str(helm), "lint", "--strict", str(install.CHART), f"--values={install.TRAINING / 'values.yaml'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_trained_by_default() -> None:
    kinds = {found["kind"] for found in documents(install.FILE.read_text())}
    assert not kinds & {"Job", "CronJob", "ConfigMap", "PersistentVolumeClaim"}


def test_the_fleet_file_is_one_that_training_reads(example: dict[str, Object], tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(example["ConfigMap"]["data"]["fleet.yaml"])

    assert [(entry.member.name, entry.by) for entry in roster.read(path)] == [
        ("app-{}", "app"),
        ("checkout-starts", None),
    ]


@pytest.mark.parametrize("kind", ["Job", "CronJob"])
def test_the_pods_read_the_fleet_file_of_their_own_release(example: dict[str, Object], kind: str) -> None:
    volumes = {volume["name"]: volume for volume in pod(example[kind])["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in pod(example[kind])["containers"][0]["volumeMounts"]}
    arguments = pod(example[kind])["containers"][0]["args"]

    assert volumes["fleet"]["configMap"]["name"] == example["ConfigMap"]["metadata"]["name"]
    assert f"--fleet={mounts['fleet']}/fleet.yaml" in arguments
    assert {"--out", "--models"} & {one.partition("=")[0] for one in arguments if one.endswith(mounts["fleet-models"])}


@pytest.mark.parametrize("kind", ["Job", "CronJob"])
def test_each_pod_has_its_share(example: dict[str, Object], kind: str) -> None:
    found = example[kind]
    spec = found["spec"]["jobTemplate"]["spec"] if kind == "CronJob" else found["spec"]
    given = {variable["name"]: variable["value"] for variable in pod(found)["containers"][0]["env"]}

    shares = [Share.of_pod(given | {"JOB_COMPLETION_INDEX": str(index)}) for index in range(spec["completions"])]
    assert spec["completionMode"] == "Indexed"
    assert shares == [Share(index=index, of=4) for index in range(4)]


def test_by_default_the_rules_are_those_of_the_command(helm: Path) -> None:
    values = yaml.safe_load((install.CHART / "values.yaml").read_text())["training"]["retraining"]
    rules = Rules()

    assert (values["days"], values["fewestDays"], values["margin"], values["keep"]) == (
        rules.days,
        rules.fewest,
        rules.margin,
        rules.keep,
    )


def test_the_controller_looks_where_training_writes_and_then_in_its_image(helm: Path) -> None:
    objects = rendered(helm, *ENABLED, FLEET)
    (deployment,) = (found for found in objects if found["kind"] == "Deployment")
    (job,) = (found for found in objects if found["kind"] == "Job")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    (dirs,) = (each["value"] for each in container["env"] if each["name"] == "PREDICTIVE_SCALER_MODELS_DIRS")
    (mount,) = (each for each in container["volumeMounts"] if each["name"] == "fleet-models")
    (out,) = (one for one in pod(job)["containers"][0]["args"] if one.startswith("--out="))

    assert mount["readOnly"] is True
    assert dirs.split(":") == [mount["mountPath"], "models"] == [out.removeprefix("--out="), "models"]


def test_another_fleet_is_another_job_and_another_file(helm: Path) -> None:
    other = '--set-json=training.fleet={"series": [{"name": "shop", "data": "generated:1"}]}'
    names = [
        {found["kind"]: found["metadata"]["name"] for found in rendered(helm, *ENABLED, fleet)}
        for fleet in (FLEET, other)
    ]

    assert all(names[0][kind] != names[1][kind] for kind in ("Job", "ConfigMap"))


@pytest.mark.parametrize(
    "settings",
    [
        ("--set=training.job.enabled=true", FLEET),  # models would be lost with the pods
        ("--set=training.job.enabled=true", "--set=models.persistentVolumeClaim=models"),  # nothing to fit
        (*ENABLED, FLEET, "--set=training.pods=0"),
        (*ENABLED, FLEET, "--set=training.retraining.fewestDays=3"),
        (*ENABLED, FLEET, "--set=training.retrain.enabled=true"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(helm: Path, settings: tuple[str, ...]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        install.render(helm, *settings)


def test_the_image_of_training_starts_what_the_jobs_ask_for() -> None:
    stages = (install.ROOT / "Dockerfile").read_text().split("\nFROM ")
    of = {stage.splitlines()[0].rpartition(" AS ")[2]: stage for stage in stages if " AS " in stage.splitlines()[0]}

    assert 'ENTRYPOINT ["python", "-m", "training"]' in of["training"]
    assert "COPY training" not in of["controller"]
    assert stages[-1] == of["controller"].rstrip("\n") + "\n", "the default image is the controller"
