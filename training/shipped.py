"""Which models come with the project, and what have they learned from? Made-up workloads and the public traces.

Of a recorded trace only what lies before its test span is ever shown to them (`TRACES`); nothing of it is copied. The
same versions of the libraries make the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from controller.core.card import Card, Trained
from controller.forecaster import Model
from training import export
from training.datasets import Dataset, Request, load
from training.datasets.public import Places
from training.export import ExportError
from training.families.family import Fitted, Past
from training.families.pooled import Pooled
from training.families.seasonal import SEASONAL_NAIVE
from training.generated import generate, sample
from training.job import Candidate, Job, Show, quiet
from training.windows import Window

DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
WORKLOADS = 300  # seeds 0 to 299 of `generated.sample`: unseen ones begin at 1000
_SEASONS = 10.0  # of a workload: a context and what comes after it
_MOST_STEPS = 20_000  # of a workload, where steps are short
_TRACE_WORTH = 4  # made-up workloads, in rows
_JUDGED_SEASONS, _JUDGED_SEED = 9, 1  # the card's scores are of `generate`, which no model has seen
_TEST_SHARE = 0.3  # of a CloudWatch series
_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """A model to make, by its file's name without .onnx."""

    name: str
    step: timedelta
    horizon: timedelta

    @property
    def window(self) -> Window:
        """What it sees and answers."""
        return Window.fitting(step=self.step, season=DAY, horizon=self.horizon)


SHIPPED = (
    Shipped(name="default", step=timedelta(minutes=5), horizon=timedelta(hours=6)),
    Shipped(name="default-1m", step=timedelta(minutes=1), horizon=timedelta(hours=2)),
    Shipped(name="default-15s", step=timedelta(seconds=15), horizon=timedelta(minutes=30)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A public trace; `since`: where its test span begins, None for the last 30 %. `finest`: the shortest step.

    `fine_since`: where the test begins of steps of a minute or less, if that is elsewhere.
    """

    name: str
    since: datetime | None = None
    fine_since: datetime | None = None
    finest: timedelta = timedelta(seconds=15)

    def read(self, step: timedelta, now: datetime) -> Dataset:
        """All of it. Raises DataError."""
        return load(Request(data=f"public:{self.name}", step=step, season=DAY, now=now))

    def test(self, dataset: Dataset) -> datetime:
        """From here on nothing may be learned from it."""
        series = dataset.series
        if self.fine_since is not None and series.step <= _MINUTE:
            return self.fine_since
        return self.since or series.start + round((1 - _TEST_SHARE) * len(series)) * series.step


_LOGS = (
    Trace(
        name="nasa",
        since=datetime.fromisoformat("1995-08-23T00:00:00-04:00"),
        fine_since=datetime.fromisoformat("1995-08-13T09:36:00-04:00"),
    ),
    Trace(name="twitter", since=datetime(2021, 8, 17, tzinfo=UTC)),
)
_CLOUDWATCH = (
    "cpu_utilization_asg_misconfiguration",
    "ec2_cpu_utilization_24ae8d",
    "ec2_cpu_utilization_53ea38",
    "ec2_cpu_utilization_5f5533",
    "ec2_cpu_utilization_77c1ca",
    "ec2_cpu_utilization_ac20cd",
    "ec2_cpu_utilization_c6585a",
    "ec2_disk_write_bytes_1ef3de",
    "ec2_disk_write_bytes_c0d644",
    "ec2_network_in_5abac7",
    "ec2_request_latency_system_failure",
    "elb_request_count_8c0756",
    "grok_asg_anomaly",
    "iio_us-east-1_i-a2eb1cd9_NetworkIn",
    "rds_cpu_utilization_cc0c53",
)
TRACES = (*_LOGS, *(Trace(name=f"cloudwatch/{name}", finest=timedelta(minutes=5)) for name in _CLOUDWATCH))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A past to learn from, and what it is called."""

    name: str
    past: Past
    is_recorded: bool

    @property
    def digest(self) -> str:
        """The beginning of the SHA-256 of its values as little-endian float64."""
        return hashlib.sha256(self.past.series.values.astype("<f8").tobytes()).hexdigest()[:_DIGITS]


def traces(step: timedelta, places: Places | None = None) -> tuple[Trace, ...]:
    """The traces that know such steps. Raises ExportError where they are not at hand; nothing is downloaded here."""
    shared = (places or Places()).shared
    if not all((shared / name).is_dir() for name in ("nasa", "twitter", "cloudwatch")):
        raise ExportError(
            f"the public traces are not in {shared}, and without them the models would be poorer than the shipped "
            "ones; put them there, or say --generated-only"
        )
    return tuple(trace for trace in TRACES if trace.finest <= step)


def lessons(shipped: Shipped, known: Sequence[Trace], now: datetime) -> list[Lesson]:
    """What a model learns from: the traces up to their tests, then the made-up workloads. Raises DataError."""
    return [*(recorded(trace, trace.read(shipped.step, now)) for trace in known), *_made_up(shipped)]


def recorded(trace: Trace, dataset: Dataset) -> Lesson:
    """What may be learned from all that a trace holds."""
    past = Past(series=dataset.series.until(trace.test(dataset)), zone=dataset.zone)
    return Lesson(name=trace.name, past=past, is_recorded=True)


def _made_up(shipped: Shipped) -> Iterator[Lesson]:
    seasons = min(_SEASONS, _MOST_STEPS / shipped.window.slots)
    for seed in range(WORKLOADS):
        series = sample(seed).series(seed, step=shipped.step, season=DAY, seasons=seasons)
        yield Lesson(name=f"sample {seed}", past=Past(series=series, zone=UTC), is_recorded=False)


def fitted(shipped: Shipped, learned: Sequence[Lesson], show: Show = quiet) -> Fitted:
    """A model of all lessons; its example is of the last one, which must be made up. Raises FitError."""
    worth = [lesson.past for lesson in learned for _ in range(_TRACE_WORTH if lesson.is_recorded else 1)]
    return Pooled(progress=show(f"fitting {shipped.name}")).fit_many(worth, shipped.window)


def drafted(shipped: Shipped, fit: Fitted, learned: Sequence[Lesson]) -> Model:
    """As a loader sees it, but for its scores. Raises ExportError."""
    model = export.draft(fit, learned[-1].past.series, shipped.window, name=shipped.name, unit="load")
    return replace(model, card=_with_lessons(model.card, learned))


def _with_lessons(card: Card, learned: Sequence[Lesson]) -> Card:
    """The span and the number of all values; the digest is that of the lessons' digests, one after the other."""
    series = [lesson.past.series for lesson in learned]
    digest = hashlib.sha256("".join(lesson.digest for lesson in learned).encode()).hexdigest()
    trained = Trained(
        start=min(each.start for each in series).isoformat(),
        end=max(each.end for each in series).isoformat(),
        samples=sum(int(np.isfinite(each.values).sum()) for each in series),
        sha256=digest,
    )
    return replace(card, version=digest[:_DIGITS], trained=trained)


def candidate(shipped: Shipped, learned: Sequence[Lesson], show: Show = quiet) -> Candidate:
    """Fitted on the lessons, and judged on a made-up trace that is none of them. Raises FitError, ExportError."""
    fit = fitted(shipped, learned, show)
    model = drafted(shipped, fit, learned)
    series = generate(_JUDGED_SEED, step=shipped.step, season=DAY, seasons=_JUDGED_SEASONS)
    unseen = Dataset(series=series, zone=UTC, about=f"a generated trace (seed {_JUDGED_SEED}), not a measurement")
    report = Job.of(unseen, shipped.window, series.end - DAY).judge(model, show)
    return Candidate(fitted=fit, model=model, report=report)


def naive(show: Show = quiet) -> Candidate:
    """Yesterday at this time, with a band of its errors on a made-up trace of 28 days."""
    window = SHIPPED[0].window
    series = generate(_JUDGED_SEED, step=window.step, season=DAY, seasons=28)
    dataset = Dataset(series=series, zone=UTC, about=f"a generated trace (seed {_JUDGED_SEED}), not a measurement")
    return Job.of(dataset, window).try_out(SEASONAL_NAIVE, name=SEASONAL_NAIVE.name, show=show)


def path_of(out: Path, name: str) -> Path:
    """Where a model's file lies."""
    return out / f"{name}.onnx"
