"""The versions named in Python are the versions that go.mod pins."""

from __future__ import annotations

import re

import pytest

from sandbox.toolchain import BUNDLES, ETCD, Bundle, Tool

MODULE_OF_BUNDLE = {
    "kubernetes": "k8s.io/kubernetes",
    "kwok": "sigs.k8s.io/kwok",
    "prometheus": "github.com/prometheus/prometheus",
    "helm": "helm.sh/helm/v4",
    "registry": "github.com/google/go-containerregistry",
}


def pinned(bundle: Bundle, module: str) -> str:
    text = (bundle.module / "go.mod").read_text(encoding="utf-8")
    match = re.search(rf"^\s*(?:require )?{re.escape(module)} v(\S+)", text, re.MULTILINE)
    assert match, f"{module} is not required by {bundle.module}/go.mod"
    return match.group(1)


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_go_mod_pins_the_version_that_names_the_cache(bundle: Bundle) -> None:
    assert pinned(bundle, MODULE_OF_BUNDLE[bundle.name]) == bundle.version


def test_go_mod_pins_the_etcd_that_would_be_downloaded() -> None:
    assert pinned(BUNDLES[0], "go.etcd.io/etcd/server/v3") == ETCD


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_every_tool_is_a_tool_of_its_module(bundle: Bundle) -> None:
    text = (bundle.module / "go.mod").read_text(encoding="utf-8")
    assert [tool.name for tool in bundle.tools if tool.package not in text] == []


@pytest.mark.parametrize(
    ("package", "built"), [("k8s.io/kubernetes/cmd/kubectl", "kubectl"), ("go.etcd.io/etcd/server/v3", "server")]
)
def test_go_names_a_program_after_its_package(package: str, built: str) -> None:
    assert Tool(name="x", package=package, oldest=(0, 0), too_new=(1, 0)).built_name == built
