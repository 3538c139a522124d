"""What is generated from the chart is fresh, the examples are good, and the controller gets the settings it knows."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from controller.settings import Settings
from controller.spec import GROUP, KIND, PLURAL, VERSION, Coordination, parse
from manifests import chart_page, install, reference
from tests.contracts.specs import EXAMPLES, crd, documents, resource_schema, strict

pytestmark = pytest.mark.slow

VALUES = (install.CHART / "values.yaml").read_text()
VALUES_FILES = sorted((Path(__file__).parent / "values").glob("*.yaml"))
ALL_VALUES_SET = (
    "--set=prometheus.address=http://prometheus:9090,models.dirs={/models,/more},watchNamespaces={shop,search}",
    "--set=models.places={s3://models/,oci://ghcr.io/me/},models.cache.mib=64,models.registrySecret=logins",
    "--set=replicas=3,shards=6,keda.enabled=true,keda.port=9092,keda.tlsSecret=tls",
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
KEDA_TLS = Path("/etc/predictive-scaler/keda-tls")
MODELS_CACHE = Path("/var/cache/predictive-scaler/models")
PAIR = install.FILE.parent / "examples" / "aws-pods-and-nodes.yaml"
OPTIONAL = {
    "hpa": (["autoscaling"], ["horizontalpodautoscalers"], ["get", "patch"]),
    "workloads": (["apps"], ["deployments", "statefulsets", "replicasets"], ["get"]),
    "pods": ([""], ["pods"], ["list"]),
    "secrets": ([""], ["secrets"], ["get"]),
}
"""By the values of `rbac` that grant them."""

GUIDE = install.ROOT / "docs/guide/install.md"
SPOKEN = re.compile(r"`([a-z][A-Za-z]*(?:\.[A-Za-z]+)+)(?:=[^`]*)?`")
MANY = 20
LEFT_OUT = (
    {("/updateStrategy", "type"), ("/updateStrategy", "rollingUpdate")}
    | {
        (f"/probes/{probe}", field)
        for probe in ("startup", "liveness", "readiness")
        for field in ("initialDelaySeconds", "successThreshold")
    }
    | {("/training/fleet", "defaults"), ("/training/fleet", "series")}
)
"""What may be given and has no default of the chart's own: Kubernetes has."""

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
    return sorted((rule["apiGroups"], rule["resources"], rule["verbs"]) for rule in role["rules"])


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


@pytest.mark.parametrize("values", [None, *VALUES_FILES], ids=lambda file: file.stem if file else "defaults")
def test_helm_finds_nothing_to_complain_about(helm: Path, values: Path | None) -> None:
    given = [f"--values={values}"] if values else []
    done = subprocess.run(
        [helm, "lint", "--strict", install.CHART, *given], capture_output=True, text=True, check=False
    )
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
    assert rules(only(installed, "ClusterRole")) == sorted([*LEAST, *OPTIONAL.values()])


@pytest.mark.parametrize("off", [*([name] for name in OPTIONAL), [*OPTIONAL]], ids=".".join)
def test_what_not_everybody_needs_can_be_left_out(helm: Path, off: list[str]) -> None:
    role = only(rendered(helm, *(f"--set=rbac.{name}=false" for name in off)), "ClusterRole")
    assert rules(role) == sorted([*LEAST, *(rule for name, rule in OPTIONAL.items() if name not in off)])


def test_namespaces_get_roles_and_nothing_is_granted_cluster_wide(helm: Path) -> None:
    objects = rendered(helm, "--set=watchNamespaces={shop,search}")
    granted = [found for found in objects if found["apiVersion"].startswith("rbac.")]
    assert {found["kind"] for found in granted} == {"Role", "RoleBinding"}
    for namespace in ("shop", "search"):
        role, binding = (found for found in granted if found["metadata"]["namespace"] == namespace)
        assert rules(role) == sorted([*LEAST, *OPTIONAL.values()])
        assert binding["roleRef"]["name"] == role["metadata"]["name"]


def test_the_controller_knows_every_setting_it_is_given(helm: Path) -> None:
    assert Settings.from_environment(environment(rendered(helm, *ALL_VALUES_SET))) == replace(
        REPLICA,
        prometheus_address="http://prometheus:9090",
        models_dirs=(Path("/models"), Path("/more")),
        models_cache=MODELS_CACHE,
        models_cache_mib=64.0,
        model_places=("s3://models/", "oci://ghcr.io/me/"),
        http_address=":9090",
        peer_address="10.0.0.7:9090",
        keda_address=":9092",
        keda_tls=KEDA_TLS,
        shards=6,
        namespaces=("shop", "search"),
        log_level="DEBUG",
        log_format="text",
    )


def test_by_default_the_controller_listens_where_its_probes_ask(installed: list[Object]) -> None:
    settings = Settings.from_environment(environment(installed))
    assert settings == replace(REPLICA, http_address=":8080", models_cache=MODELS_CACHE)


@pytest.mark.parametrize("at", ["0.0.0.0", "[::]"])
def test_it_listens_at_the_address_that_is_named(helm: Path, at: str) -> None:
    settings = Settings.from_environment(environment(rendered(helm, f"--set=listenAddress={at},keda.enabled=true")))
    assert (settings.http_address, settings.keda_address) == (f"{at}:8080", f"{at}:9091")


def test_a_pod_of_ipv6_tells_its_peers_an_address_with_brackets(
    installed: list[Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node gives it without, and Kubernetes can put a port behind it and no more."""
    monkeypatch.setitem(POD, "status.podIP", "fd00:10:244::7")
    assert Settings.from_environment(environment(installed)).peer_address == "[fd00:10:244::7]:8080"


def test_the_service_is_of_the_families_that_are_named(helm: Path, installed: list[Object]) -> None:
    named = rendered(helm, "--set=service.ipFamilyPolicy=PreferDualStack,service.ipFamilies={IPv6,IPv4}")
    service = only(named, "Service")["spec"]
    assert (service["ipFamilyPolicy"], service["ipFamilies"]) == ("PreferDualStack", ["IPv6", "IPv4"])
    assert not {"ipFamilyPolicy", "ipFamilies"} & only(installed, "Service")["spec"].keys()


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


def test_the_certificate_for_keda_lies_where_it_is_looked_for(helm: Path) -> None:
    assert volume(rendered(helm, "--set=keda.enabled=true,keda.tlsSecret=tls"), KEDA_TLS) == {
        "secret": {"secretName": "tls"}
    }
    with pytest.raises(ValueError, match="not enough values"):
        volume(rendered(helm, "--set=keda.tlsSecret=tls"), KEDA_TLS)


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
    ("setting", "words"),
    [
        ("log.level=debug", "at '/log/level': value must be one of 'DEBUG', 'INFO', 'WARNING', 'ERROR'"),
        ("watchNamespace={shop}", "additional properties 'watchNamespace' not allowed"),
        ("keda.prot=1", "at '/keda': additional properties 'prot' not allowed"),
        ("resources.limit.memory=1Gi", "at '/resources': additional properties 'limit' not allowed"),
        ("training.resources.request.cpu=1", "at '/training/resources': additional properties 'request' not allowed"),
        ("prometheus.address=prometheus:9090", "at '/prometheus/address': 'prometheus:9090' does not match pattern"),
        ("serviceAccount.create=false", "at '/serviceAccount/name': minLength: got 0, want 1"),
        ("models.places={http://models/}", "at '/models/places/0': 'http://models/' does not match pattern"),
        ("models.places={https://models.internal}", "at '/models/places/0': 'https://models.internal' does not match"),
        ("models.cache.mib=0", "at '/models/cache/mib': minimum: got 0, want 1"),
        ("replicas=-1", "at '/replicas': minimum: got -1, want 0"),
        ("replicas=two", "at '/replicas': got string, want integer"),
        ("shards=0", "at '/shards': minimum: got 0, want 1"),
        ("service.port=80", "at '/service/port': minimum: got 80, want 1,024"),
        ("listenAddress=::", "at '/listenAddress': '::' does not match pattern"),
        ("listenAddress=0.0.0.0:80", "at '/listenAddress': '0.0.0.0:80' does not match pattern"),
        ("service.ipFamilyPolicy=DualStack", "at '/service/ipFamilyPolicy': value must be one of '', 'SingleStack'"),
        ("service.ipFamilies={IPv6,IPv6}", "at '/service/ipFamilies': items at 0 and 1 are equal"),
        ("image.digest=4f06", "at '/image/digest': '4f06' does not match pattern"),
        ("podDisruptionBudget.maxUnavailable=0", "at '/podDisruptionBudget/maxUnavailable': minimum: got 0, want 1"),
        ("metrics.serviceMonitor.interval=30", "at '/metrics/serviceMonitor/interval': got number, want string"),
        ("metrics.prometheusRule.runbookUrl=https://docs", "at '/metrics/prometheusRule/runbookUrl': 'https://docs'"),
        ("probes.liveness.httpGet.path=/", "at '/probes/liveness': additional properties 'httpGet' not allowed"),
        ("models.cache.persistentVolumeClaim=x", "keeps the models of one controller: set replicas=1"),
        ("metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true", "each series would come twice"),
        ("keda.enabled=true,keda.port=8080", "KEDA needs a port of its own, such as 9091"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(helm: Path, setting: str, words: str) -> None:
    command = [str(helm), "template", install.NAME, str(install.CHART), f"--set={setting}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert words in done.stderr


def test_every_value_has_a_schema_and_every_schema_a_value() -> None:
    """Down to values that are the user's own: objects whose keys the chart does not name."""
    schema = json.loads((install.CHART / "values.schema.json").read_text())
    assert not list(_unlike(documents(VALUES)[0] | {"global": {}}, schema, schema["$defs"], ""))


def _unlike(values: Object, schema: Object, shared: Object, path: str) -> Iterator[str]:
    known = {
        name: shared.get(one.get("$ref", "").rpartition("/")[2], one) for name, one in schema["properties"].items()
    }
    if schema.get("additionalProperties") is not False:
        yield f"{path or '.'} allows values that nobody reads"
    yield from (f"{path}/{name}" for name in {*values} ^ {*known} if (path, name) not in LEFT_OUT)
    for name, one in known.items():
        if "properties" in one and name in values:
            yield from _unlike(values[name], one, shared, f"{path}/{name}")


def test_every_value_is_explained() -> None:
    """Each by the comment above it, or above the line in which it stands with others."""
    chart_page.page(VALUES)


def test_the_readme_speaks_of_values_that_there_are() -> None:
    known = set(_names(documents(VALUES)[0], ()))
    texts = {file: file.read_text() for file in (install.CHART / "README.md", GUIDE)}
    named = {(file.name, name) for file, text in texts.items() for name in SPOKEN.findall(text)}
    parts = {path[0] for path in known}
    wrong = {
        (file, name) for file, name in named if name.split(".")[0] in parts and tuple(name.split(".")) not in known
    }
    assert wrong == set()
    assert len(named) > MANY


def _names(values: Object, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from _names(value, (*above, name))


def test_helm_installs_no_crd_of_its_own(helm: Path) -> None:
    """What lies in crds/ it would make once and never upgrade; so the file is a part of the release."""
    shown = subprocess.run([helm, "show", "crds", install.CHART], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == ""
    found = only(rendered(helm), "CustomResourceDefinition", f"{PLURAL}.{GROUP}")
    assert found["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert {name: found[name] for name in ("apiVersion", "kind", "spec")} == {
        name: crd()[name] for name in ("apiVersion", "kind", "spec")
    }


def test_the_crd_can_be_left_to_others_or_given_up(helm: Path) -> None:
    kinds = [found["kind"] for found in rendered(helm, "--set=crds.install=false")]
    assert "CustomResourceDefinition" not in kinds
    given_up = only(rendered(helm, "--set=crds.keep=false"), "CustomResourceDefinition", f"{PLURAL}.{GROUP}")
    assert "annotations" not in given_up["metadata"]


def test_users_of_a_namespace_get_scalers_with_their_role(installed: list[Object]) -> None:
    """By aggregation, and nothing of the status, which is the controller's."""
    roles = {name: only(installed, "ClusterRole", f"{install.NAME}-{name}") for name in ("view", "edit")}
    resources = {name: [rule["resources"] for rule in role["rules"]] for name, role in roles.items()}
    assert resources == {"view": [["predictivescalers"]], "edit": [["predictivescalers"]]}
    aggregated = {label for role in roles.values() for label in role["metadata"]["labels"] if "aggregate-to" in label}
    assert aggregated == {f"rbac.authorization.k8s.io/aggregate-to-{role}" for role in ("view", "edit", "admin")}


def test_rules_and_dashboards_are_the_files_as_they_are(helm: Path) -> None:
    objects = rendered(helm, "--set=metrics.prometheusRule.enabled=true,metrics.dashboards.enabled=true")
    rules_files = {file.stem: documents(file.read_text())[0] for file in (install.CHART / "rules").glob("*.yaml")}
    assert rules_files
    for stem, content in rules_files.items():
        assert only(objects, "PrometheusRule", f"{install.NAME}-{stem}")["spec"] == content
    dashboards = {file.name: file for file in (install.CHART / "dashboards").glob("*.json")}
    assert dashboards
    for name, file in dashboards.items():
        found = only(objects, "ConfigMap", f"{install.NAME}-{file.stem}")
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert {key: json.loads(text) for key, text in found["data"].items()} == {name: json.loads(file.read_text())}


def test_runbooks_are_where_the_operator_says(helm: Path) -> None:
    values = "metrics.prometheusRule.enabled=true,metrics.dashboards.enabled=true"
    where = "--set=metrics.prometheusRule.runbookUrl=https://docs.internal/$1/{alert}/"
    objects = rendered(helm, f"--set={values}", where)
    found = only(objects, "PrometheusRule", f"{install.NAME}-alerts")["spec"]["groups"]
    alerts = [rule for group in found for rule in group["rules"]]
    assert alerts
    assert [rule["annotations"]["runbook_url"] for rule in alerts] == [
        f"https://docs.internal/$1/{rule['alert']}/" for rule in alerts
    ]
    assert "docs/runbooks/" not in json.dumps([one for one in objects if one["kind"] == "ConfigMap"])


def test_an_image_by_its_digest(helm: Path) -> None:
    digest = "sha256:" + "0" * 64
    objects = rendered(helm, f"--set=image.repository=ghcr.io/me/scaler,image.tag=v1,image.digest={digest}")
    assert container(objects)["image"] == f"ghcr.io/me/scaler@{digest}"


def test_a_cache_for_one_pod_is_let_go_before_the_next_takes_it(helm: Path, installed: list[Object]) -> None:
    claimed = rendered(helm, "--set=replicas=1,models.cache.persistentVolumeClaim=kept")
    assert only(claimed, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert only(installed, "Deployment")["spec"]["strategy"] == rolling


def test_pods_are_spread_by_their_own_labels(installed: list[Object]) -> None:
    deployment = only(installed, "Deployment")["spec"]
    constraints = deployment["template"]["spec"]["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert [one["labelSelector"] for one in constraints] == [deployment["selector"]] * 2


def test_a_constraint_with_a_selector_of_its_own_keeps_it(helm: Path) -> None:
    constraint = {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    objects = rendered(helm, f"--set-json=topologySpreadConstraints={json.dumps([constraint])}")
    assert only(objects, "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"] == [constraint]


def test_the_test_of_a_release_is_not_one_of_its_pods(helm: Path) -> None:
    """The Service would lead to it, and the budget count it."""
    command = [str(helm), "template", install.NAME, str(install.CHART), "--show-only=templates/tests/probe.yaml"]
    (pod,) = documents(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    labels = pod["metadata"]["labels"]
    selector = only(rendered(helm), "Service")["spec"]["selector"]
    assert any(labels[name] != value for name, value in selector.items())


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("replicas=2", "2 controllers serve all namespaces"),
        ("watchNamespaces={shop},replicas=1", "1 controller serves the namespaces shop"),
        ("replicas=1", "replicas=2 has another go on"),
        ("keda.enabled=true", "scalerAddress: web.default:9091"),
        ("rbac.create=false", "the controller can do nothing"),
        ("crds.install=false", "has to be there already"),
        ("networkPolicy.enabled=true,networkPolicy.egress.enabled=true", "no Prometheus can be reached"),
    ],
)
def test_notes_are_of_the_values_given(helm: Path, setting: str, words: str) -> None:
    command = [str(helm), "install", "web", str(install.CHART), "--dry-run=client", f"--set={setting}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.partition("NOTES:")[2]
    assert words in said
    example = said.partition("<<END\n")[2].partition("END")[0]
    parse(documents(example)[0]["spec"])
