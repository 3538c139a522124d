"""Which PredictiveScalers do tests of the doctor look at? Small ones, with one thing to vary each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from controller.spec import GROUP, KIND, VERSION
from tests.aws.fixtures import NAMESPACE, REGION
from tests.contracts.specs import merged

Json = dict[str, Any]


def scaler(name: str = "web", **spec: Any) -> Json:
    """Of the Deployment web; `spec` is merged into the smallest one."""
    plain = {
        "targetRef": {"name": "web"},
        "maxReplicas": 20,
        "metric": {"prometheus": {"address": "http://127.0.0.1:9", "query": "sum(load)"}, "targetPerReplica": 10},
        "forecast": {"model": "none", "leadTime": "2m"},
    }
    metadata = {"name": name, "namespace": "shop"}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": metadata,
        "spec": merged(plain, spec),
    }


def cloudwatch(**changes: Any) -> Json:
    """The Sum of Tests/Load by the minute."""
    metric = {"region": REGION, "namespace": NAMESPACE, "metricName": "Load", "stat": "Sum", "period": "60s"}
    return {"prometheus": None, "cloudwatch": merged(metric, changes)}


def group(metric: Json, *, capacity: str = "Desired", model: str = "none", **spec: Any) -> Json:
    """Of the Auto Scaling group web."""
    target = {"kind": "AutoScalingGroup", "name": "web", "region": REGION, "capacity": capacity}
    forecast = {"model": model, "leadTime": "auto"}
    return scaler(targetRef=target, metric=metric, forecast=forecast, **spec)


def written(directory: Path, *resources: Json) -> str:
    """The path of a file that holds them."""
    path = directory / "scalers.yaml"
    path.write_text(yaml.safe_dump_all(resources))
    return str(path)
