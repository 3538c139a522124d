"""Play the main job from start to end: `python -m sandbox.demo`, or `make demo`.

Two weeks of history go into Prometheus, a model is trained on them, a Deployment and a PredictiveScaler are applied,
and a steep morning comes, sixty times as fast as it did.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from rich.console import Console

from sandbox.binaries import BinaryError
from sandbox.cluster import CommandError, Sandbox
from sandbox.controller import CHART, REPOSITORY, Controller, install
from sandbox.demo import board, outcome, scene
from sandbox.demo.recording import Sample, record, steepest, write_csv
from sandbox.exporter import Exporter
from sandbox.processes import ProcessError
from sandbox.prometheus import Prometheus, Scrape
from sandbox.replay import Counter, Replay, write_history
from sandbox.traffic import Trace, recorded_or_made

OUT = REPOSITORY / "out"
DASHBOARD = CHART / "dashboards" / "predictive-scaler.json"
LOADING = timedelta(seconds=8)  # between writing the history and the first live scrape
LINE_EVERY = 3  # samples
HEADER = f"{'trace':>8} {'load/s':>7} {'forecast':>9} {'demand':>7} {'source':<9} {'desired':>7} {'ready':>6}  why"

console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def main() -> None:
    """Play; exit 1 with one clear line when something that is needed does not work."""
    try:
        _play()
    except (BinaryError, CommandError, ProcessError, subprocess.CalledProcessError) as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit("demo: stopped; nothing is left running")


def _play() -> None:
    OUT.mkdir(exist_ok=True)
    trace, source = recorded_or_made()
    console.print(f"[bold]1. Traffic[/]: {source}, {scene.FACTOR:g} times as fast: a minute passes in a second")
    with ExitStack() as stack:
        console.print("[bold]2. A control plane on loopback[/]: etcd, API server, controllers, scheduler, kwok")
        sandbox = stack.enter_context(Sandbox(startup=scene.STARTUP / scene.FACTOR, report=_quiet))
        kubeconfig = install(sandbox)
        replay, prometheus, traffic = _traffic(stack, sandbox, trace)
        console.print(f"[bold]3. A model[/] trained on the two weeks in {prometheus.url}")
        _train(prometheus)
        console.print("[bold]4. The controller[/] as the chart's ServiceAccount; a Deployment and a PredictiveScaler")
        controller = stack.enter_context(Controller(kubeconfig=kubeconfig, models=OUT, log=OUT / "demo-controller.log"))
        prometheus.scrape(traffic, _own(controller))
        _apply(sandbox, replay, prometheus)
        console.print("[bold]5. The morning[/]")
        samples = _watch(sandbox, controller, replay)
        console.print("[bold]6. Why?[/] Any decision can be asked for, also that of the steepest moment")
        _explain(sandbox, controller)
        recording = record(replay, samples, prometheus)
        _show(samples, prometheus)
    comparison = outcome.compare(recording)
    console.print(outcome.table(comparison))
    outcome.draw(recording, comparison, source, OUT / "demo.png")
    write_csv(recording, OUT / "demo.csv")
    folder = OUT.relative_to(REPOSITORY)
    console.print(f"picture: {folder / 'demo.png'}; every moment of it: {folder / 'demo.csv'}")
    shown = DASHBOARD.relative_to(REPOSITORY)
    console.print(f"dashboard, as Grafana would show it: {folder / 'dashboard.png'}; to import it: {shown}")


def _traffic(stack: ExitStack, sandbox: Sandbox, trace: Trace) -> tuple[Replay, Prometheus, Scrape]:
    """Prometheus with the history in it, and the exporter that goes on where it ends."""
    replay = scene.replay_of(trace, _now() + LOADING)
    every = replay.shrink(scene.SCRAPE)
    history = write_history(OUT / "demo-history.om", {Counter(): replay}, until=replay.wall, every=every)
    exporter = stack.enter_context(Exporter({Counter(): replay}))
    scrape = exporter.scrape(every)
    prometheus = sandbox.prometheus(scrapes=[scrape], history=[history])
    history.unlink()
    return replay, prometheus, scrape


def _train(prometheus: Prometheus) -> None:
    """As a user would: with the command of the training package."""
    shrunk = {name: f"{(duration / scene.FACTOR).total_seconds():g}s" for name, duration in _DURATIONS.items()}
    options = [argument for name, text in shrunk.items() for argument in (f"--{name}", text)]
    address = prometheus.url.replace("http://", "prometheus://")
    command = ["fit", "--data", address, "--query", scene.QUERY, "--out", str(OUT / f"{scene.MODEL}.onnx"), *options]
    console.print(f"   predictive-scaler-train {' '.join(_quoted(word) for word in command)}")
    subprocess.run([sys.executable, "-m", "training", *command], check=True, cwd=REPOSITORY)


_DURATIONS = {"step": scene.STEP, "season": scene.SEASON, "horizon": scene.HORIZON}


def _own(controller: Controller) -> Scrape:
    """The controller's own metrics: the picture is drawn from them."""
    return Scrape(job="predictive-scaler", address=controller.address, interval=timedelta(seconds=0.5))


def _apply(sandbox: Sandbox, replay: Replay, prometheus: Prometheus) -> None:
    """The Deployment starts with what the load needs now, as if it had been well run so far."""
    load = replay.total(_now()), replay.total(_now() - timedelta(seconds=5))
    rate = 0.0 if None in load else (load[0] - load[1]) / 5.0  # type: ignore[operator]  # None is checked
    sandbox.kubectl("create", "namespace", scene.NAMESPACE)
    sandbox.await_namespace(scene.NAMESPACE)
    sandbox.apply(scene.deployment(max(2, -int(-rate // scene.TARGET_PER_REPLICA))))
    sandbox.kubectl("rollout", "status", f"deployment/{scene.NAME}", "-n", scene.NAMESPACE, "--timeout=60s")
    sandbox.apply(scene.scaler(prometheus.url))


def _explain(sandbox: Sandbox, controller: Controller) -> None:
    """The decision that added most, as anyone can ask for it."""
    at = steepest(controller.decisions(scene.NAMESPACE, scene.NAME)).time.isoformat().replace("+00:00", "Z")
    address = f"http://{controller.address}"
    command = ["explain", scene.NAME, "-n", scene.NAMESPACE, "--at", at, "--controller", address]
    console.print(f"   predictive-scaler {' '.join(command)}")
    environment = os.environ | {"KUBECONFIG": str(sandbox.kubeconfig)}
    subprocess.run([sys.executable, "-m", "client", *command], check=True, cwd=REPOSITORY, env=environment)


def _watch(sandbox: Sandbox, controller: Controller, replay: Replay) -> list[Sample]:
    """Look once a second until the morning is over, and print a line now and then."""
    console.print(HEADER, style="bold")
    samples: list[Sample] = []
    while replay.moment_at(_now()) < replay.moment + scene.PLAYED:
        began = time.monotonic()
        now = _now()
        workload = sandbox.get("deployment", scene.NAME, "-n", scene.NAMESPACE)
        ready = int(workload["status"].get("readyReplicas", 0))
        samples.append(Sample(wall=now, ready=ready, desired=int(workload["spec"]["replicas"])))
        if len(samples) % LINE_EVERY == 1:
            _print(replay.moment_at(now), samples[-1], controller.last_decision(scene.NAMESPACE, scene.NAME))
        time.sleep(max(0.0, 1.0 - (time.monotonic() - began)))
    return samples


def _show(samples: Sequence[Sample], prometheus: Prometheus) -> None:
    """The shipped dashboard with this morning in it."""
    lead = f"{(scene.LEAD + scene.INTERVAL).total_seconds():g}"
    variables = {"namespace": scene.NAMESPACE, "scaler": scene.NAME, "lead": lead}
    span = board.Span(start=samples[0].wall, end=samples[-1].wall, variables=variables)
    board.draw(DASHBOARD, prometheus, span, OUT / "dashboard.png")


def _print(moment: datetime, sample: Sample, decision: dict[str, object] | None) -> None:
    if decision is None:
        console.print(f"{moment:%H:%M:%S}  waiting for the first decision")
        return
    seen, forecast, demand = (_number(decision.get(name)) for name in ("seen", "forecast", "demand"))
    line = f"{moment:%H:%M:%S} {seen:>7} {forecast:>9} {demand:>7} {decision['source']!s:<9} {sample.desired:>7} "
    console.print(f"{line}{sample.ready:>6}  {decision['message']}", overflow="ellipsis", no_wrap=True)


def _number(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float | int) else "-"


def _quoted(word: str) -> str:
    return f"'{word}'" if " " in word or "(" in word else word


def _quiet(line: str) -> None:
    console.print(f"   {line}", style="dim")


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  # the demo runs in real time


if __name__ == "__main__":
    main()
