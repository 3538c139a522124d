"""Which past of a PredictiveScaler does its Prometheus remember? Its load, the sizes of its workload, and forecasts.

Asks what the controller would have asked at each tick: the same query, at the same interval. Must not grade.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import yaml

from controller.core.policy import Policy
from controller.core.series import Series
from controller.forecaster import Model
from controller.ports import MetricError
from controller.sources.credentials import ANONYMOUS, Credentials
from controller.sources.prometheus import SourceLimits, fetch_range
from controller.sources.prometheus_api import Limits
from controller.spec import KIND, ScalerSpec, SpecError, parse
from training.grading import GradingError, Past
from training.simulate.foresight import Forecasts

PATIENCE_SECONDS = 60.0  # a range of two days of ticks takes longer than the value of now
_REPLICAS = {
    "Deployment": 'max(kube_deployment_spec_replicas{{namespace="{0}",deployment="{1}"}})',
    "StatefulSet": 'max(kube_statefulset_replicas{{namespace="{0}",statefulset="{1}"}})',
    "ReplicaSet": 'max(kube_replicaset_spec_replicas{{namespace="{0}",replicaset="{1}"}})',
}
"""What kube-state-metrics records of the sizes that are asked for; {0} is the namespace, {1} the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A PredictiveScaler as a file or the cluster has it. `learnt`, `against`: of its status, where there is one."""

    namespace: str | None
    name: str
    spec: ScalerSpec
    learnt: timedelta | None
    against: str | None

    def policy(self, lead_time: timedelta | None, interval: timedelta | None) -> Policy:
        """Its rules; with `leadTime: auto` the lead time that is given, or was learnt, or else the default."""
        policy = self.spec.policy
        if lead_time is None and self.spec.lead_time_auto:
            lead_time = self.learnt
        return replace(
            policy, lead_time=policy.lead_time if lead_time is None else lead_time, interval=interval or policy.interval
        )

    def replicas_query(self, namespace: str | None) -> str:
        """The sizes of the workload in kube-state-metrics. Raises GradingError."""
        target, namespace = self.spec.target, namespace or self.namespace
        if target.kind not in _REPLICAS:
            raise GradingError(f"--replicas-query: say which query gives the replicas of a {target.kind}")
        if namespace is None:
            raise GradingError(f"--namespace: {self.name} names no namespace; say where its workload runs")
        return _REPLICAS[target.kind].format(namespace, target.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memories:
    """A Prometheus and what to ask it: from `since` until `until` (both aware), a value each `interval`."""

    address: str
    load: str
    replicas: str
    since: datetime
    until: datetime
    interval: timedelta
    credentials: Credentials = ANONYMOUS

    def past(self) -> Past:
        """The load and the workload's sizes at each tick. Raises GradingError."""
        return Past(
            load=self._series(self.load, self.since, self.interval),
            replicas=self._series(self.replicas, self.since, self.interval),
        )

    def forecasts(self, model: Model, spec: ScalerSpec, policy: Policy) -> Forecasts:
        """What the model would have said after each of its steps, with its whole context. Raises GradingError."""
        card = model.card
        history = self._series(self.load, self.since - card.context * card.step, card.step)
        return Forecasts.of(model, history, spec.zone, since=self.since, reach=policy.window)

    def _series(self, query: str, since: datetime, step: timedelta) -> Series:
        limits = SourceLimits(query=Limits(query_seconds=PATIENCE_SECONDS))
        ask = fetch_range(self.address, query, since, self.until, step, credentials=self.credentials, limits=limits)
        try:
            return asyncio.run(ask)
        except (MetricError, ValueError) as error:
            raise GradingError(f"{query}: {error}") from error


def resource(text: str, where: str) -> Resource:
    """The one PredictiveScaler in a text of YAML. `where`: in the words of the user. Raises GradingError."""
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise GradingError(f"{where} is not YAML: {' '.join(str(error).split())}") from error
    found = [one for one in documents if isinstance(one, Mapping) and one.get("kind") == KIND and "spec" in one]
    if len(found) != 1:
        raise GradingError(f"{where} must hold one {KIND} with a spec, not {len(found)}")
    return resource_of(found[0], where)


def resource_of(body: Mapping[str, Any], where: str) -> Resource:
    """A PredictiveScaler as the API server gives it. Raises GradingError."""
    try:
        spec = parse(body["spec"])
    except SpecError as error:
        raise GradingError(f"{where}: {error}") from error
    metadata, status = body.get("metadata") or {}, body.get("status") or {}
    return Resource(
        namespace=metadata.get("namespace"),
        name=str(metadata.get("name", spec.target.name)),
        spec=spec,
        learnt=_learnt(status),
        against=(status.get("grade") or {}).get("against"),
    )


def _learnt(status: Mapping[str, Any]) -> timedelta | None:
    seconds = (status.get("leadTime") or {}).get("seconds")
    return None if seconds is None else timedelta(seconds=float(seconds))
