"""Is the metric there, and enough of its past? Asked once, as a tick of the controller asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, timedelta

import numpy as np

from client.checks.finding import Findings, failed, in_words, ok, skipped, warning
from client.checks.rights import GET_SECRETS, Rights, needs_secrets
from client.checks.tools import NO_CLUSTER, TOKEN, Tools
from client.words import counted
from controller.aws_spec import CloudWatchMetric
from controller.core.card import Card
from controller.core.replicas import needed
from controller.core.series import Observation, Sample, Series
from controller.ports import MetricError, MetricReason, MetricRequest
from controller.registry import Scaler
from controller.routes import Sources
from controller.sources.cloudwatch import CloudWatchSource
from controller.sources.cloudwatch import SourceLimits as CloudWatchLimits
from controller.sources.prometheus import PrometheusSource, SourceLimits
from controller.sources.prometheus_api import Limits
from controller.spec import Metric, PrometheusMetric, ScalerSpec, SecretKey

CHECK = "metric"
HISTORY = "history"
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
_MOSTLY = 0.9
"""Of the last hour, or of a model's context: less than this share is worth a word."""

_ELSEWHERE = {MetricReason.UNREACHABLE, MetricReason.TIMEOUT, MetricReason.ADDRESS_INVALID}

Answer = Observation | MetricError


async def metric(scaler: Scaler, spec: ScalerSpec, card: Card | None, rights: Rights, tools: Tools) -> Findings:
    """The newest value, how much of the last hour is there, and of what the model looks at."""
    found = _asked(spec.metric, rights, tools)
    if isinstance(found, list):
        return found
    recent = _request(scaler, spec, found, _beat(found), max(1, _HOUR // _beat(found)))
    requests = [recent] if card is None else [recent, _request(scaler, spec, found, card.step, card.context)]
    hour, *past = await _observed(requests, tools)
    findings = _told(spec, found, recent, hour, tools)
    return findings + (_history(past[0], card) if past and card is not None else [])


def _asked(metric: Metric, rights: Rights, tools: Tools) -> Metric | Findings:
    """The metric, perhaps of another address; or why nobody is asked."""
    if isinstance(metric, CloudWatchMetric):
        return metric
    if tools.prometheus is not None:
        bearer = None if tools.token_file is None else SecretKey(name=TOKEN, key=TOKEN)
        return PrometheusMetric(query=metric.query, address=tools.prometheus, bearer=bearer)
    if metric.address is None:
        return skipped(CHECK, "the spec leaves the address to the controller; --prometheus URL asks one from here")
    if needs_secrets(metric):
        cure = "; or give --prometheus and --token-file"
        if tools.api is None:
            return skipped(CHECK, f"{NO_CLUSTER}, where its Secrets are{cure}")
        return [replace(one, message=one.message + cure) for one in rights.objection(CHECK, GET_SECRETS)] or metric
    return metric


def _beat(metric: Metric) -> timedelta:
    """How often there is a value to count."""
    return metric.period if isinstance(metric, CloudWatchMetric) else _MINUTE


def _request(scaler: Scaler, spec: ScalerSpec, metric: Metric, step: timedelta, context: int) -> MetricRequest[Metric]:
    return MetricRequest(
        namespace=scaler.namespace, metric=metric, step=step, context=context, max_age=spec.policy.max_age
    )


async def _observed(requests: Sequence[MetricRequest[Metric]], tools: Tools) -> list[Answer]:
    limits = SourceLimits(query=Limits(query_seconds=tools.seconds), tick_seconds=tools.seconds)
    prometheus = PrometheusSource(address="", secrets=tools, limits=limits)
    cloudwatch = CloudWatchSource(
        tools.aws, limits=CloudWatchLimits(tick_seconds=tools.seconds, fill_seconds=tools.seconds)
    )
    try:
        return await Sources(prometheus=prometheus, cloudwatch=cloudwatch).observe(requests, tools.now)
    finally:
        await prometheus.close()
        await cloudwatch.close()


def _told(spec: ScalerSpec, metric: Metric, recent: MetricRequest[Metric], answer: Answer, tools: Tools) -> Findings:
    if isinstance(answer, MetricError):
        return failed(CHECK, f"{answer}{_hint(metric, answer.reason)}")
    if answer.latest is None:
        return failed(CHECK, f"{answer.problem}{_hint(metric, answer.reason)}")
    known = int(np.isfinite(answer.history.values).sum())
    unit = "periods" if isinstance(metric, CloudWatchMetric) else "minutes"
    there = f"{known} of the last {recent.context} {unit} have a value"
    words = f"{_source(metric)}: {_value(spec, answer.latest, metric, tools)}; {there}"
    if answer.problem is not None:
        return warning(CHECK, f"{words}; {answer.problem}")
    if known < _MOSTLY * recent.context:
        return warning(CHECK, f"{words}; while one is missing the size is held: check that it is put all the time")
    return _within_bounds(spec, answer.latest, words)


def _value(spec: ScalerSpec, latest: Sample, metric: Metric, tools: Tools) -> str:
    each = spec.policy.target_per_replica
    need = f"{counted(_needed(spec, latest), 'replica')} at {each:g} each"
    if isinstance(metric, CloudWatchMetric):
        age = in_words(tools.now - latest.time)
        shown = f"{latest.time.astimezone(UTC):%H:%M:%S} UTC"
        return f"{latest.value:g} in the period of {in_words(metric.period)} that ended {age} ago, at {shown}: {need}"
    return f"{latest.value:g}, {in_words(tools.now - latest.time)} old: {need}"


def _needed(spec: ScalerSpec, latest: Sample) -> int:
    return needed(latest.value, spec.policy)


def _within_bounds(spec: ScalerSpec, latest: Sample, words: str) -> Findings:
    if _needed(spec, latest) > spec.policy.max_replicas:
        return warning(CHECK, f"{words}, more than maxReplicas, {spec.policy.max_replicas}")
    return ok(CHECK, words)


def _source(metric: Metric) -> str:
    if isinstance(metric, PrometheusMetric):
        return metric.address or "Prometheus"
    what = "the expression" if metric.expression is not None else f"{metric.stat} of {metric.namespace} {metric.name}"
    return f"{what} in {metric.access.region}"


def _hint(metric: Metric, reason: str | None) -> str:
    if isinstance(metric, PrometheusMetric) and reason in _ELSEWHERE:
        return "; an address inside the cluster is reached from here by kubectl port-forward and --prometheus"
    return ""


def _history(answer: Answer, card: Card) -> Findings:
    """A scaler without enough of it reacts, as an HPA does."""
    needs = in_words(card.context * card.step)
    if isinstance(answer, MetricError):
        return failed(HISTORY, f"{answer}") if answer.reason == MetricReason.PERIOD_INVALID else []
    known = int(np.isfinite(answer.history.values).sum())
    words = (
        f"{known} of {card.context} steps of {in_words(card.step)} are there, of the {needs} that {card.name} looks at"
    )
    since = _since(answer.history)
    if not known or since is None:
        return warning(HISTORY, f"nothing is recorded of the last {needs}; until then this only reacts")
    if known < _MOSTLY * card.context:
        return warning(HISTORY, f"{words}, the first from {since}; forecasts are less sure until more is recorded")
    return ok(HISTORY, words)


def _since(history: Series) -> str | None:
    recorded = np.flatnonzero(np.isfinite(history.values))
    if not len(recorded):
        return None
    return f"{(history.start + int(recorded[0]) * history.step).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
