"""What is generated from the chart is fresh, the examples are good, and the controller gets the settings it knows."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from controller.settings import Settings
from controller.spec import GROUP, KIND, PLURAL, VERSION, Coordination, parse
from manifests import install, reference
from tests.contracts.specs import EXAMPLES, crd, documents, resource_schema, strict

VALUES = (install.CHART / "values.yaml").read_text()
ALL_VALUES_SET = (
    "--set=prometheus.address=http://prometheus:9090,models.dirs={/models,/more},watchNamespaces={shop,search}",
    "--set=models.places={s3://models/,oci://ghcr.io/me/},models.cache.mib=64,models.registrySecret=logins",
    "--set=replicas=3,shards=6,keda.enabled=true,keda.port=9092",
    "--set=log.level=DEBUG,log.format=text,service.port=9090,image.tag=v1,priorityClassName=high",
)
LEAST = [
    (["predictivescaler.dev"], ["predictivescalers"], ["get", "list", "watch"]),
    (["predictivescaler.dev"], ["predictivescalers/status"], ["patch"]),
    (["*"], ["*/scale"], ["get", "patch"]),
    (["autoscaling"], ["horizontalpodautoscalers"], ["list"]),
    (["events.k8s.io"], ["events"], ["create"]),
]
POD = {"metadata.name": "predictive-scaler-0", "metadata.namespace": install.NAME, "status.podIP": "10.0.0.7"}
REPLICA = Settings(instance=POD["metadata.name"], lease_namespace=install.NAME, peer_address="10.0.0.7:8080")
MODELS_CACHE = Path("/var/cache/predictive-scaler/models")
PAIR = install.FILE.parent / "examples" / "aws-pods-and-nodes.yaml"
PODS = ([""], ["pods"], ["list"])
SECRETS = ([""], ["secrets"], ["get"])

Object = dict[str, Any]


@pytest.fixture(scope="session")
def installed() -> list[Object]:
    """The objects of manifests/install.yaml."""
    return documents(install.FILE.read_text())


def rendered(helm: Path, *settings: str) -> list[Object]:
    return documents(install.render(helm, *settings))


def only(objects: list[Object], kind: str, name: str = install.NAME) -> Object:
    (found,) = (found for found in objects if (found["kind"], found["metadata"]["name"]) == (kind, name))
    return found


def rules(role: Object) -> list[tuple[list[str], ...]]:
    return [(rule["apiGroups"], rule["resources"], rule["verbs"]) for rule in role["rules"]]


def container(objects: list[Object]) -> Object:
    (found,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(found)


def volume(objects: list[Object], path: Path) -> Object:
    """What is mounted at `path`, without its name."""
    (name,) = (mount["name"] for mount in container(objects)["volumeMounts"] if mount["mountPath"] == str(path))
    volumes = only(objects, "Deployment")["spec"]["template"]["spec"]["volumes"]
    (found,) = (dict(each) for each in volumes if each["name"] == name)
    return {key: value for key, value in found.items() if key != "name"}


def environment(objects: list[Object]) -> dict[str, str]:
    """What the container is given, as it is in the pod `POD`."""
    given = {
        one["name"]: one.get("value") or POD[one["valueFrom"]["fieldRef"]["fieldPath"]] for one in variables(objects)
    }
    return {name: value.replace("$(POD_IP)", given["POD_IP"]) for name, value in given.items()}


def variables(objects: list[Object]) -> list[Object]:
    return list(container(objects)["env"])


def test_the_crd_has_the_names_that_the_code_uses() -> None:
    spec = crd()["spec"]
    assert (spec["group"], spec["names"]["plural"], spec["names"]["kind"]) == (GROUP, PLURAL, KIND)
    assert [version["name"] for version in spec["versions"]] == [VERSION]


def test_the_reference_is_fresh() -> None:
    assert reference.FILE.read_text() == reference.page(crd()), "stale; run `make manifests`"


def test_the_install_manifest_is_fresh(helm: Path) -> None:
    assert install.FILE.read_text() == install.render(helm), "stale; run `make manifests`"


def test_helm_finds_nothing_to_complain_about(helm: Path) -> None:
    done = subprocess.run([helm, "lint", "--strict", install.CHART], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_are_good(file: Path) -> None:
    for example in documents(file.read_text()):
        if example["kind"] == KIND:
            jsonschema.validate(example["spec"], strict(resource_schema()["properties"]["spec"]))
            parse(example["spec"])


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_hold_a_scaler_each(file: Path) -> None:
    kinds = [example["kind"] for example in documents(file.read_text())]
    assert kinds.count(KIND) == (2 if file == PAIR else 1)


def test_the_example_of_a_pair_is_one() -> None:
    """The same load and model, so that it is read and forecast once, and as much for a unit as for the pods on it."""
    pods, units = (parse(example["spec"]) for example in documents(PAIR.read_text()))
    assert units.coordination == Coordination(scaler="checkout", per_unit=4)
    alike = [(one.metric, one.model, one.zone, one.interval) for one in (pods, units)]
    assert alike[0] == alike[1]
    assert units.policy.target_per_replica == 4 * pods.policy.target_per_replica


def test_the_controller_may_do_this_and_no_more(installed: list[Object]) -> None:
    role = only(installed, "ClusterRole")
    assert rules(role) == [*LEAST, PODS, SECRETS]


@pytest.mark.parametrize(
    ("settings", "left"),
    [("rbac.secrets=false", [PODS]), ("rbac.pods=false", [SECRETS]), ("rbac.secrets=false,rbac.pods=false", [])],
)
def test_secrets_and_pods_can_be_left_out(helm: Path, settings: str, left: list[tuple[list[str], ...]]) -> None:
    assert rules(only(rendered(helm, f"--set={settings}"), "ClusterRole")) == [*LEAST, *left]


def test_namespaces_get_roles_and_nothing_is_granted_cluster_wide(helm: Path) -> None:
    objects = rendered(helm, "--set=watchNamespaces={shop,search}")
    granted = [found for found in objects if found["apiVersion"].startswith("rbac.")]
    assert {found["kind"] for found in granted} == {"Role", "RoleBinding"}
    for namespace in ("shop", "search"):
        role, binding = (found for found in granted if found["metadata"]["namespace"] == namespace)
        assert rules(role) == [*LEAST, PODS, SECRETS]
        assert binding["roleRef"]["name"] == role["metadata"]["name"]


def test_the_controller_knows_every_setting_it_is_given(helm: Path) -> None:
    assert Settings.from_environment(environment(rendered(helm, *ALL_VALUES_SET))) == replace(
        REPLICA,
        prometheus_address="http://prometheus:9090",
        models_dirs=(Path("/models"), Path("/more")),
        models_cache=MODELS_CACHE,
        models_cache_mib=64.0,
        model_places=("s3://models/", "oci://ghcr.io/me/"),
        http_address="0.0.0.0:9090",
        peer_address="10.0.0.7:9090",
        keda_address="0.0.0.0:9092",
        shards=6,
        namespaces=("shop", "search"),
        log_level="DEBUG",
        log_format="text",
    )


def test_by_default_the_controller_listens_where_its_probes_ask(installed: list[Object]) -> None:
    settings = Settings.from_environment(environment(installed))
    assert settings == replace(REPLICA, http_address="0.0.0.0:8080", models_cache=MODELS_CACHE)


def test_placed_models_are_written_where_the_root_is_not(helm: Path) -> None:
    claimed = rendered(helm, "--set=replicas=1,models.cache.persistentVolumeClaim=kept")
    assert volume(claimed, MODELS_CACHE) == {"persistentVolumeClaim": {"claimName": "kept"}}
    by_default = rendered(helm, "--set=models.cache.mib=100")
    assert volume(by_default, MODELS_CACHE) == {"emptyDir": {"sizeLimit": "420Mi"}}
    assert container(by_default)["securityContext"]["readOnlyRootFilesystem"] is True


def test_logins_of_registries_lie_where_docker_looks(helm: Path) -> None:
    objects = rendered(helm, "--set=models.registrySecret=logins")
    items = [{"key": ".dockerconfigjson", "path": "config.json"}]
    folder = Path(environment(objects)["DOCKER_CONFIG"])
    assert volume(objects, folder) == {"secret": {"secretName": "logins", "items": items}}


def test_no_place_is_no_setting_left_out(helm: Path) -> None:
    """An empty value would be the default, which is every place."""
    assert Settings.from_environment(environment(rendered(helm, "--set-json=models.places=[]"))).model_places == ()


def test_further_variables_reach_the_container(helm: Path) -> None:
    objects = rendered(helm, "--set=env[0].name=AWS_REGION,env[0].value=cn-north-1")
    assert environment(objects)["AWS_REGION"] == "cn-north-1"


def test_the_pod_runs_what_the_image_starts(installed: list[Object]) -> None:
    """The image holds the package's source and no console scripts."""
    assert 'ENTRYPOINT ["python", "-m", "controller"]' in (install.ROOT / "Dockerfile").read_text()
    assert "command" not in container(installed)


def test_no_service_link_can_look_like_a_setting(installed: list[Object]) -> None:
    deployment = only(installed, "Deployment")
    assert deployment["spec"]["template"]["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize(
    "setting",
    [
        "log.level=debug",
        "watchNamespace={shop}",
        "prometheus.address=prometheus:9090",
        "serviceAccount.create=false",
        "models.places={http://models/}",
        "models.places={https://models.internal}",
        "models.cache.mib=0",
    ],
)
def test_values_that_cannot_be_meant_are_refused(helm: Path, setting: str) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        install.render(helm, f"--set={setting}")


def test_every_value_has_a_schema() -> None:
    properties = json.loads((install.CHART / "values.schema.json").read_text())["properties"]
    assert set(properties) == {*documents(VALUES)[0], "global"}


def test_every_value_is_explained() -> None:
    lines = VALUES.partition("\nresources:")[0].splitlines()
    pairs = [(before.strip(), line.strip()) for before, line in pairwise(lines) if not line.rstrip().endswith(":")]
    assert [
        line for before, line in pairs if ": " in line and not line.startswith("#") and not before.startswith("#")
    ] == []
