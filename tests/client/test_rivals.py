"""Which other PredictiveScaler sets the size of a target, of those that may be seen from here?"""

from __future__ import annotations

from typing import Any

import pytest

from client.checks.rivals import rivals
from controller.kubernetes_api import KubernetesApi
from controller.registry import Registry, Scaler
from controller.spec import ScalerSpec
from tests.builders import body, scaler
from tests.servers.kubernetes import FakeApiServer, status

CLUSTER = "/apis/predictivescaler.dev/v1alpha1/predictivescalers"
SHOP = "/apis/predictivescaler.dev/v1alpha1/namespaces/shop/predictivescalers"
WEB: dict[str, Any] = {"targetRef": {"name": "web"}}
GROUP: dict[str, Any] = {"targetRef": {"kind": "AutoScalingGroup", "name": "workers", "region": "eu-central-1"}}
EARLY, LATE = "2026-03-01T00:00:00Z", "2026-03-01T00:00:01Z"


def _body(name: str, namespace: str = "shop", **changes: Any) -> dict[str, Any]:
    found = body(name, uid=f"{namespace}-{name}", **changes)
    return found | {"metadata": found["metadata"] | {"namespace": namespace}}


async def _found(api: KubernetesApi, one: Scaler) -> tuple[str | None, bool, str]:
    """Who it is, whether it goes before, and who was not looked at."""
    assert isinstance(one.spec, ScalerSpec)
    found = await rivals(api, one, one.spec)
    return None if found.first is None else found.first.key, found.is_behind, found.unseen


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ([_body("a", created=EARLY, spec=WEB), _body("m", created=LATE, spec=WEB)], ("shop/a", True)),
        ([_body("a", created=LATE, spec=WEB), _body("m", created=EARLY, spec=WEB)], ("shop/a", False)),
        ([_body("a", created=EARLY, spec=WEB), _body("m", created=EARLY, spec=WEB)], ("shop/a", True)),
        ([_body("z", created=EARLY, spec=WEB), _body("m", created=EARLY, spec=WEB)], ("shop/z", False)),
        ([_body("z", created=LATE, spec=WEB)], ("shop/z", True)),
        ([_body("a", spec=WEB | {"mode": "Observe"}), _body("m", spec=WEB)], (None, False)),
        ([_body("a"), _body("m", spec=WEB)], (None, False)),
        ([], (None, False)),
    ],
    ids=["older", "younger", "first-by-name", "last-by-name", "not-stored-yet", "observes", "another-target", "alone"],
)
async def test_who_goes_first(
    stored: list[dict[str, Any]], expected: tuple[str | None, bool], api: KubernetesApi, server: FakeApiServer
) -> None:
    """As the registry of a controller has it, which is asked as well."""
    server.lists[SHOP] = stored
    assert await _found(api, scaler("m", created="", spec=WEB)) == (*expected, "")
    registry = Registry()
    for one in stored:
        registry.put(one)
    own = registry.named("shop", "m")
    assert own is None or (registry.rival(own) is not None) == expected[1]


async def test_a_group_may_be_that_of_a_scaler_elsewhere(api: KubernetesApi, server: FakeApiServer) -> None:
    server.lists[CLUSTER] = [_body("nodes", "bank", spec=GROUP), _body("nodes", spec=GROUP)]
    assert await _found(api, scaler("nodes", spec=GROUP)) == ("bank/nodes", True, "")


async def test_the_namespace_is_looked_at_where_the_cluster_may_not_be(
    api: KubernetesApi, server: FakeApiServer
) -> None:
    server.raw["GET", CLUSTER] = lambda: status(403, "no")
    server.lists[SHOP] = [_body("a", spec=GROUP), _body("nodes", spec=GROUP)]
    unseen = "those of other namespaces, which you may not list"
    assert await _found(api, scaler("nodes", spec=GROUP)) == ("shop/a", True, unseen)


@pytest.mark.parametrize("spec", [WEB, GROUP], ids=["workload", "group"])
async def test_what_may_not_be_listed_at_all_is_told(
    spec: dict[str, Any], api: KubernetesApi, server: FakeApiServer
) -> None:
    server.raw["GET", CLUSTER] = server.raw["GET", SHOP] = lambda: status(403, "no")
    assert await _found(api, scaler(spec=spec)) == (None, False, "those of shop, which you may not list")


async def test_a_cluster_without_the_kind_says_why_nobody_was_seen(api: KubernetesApi, server: FakeApiServer) -> None:
    server.raw["GET", SHOP] = lambda: status(404, "the server could not find the requested resource")
    assert await _found(api, scaler()) == (
        None,
        False,
        "those of shop: the server could not find the requested resource",
    )
