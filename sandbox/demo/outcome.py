"""What was it worth? The recording beside what an HPA would have had, as a table and as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np
from rich.table import Table

from controller.core.policy import Policy
from controller.spec import parse
from sandbox.demo import scene
from sandbox.demo.recording import Recording
from training.simulate import Capacity, Score, at_equal_cost, reactive, replay, score

LIVE = "PredictiveScaler (live)"
HPA = "HPA, same target"
HPA_EQUAL = "HPA, same replica-hours"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Capacities by name, and how each met the same load."""

    capacities: dict[str, Capacity]
    scores: dict[str, Score]


def compare(recording: Recording) -> Comparison:
    """The live run beside an HPA with the same metric, target, behavior and start-up time, on the trace's clock."""
    policy = _hpa()
    initial = int(recording.capacity.ready[0])
    hpa = replay(recording.metric, policy, startup=scene.STARTUP, initial=initial)
    live = score(recording.load, recording.capacity, scene.SERVES)
    equal = at_equal_cost(
        recording.metric, policy, startup=scene.STARTUP, initial=initial, replica_hours=live.replica_hours
    )
    capacities = {LIVE: recording.capacity, HPA: hpa, HPA_EQUAL: equal}
    scores = {name: score(recording.load, one, scene.SERVES) for name, one in capacities.items()}
    return Comparison(capacities=capacities, scores=scores)


def table(comparison: Comparison) -> Table:
    """The scores, a row a policy."""
    shown = Table(title=f"A replica serves {scene.SERVES:g}/s; the target is {scene.TARGET_PER_REPLICA:g}/s")
    shown.add_column("policy")
    for column in ("replica-hours", "time under-provisioned", "load unserved", "size changes"):
        shown.add_column(column, justify="right")
    for name, one in comparison.scores.items():
        shown.add_row(
            name, f"{one.replica_hours:.1f}", f"{one.under_provisioned:.1%}", f"{one.unserved:.2%}", str(one.changes)
        )
    return shown


def draw(recording: Recording, comparison: Comparison, source: str, file: Path) -> None:
    """Load, forecast band and capacities over the morning, as a PNG."""
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(12, 6.5), layout="constrained")
    load = recording.load
    times = mdates.date2num([load.start + (index + 1) * load.step for index in range(len(load))])  # type: ignore[no-untyped-call]  # half typed
    axes.plot(times, _smooth(load.values), color="0.25", linewidth=1, label="load (requests/s, one minute)")
    axes.fill_between(
        times,
        recording.median,
        recording.upper,
        color="tab:orange",
        alpha=0.35,
        linewidth=0,
        label=f"forecast a lead time earlier, 50 to {scene.QUANTILE:.0%}",
    )
    styles = {LIVE: ("tab:green", 2.2), HPA: ("tab:red", 1.2), HPA_EQUAL: ("tab:purple", 1.2)}
    for name, capacity in comparison.capacities.items():
        colour, width = styles[name]
        one = comparison.scores[name]
        label = (
            f"capacity: {name} - {one.replica_hours:.0f} replica-hours, {one.under_provisioned:.1%} under-provisioned"
        )
        ready = capacity.ready * scene.SERVES
        axes.step(times, ready, where="pre", color=colour, linewidth=width, label=label)
    axes.set(title=f"Replicas before the load\n{source}", ylabel="requests per second", ylim=(0, None))
    clock = mdates.DateFormatter("%H:%M", tz=load.end.tzinfo)  # type: ignore[no-untyped-call]  # half typed
    axes.xaxis.set_major_formatter(clock)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize=9)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _hpa() -> Policy:
    """As the user's spec says, on the trace's clock: `behavior` left at the defaults of autoscaling/v2."""
    spec = scene.scaler("http://prometheus")["spec"]
    return reactive(parse({name: value for name, value in spec.items() if name != "behavior"}).policy)


def _smooth(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.convolve(np.pad(values, (2, 1), mode="edge"), np.full(4, 0.25), mode="valid")
