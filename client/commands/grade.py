"""`grade`: what a PredictiveScaler would have cost and missed over the past, beside what its workload had."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from client.access import Access
from client.commands import console
from client.commands.options import Context, Kubeconfig, Namespace
from client.errors import ClientError
from client.moments import moment
from controller.core.policy import Policy
from controller.core.scorecard import DAY, HOUR, Tally
from controller.core.series import EPOCH, floor_to_step
from controller.forecaster import Model, load_model
from controller.grading import WORKLOAD, told
from controller.ports import ModelError, TargetError
from controller.sources.credentials import ANONYMOUS, Credentials
from controller.spec import PrometheusMetric, ScalerSpec, TargetRef
from controller.targets.owners import AutoscalerOwners
from training import written
from training.grading import Graded, GradingError
from training.grading import grade as graded
from training.recorded import Memories, Resource, resource, resource_of

_STDIN = "-"
_WIDTH = 120  # columns, in a file
_MODELS = Path("models")
_RECOMMENDED = {None: "Unknown", True: "True", False: "False"}


class Output(StrEnum):
    """What is printed."""

    TABLE = "table"
    JSON = "json"


def grade(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Of a PredictiveScaler in the cluster.")] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", metavar="FILE", help="Instead: its YAML; - reads it from stdin.")
    ] = None,
    namespace: Namespace = None,
    prometheus: Annotated[
        str | None, typer.Option(metavar="URL", help="Which Prometheus to ask; by default the spec's address.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(metavar="FILE", help="A bearer token for it.")] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The model; by default models/NAME.onnx as in the spec.")
    ] = None,
    replicas_query: Annotated[
        str | None,
        typer.Option(metavar="PROMQL", help="The workload's replicas; by default as kube-state-metrics has them."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=60, help="How far back; what is not recorded is left out.")] = 14,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="The end of the past; now by default.")] = None,
    every: Annotated[
        timedelta | None,
        typer.Option(parser=_duration, metavar="DURATION", help="Time between decisions; the spec's by default."),
    ] = None,
    lead_time: Annotated[
        timedelta | None,
        typer.Option(parser=_duration, metavar="DURATION", help="Until a replica serves; the spec's by default."),
    ] = None,
    against: Annotated[str | None, typer.Option(help="Who set the workload's replicas, for the words.")] = None,
    hpa_target: Annotated[
        float | None,
        typer.Option(min=0, metavar="LOAD", help="Show an HPA too that would give each replica this load."),
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="The table, or the same for programs.")
    ] = Output.TABLE,
) -> None:
    """What a PredictiveScaler would have cost and missed over the past, beside what its workload had."""
    try:
        scaler = _found(name, file, Access(namespace=namespace, kubeconfig=kubeconfig, context=context))
        metric = _of_prometheus(scaler.spec)
        policy = scaler.policy(lead_time, every)
        now = datetime.now().astimezone()  # noqa: TID251  # "until now" needs the clock
        end = floor_to_step(now if until is None else _moment(until, now), policy.interval)
        memories = Memories(
            address=_address(metric, prometheus, token_file),
            load=metric.query,
            replicas=replicas_query or scaler.replicas_query(namespace),
            since=end - days * DAY,
            until=end,
            interval=policy.interval,
            credentials=_credentials(token_file),
        )
        found = _graded(scaler, memories, policy, _model(scaler.spec, model), against, hpa_target)
    except (GradingError, ModelError) as error:
        raise ClientError(str(error)) from error
    if output is Output.JSON:
        sys.stdout.write(json.dumps(_fields(scaler, memories, found), indent=2) + "\n")
    else:
        _print(scaler, memories, found)


def _moment(text: str, now: datetime) -> datetime:
    try:
        return moment(text, now)
    except ValueError as error:
        raise GradingError(f"--until: {error}") from error


def _duration(text: str) -> timedelta:
    try:
        return written.duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _graded(
    scaler: Resource,
    memories: Memories,
    policy: Policy,
    model: Model | None,
    against: str | None,
    hpa_target: float | None,
) -> Graded:
    words = Console(stderr=True).status("reading the past")

    def tell(done: int, of: int) -> None:
        words.update(f"deciding: {done} of {of}")

    with words:
        past = memories.past()
        past.check()
        words.update("forecasting")
        foresight = None if model is None else memories.forecasts(model, scaler.spec, policy)
        whose = against or scaler.against or WORKLOAD
        return graded(past, policy, foresight, against=whose, hpa_target=hpa_target, tell=tell)


def _found(name: str | None, file: str | None, access: Access) -> Resource:
    if (name is None) == (file is None):
        raise GradingError("give the NAME of a PredictiveScaler in the cluster, or else its YAML with -f")
    if name is not None:
        return asyncio.run(_from_cluster(name, access))
    if file == _STDIN:
        return resource(sys.stdin.read(), "the standard input")
    try:
        text = Path(str(file)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GradingError(f"-f: {file} cannot be read: {_why(error)}") from error
    return resource(text, str(file))


async def _from_cluster(name: str, access: Access) -> Resource:
    """As the cluster has it, and whose work its workload's size is."""
    namespace, name = access.scaler(name)
    found = resource_of(await access.stored(namespace, name), f"PredictiveScaler {namespace}/{name}")
    target = found.spec.target
    if not isinstance(target, TargetRef):
        return found
    async with await access.connect() as api:
        owners = AutoscalerOwners(api, namespaces=(namespace,))
        try:
            owner = await owners.owner(namespace, target, EPOCH)
        except TargetError:  # who may not list autoscalers still gets the figures
            owner = None
    return found if owner is None else replace(found, against=owner.words)


def _of_prometheus(spec: ScalerSpec) -> PrometheusMetric:
    if not isinstance(spec.metric, PrometheusMetric):
        raise GradingError("spec.metric.cloudwatch has no history that is read here; mode Observe grades as it goes on")
    return spec.metric


def _address(metric: PrometheusMetric, given: str | None, token_file: Path | None) -> str:
    """An address that is given needs no more than the token that is given; what the spec's Secrets hold is not read."""
    if given is not None:
        return given
    if metric.address is None:
        raise GradingError("--prometheus: the spec leaves the address to the controller; give the one to ask")
    if token_file is None and (metric.bearer or metric.basic or metric.tls):
        raise GradingError(
            "--prometheus: the spec reads its Prometheus with Secrets, which are not read here; give an address that "
            "needs none, as kubectl port-forward makes one, or --token-file"
        )
    return metric.address


def _credentials(token_file: Path | None) -> Credentials:
    if token_file is None:
        return ANONYMOUS
    try:
        return Credentials(authorization=f"Bearer {token_file.read_text(encoding='utf-8').strip()}")
    except (OSError, UnicodeDecodeError) as error:
        raise GradingError(f"--token-file: {token_file} cannot be read: {_why(error)}") from error


def _why(error: OSError | UnicodeDecodeError) -> str:
    """Without the path, which the sentence names already."""
    return str(error.strerror) if isinstance(error, OSError) else str(error)


def _model(spec: ScalerSpec, given: Path | None) -> Model | None:
    """The model of the spec; None where it wants none."""
    if spec.model is None:
        return None
    path = given or _MODELS / f"{spec.model.name}.onnx"
    if given is None and not path.is_file():
        raise GradingError(f"--model: there is no {path}; give the file of the model {spec.model.name!r}")
    try:
        return load_model(path)
    except ModelError as error:
        raise GradingError(f"--model: {error}") from error


def _fields(scaler: Resource, memories: Memories, found: Graded) -> dict[str, object]:
    """As in `.status.grade` and its condition."""
    windows = told(found.windows)
    if found.hpa is not None:
        for window, of_hpa in zip(windows, told(found.hpa), strict=True):
            window["hpa"] = of_hpa["own"]
    return {
        "name": scaler.name,
        "from": memories.since.isoformat(),
        "until": memories.until.isoformat(),
        "windows": windows,
        "recommended": _RECOMMENDED[found.verdict.is_recommended],
        "reason": found.verdict.reason,
        "message": found.verdict.message,
    }


def _print(scaler: Resource, memories: Memories, found: Graded) -> None:
    table = Table(title=f"{scaler.name}, {memories.since:%Y-%m-%d %H:%M} to {memories.until:%Y-%m-%d %H:%M} UTC")
    for place, heading in enumerate(("window", "known", "policy", "replica-hours", "under-provisioned", "of the time")):
        table.add_column(heading, justify="left" if place in {0, 2} else "right")
    for window, tally in found.windows.items():
        label, known = f"{window.days} d", f"{tally.known / HOUR.total_seconds():,.1f} h"
        table.add_row(label, known, "PredictiveScaler", *_cells(tally.own_replicas, tally.own_short, tally))
        table.add_row("", "", "workload", *_cells(tally.actual_replicas, tally.actual_short, tally))
        if found.hpa is not None:
            hpa = found.hpa[window]
            table.add_row("", "", "HPA", *_cells(hpa.own_replicas, hpa.own_short, hpa))
        table.add_section()
    Console(width=None if sys.stdout.isatty() else _WIDTH, emoji=False).print(table)
    verdict = found.verdict
    console.say(f"Recommended={_RECOMMENDED[verdict.is_recommended]} ({verdict.reason}): {verdict.message}")


def _cells(replicas: float, short: float, tally: Tally) -> tuple[str, str, str]:
    share = f"{short / tally.known:.2%}" if tally.known else "-"
    return f"{replicas / HOUR.total_seconds():,.1f}", f"{short / 60.0:,.1f} min", share
