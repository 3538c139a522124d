"""How do many series get their models? Each its own, or one for all of them; what is up to date is left alone.

A series that cannot be fitted is one failed row, never the end of the others. Models are written whole or not at all,
so an interrupted run is continued by running it again. Must not print.
"""

from __future__ import annotations

import hashlib
import resource
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from time import process_time
from typing import Any, Literal

import numpy as np

from controller.core.card import Trained
from controller.core.series import Series
from controller.forecaster import Model, load_model
from controller.ports import ModelError
from training import export, workers
from training.backtest import Report
from training.families.family import Fitted, Past
from training.families.pooled import Pooled
from training.job import Job
from training.member import AUTO, MENDABLE, Member, signed
from training.registry import Place
from training.windows import Window

Verdict = Literal["fitted", "kept", "failed"]

_KIBI = 1024


class FleetError(ValueError):
    """The fleet as a whole cannot be fitted as asked; the message names the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one series. `loss`, `naive`: pinball losses of its model and of the better naive forecast.

    `seconds`: of processor time; `peak`: the most bytes that it held. `why` is empty where nothing is to be said.
    """

    name: str
    verdict: Verdict
    family: str = ""
    loss: float | None = None
    naive: float | None = None
    seconds: float = 0.0
    peak: int = 0
    why: str = ""

    @property
    def skill(self) -> float | None:
        """1 - loss / the naive loss; None where nothing was judged."""
        if self.loss is None or not self.naive:
            return None
        return 1 - self.loss / self.naive

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the JSON."""
        return {field: getattr(self, field) for field in self.__dataclass_fields__} | {"skill": self.skill}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One series to fit into the directory `out`. `is_forced`: even if its model is up to date."""

    member: Member
    out: Path
    now: datetime
    is_forced: bool = False

    @property
    def place(self) -> Place:
        """Where its model goes."""
        return Place(models=self.out, name=self.member.name)


def fit_each(orders: Sequence[Order], *, processes: int) -> Iterator[Outcome]:
    """A model for each, in the order in which they are done; `processes` at a time."""
    _sweep(orders)
    try:
        for order, found in workers.each(fit_one, orders, workers=processes):
            yield _settled(order, found)
    finally:
        _sweep(orders)


def _sweep(orders: Iterable[Order]) -> None:
    for order in orders:
        order.place.sweep()


def _settled(order: Order, found: Outcome | workers.BrokenError) -> Outcome:
    if isinstance(found, workers.BrokenError):
        return Outcome(name=order.member.name, verdict="failed", why=str(found))
    return found


def fit_one(order: Order) -> Outcome:
    """Read, fit, judge, write; what is wrong with the series becomes a failed row."""
    began = process_time()
    try:
        found = _fit(order)
    except MENDABLE as error:
        found = Outcome(name=order.member.name, verdict="failed", why=str(error))
    return replace(found, seconds=process_time() - began, peak=_peak())


def _peak() -> int:
    """The most bytes that this process held; Linux counts them in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIBI


def _fit(order: Order) -> Outcome:
    member = order.member
    dataset = member.load(order.now)
    inputs = member.inputs(dataset)
    held = None if order.is_forced else _up_to_date(order.place.path, inputs)
    if held is not None:
        return Outcome(name=member.name, verdict="kept", family=held.card.family, why="the same data and settings")
    job = member.job(dataset, member.test_from)
    best = signed(member.best(job), inputs)
    best.write(order.place.path, because=member.because)
    found = best.fitted.family
    why = "" if found == member.family else _instead(member.family, found)
    return _judged(member.name, found, best.report, why)


def _instead(wanted: str, found: str) -> str:
    return f"{found} is the best" if wanted == AUTO else f"{wanted} lost to naive"


def _judged(name: str, family: str, report: Report, why: str = "") -> Outcome:
    naive = report.baselines[report.best_baseline].loss
    return Outcome(name=name, verdict="fitted", family=family, loss=report.model.loss, naive=naive, why=why)


def _up_to_date(path: Path, inputs: str) -> Model | None:
    """The model at `path` if it is sound and was made from these inputs."""
    try:
        model = load_model(path)
    except ModelError:
        return None
    return model if model.card.inputs == inputs else None


def fit_global(orders: Sequence[Order], name: str, *, processes: int) -> Iterator[Outcome]:
    """One model of all series, judged on each; written if it beats naive on most of them. Raises FleetError."""
    window, path = _one_window(orders), orders[0].out / f"{name}.onnx"
    jobs, lost = _read_all(orders)
    yield from lost
    fitted, model = _fit_all(jobs, window, path.stem)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / path.name
        export.write(fitted, model.card, draft)
        judged = list(_judge_each([order for order in orders if order.member.name in jobs], draft, processes))
    yield from judged
    skills = [each.skill for each in judged if each.skill is not None]
    if not skills or float(np.median(skills)) <= 0:
        raise FleetError(
            f"{path.name} is not written: one model for all beats naive on {sum(skill > 0 for skill in skills)} of "
            f"{len(judged)} series only; fit each its own, or leave out what is not alike"
        )
    export.write(fitted, replace(model.card, scores={"fleet": _summary(skills)}), path)


def _one_window(orders: Sequence[Order]) -> Window:
    windows = {order.member.window: order.member.name for order in orders}
    if len(windows) > 1:
        first, second, *_ = windows.values()
        raise FleetError(f"one model has one step, season and horizon; those of {first} and {second} differ")
    if not windows:
        raise FleetError("there is no series to learn from")
    return next(iter(windows))


def _read_all(orders: Sequence[Order]) -> tuple[dict[str, Job], list[Outcome]]:
    jobs: dict[str, Job] = {}
    lost = []
    for order in orders:
        member = order.member
        try:
            jobs[member.name] = member.job(member.load(order.now), member.test_from)
        except MENDABLE as error:
            lost.append(Outcome(name=member.name, verdict="failed", why=str(error)))
    return jobs, lost


def _fit_all(jobs: dict[str, Job], window: Window, name: str) -> tuple[Fitted, Model]:
    """Raises FitError, ExportError."""
    pasts = [Past(series=job.lessons, zone=job.dataset.zone) for job in jobs.values()]
    fitted = Pooled().fit_many(pasts, window)
    model = export.draft(fitted, pasts[0].series, window, name=name, unit="load")
    trained = _trained([past.series for past in pasts])
    return fitted, replace(model, card=replace(model.card, trained=trained, version=trained.sha256[:12]))


def _trained(many: Sequence[Series]) -> Trained:
    digest = hashlib.sha256()
    for series in many:
        digest.update(series.values.astype("<f8").tobytes())
    return Trained(
        start=min(series.start for series in many).isoformat(),
        end=max(series.end for series in many).isoformat(),
        samples=sum(int(np.isfinite(series.values).sum()) for series in many),
        sha256=digest.hexdigest(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A series to judge the model file `draft` on."""

    order: Order
    draft: Path


def _judge_each(orders: Sequence[Order], draft: Path, processes: int) -> Iterator[Outcome]:
    asked = [_Question(order=order, draft=draft) for order in orders]
    for question, found in workers.each(_judge, asked, workers=processes):
        yield _settled(question.order, found)


def _judge(question: _Question) -> Outcome:
    began, member = process_time(), question.order.member
    try:
        job = member.job(member.load(question.order.now), member.test_from)
        model = load_model(question.draft)
        found = _judged(member.name, model.card.family, job.judge(model))
    except MENDABLE as error:
        found = Outcome(name=member.name, verdict="failed", why=str(error))
    return replace(found, seconds=process_time() - began, peak=_peak())


def _summary(skills: Sequence[float]) -> dict[str, float]:
    """How one model does on many series, each beside its own better naive forecast."""
    return {
        "series": len(skills),
        "better_than_naive": sum(skill > 0 for skill in skills),
        "median_skill": float(np.median(skills)),
        "mean_skill": float(np.mean(skills)),
    }
