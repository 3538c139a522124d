"""May a newly trained model take the place of the one in use? Only if it did better on days that neither had seen.

The challenger learns from all but the last days; champion and challenger are then asked the same questions of these
days through their files. The very file that won is promoted: refitting it on the judged days as well would put a model
in use that nobody judged, and leave no days on which its successor could be compared with it. Must not print.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from controller.forecaster import FloatArray, IntArray, Model, load_model
from controller.ports import ModelError
from training import workers
from training.backtest import BacktestError, window_of
from training.datasets import Dataset
from training.families.family import LEVELS
from training.job import Candidate, Job
from training.measures import Floats, pinball
from training.member import AUTO, MENDABLE, Member, signed
from training.registry import Place
from training.windows import futures, histories, origins

Verdict = Literal["promoted", "kept", "failed"]

_MOST_DAYS = 16  # all of their 65,536 exchanges are tried
_ROUNDING = 1e-12  # sums of the same numbers in another order
_ORIGINS = 256  # how many origins are answered at once; bounds the memory, not the result


class RetrainingError(ValueError):
    """What is asked cannot be done; the message names the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When a challenger wins. `days`: seasons to judge on, at least `fewest`; `keep`: old files of a model.

    `margin`: the share of the champion's loss that must be saved, so that models are not changed for next to nothing.
    `chance`: how often two equally good models may look as different as these; n days cannot tell below 1 / 2**n.
    """

    days: int = 7
    fewest: int = 5
    margin: float = 0.02
    chance: float = 0.05
    keep: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.fewest <= self.days <= _MOST_DAYS:
            raise RetrainingError(f"--fewest {self.fewest} and --days {self.days} must grow from 1 to {_MOST_DAYS}")
        if not 2.0**-self.fewest <= self.chance < 1:
            raise RetrainingError(
                f"{self.fewest} days cannot tell what happens by chance in {self.chance:g} of cases; take --fewest "
                f"{math.ceil(-math.log2(self.chance)) if 0 < self.chance < 1 else 5} or more, or another --chance"
            )
        if not 0 <= self.margin < 1 or self.keep < 1:
            raise RetrainingError("--margin must be a share below 1, and --keep at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One series whose model in `models` may be replaced."""

    member: Member
    models: Path
    now: datetime
    rules: Rules = field(default_factory=Rules)

    @property
    def place(self) -> Place:
        """Where the champion and its predecessors lie."""
        return Place(models=self.models, name=self.member.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided about one model, and why. `champion`, `challenger`: summed pinball losses of the same values.

    `gain`: the share of the champion's loss that the challenger saved. `chance`: how often equally good models would
    show as much. `since`, `until`: the judged span. None where nothing was compared.
    """

    name: str
    time: datetime
    verdict: Verdict
    why: str
    family: str = ""
    champion: float | None = None
    challenger: float | None = None
    gain: float | None = None
    chance: float | None = None
    days: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the log."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()
        }


def retrain_each(orders: Sequence[Order], *, processes: int) -> Iterator[Decision]:
    """A decision about each, in the order in which they are made; `processes` at a time."""
    for order, found in workers.each(retrain, orders, workers=processes):
        if isinstance(found, workers.BrokenError):
            found = Decision(name=order.member.name, time=order.now, verdict="failed", why=str(found))  # noqa: PLW2901
        yield found


def retrain(order: Order) -> Decision:
    """Train a challenger, compare, promote it or not, and write down why."""
    try:
        order.place.sweep()
        decision = _decide(order)
        order.place.note(decision.to_dict())
    except MENDABLE as error:
        return Decision(name=order.member.name, time=order.now, verdict="failed", why=str(error))
    return decision


def _decide(order: Order) -> Decision:
    dataset = order.member.load(order.now)
    champion = _champion(order)
    if isinstance(champion, str):
        return _crown(order, dataset, champion)
    season, series = order.member.season, dataset.series
    until = _trained_until(champion)
    if until is None:
        return _kept(order, "the champion's card does not say what it was trained on, so no day is known to be unseen")
    unseen = (series.end - until) // season
    days = min(order.rules.days, unseen)
    if days < order.rules.fewest:
        return _kept(order, f"{max(0, unseen)} days since the champion was trained; it takes {order.rules.fewest}")
    return _compete(order, order.member.job(dataset, series.end - days * season), champion)


def _trained_until(model: Model) -> datetime | None:
    """None where the card does not say so, or in other words than a time with its zone: anyone may have written it."""
    trained = model.card.trained
    try:
        time = None if trained is None else datetime.fromisoformat(trained.end)
    except ValueError:
        return None
    return None if time is None or time.tzinfo is None else time


def _kept(order: Order, why: str) -> Decision:
    return Decision(name=order.member.name, time=order.now, verdict="kept", why=why)


def _champion(order: Order) -> Model | str:
    """The model in use, or why there is none that could be compared."""
    if not order.place.path.exists():
        return "there was no model"
    try:
        model = load_model(order.place.path)
    except ModelError as error:
        return f"the champion is broken ({error})"
    mine, wanted = window_of(model), order.member.window
    if (mine.step, mine.season, mine.horizon) != (wanted.step, wanted.season, wanted.horizon):
        return "the fleet file asks for another step, season or horizon than the champion has"
    if not set(model.card.levels) & set(LEVELS):
        return "the champion has no level in common with what is trained here"
    return model


def _crown(order: Order, dataset: Dataset, why: str) -> Decision:
    """There is nobody to beat but the naive forecasts."""
    job = order.member.job(dataset, order.member.test_from)
    best = order.member.best(job)
    promote(order, signed(best, order.member.inputs(dataset)))
    return Decision(
        name=order.member.name,
        time=order.now,
        verdict="promoted",
        why=_stand_in(order.member, best) + why,
        family=best.fitted.family,
        challenger=best.report.model.loss,
        since=job.since,
        until=dataset.series.end,
    )


def _stand_in(member: Member, best: Candidate) -> str:
    """That the family asked for lost to naive, where it did."""
    found = best.fitted.family
    return "" if member.family in {found, AUTO} else f"{member.family} lost to {found}, which stands for it; "


def _compete(order: Order, job: Job, champion: Model) -> Decision:
    best = order.member.best(job)
    losses = daily_losses([champion, best.model], job)
    result = compare(losses[0], losses[1], order.rules)
    if result.is_win:
        promote(order, signed(best, order.member.inputs(job.dataset)))
    return Decision(
        name=order.member.name,
        time=order.now,
        verdict="promoted" if result.is_win else "kept",
        why=_stand_in(order.member, best) + result.why,
        family=best.fitted.family,
        champion=float(losses[0].sum()),
        challenger=float(losses[1].sum()),
        gain=result.gain,
        chance=result.chance,
        days=losses.shape[1],
        since=job.since,
        until=job.dataset.series.end,
    )


def daily_losses(models: Sequence[Model], job: Job) -> Floats:
    """The pinball losses of each model summed over the questions of each judged day, [models, days].

    Only what all of them answered counts, at the levels that all of them have. Raises BacktestError.
    """
    series = job.dataset.series
    first, slots = len(job.past) - 1, job.window.slots
    asked = np.arange(first, len(series) - 1)
    came, clock = futures(series, job.window), origins(series, job.dataset.zone)
    levels = sorted(set.intersection(*(set(model.card.levels) for model in models)))
    seen = [histories(series, window_of(model)) for model in models]
    sums = np.zeros((len(models), -(-len(asked) // slots)))
    for part in np.array_split(asked, 1 + len(asked) // _ORIGINS):
        said = [_said(model, past[part], clock[part], levels) for model, past in zip(models, seen, strict=True)]
        known = np.isfinite(came[part]) & np.all([np.isfinite(each).all(axis=-1) for each in said], axis=0)
        for place, each in enumerate(said):
            loss = pinball(each, np.array(levels), came[part])
            np.add.at(sums[place], (part - first) // slots, np.where(known[..., None], loss, 0.0).sum(axis=(1, 2)))
    if not sums.any():
        raise BacktestError(f"nothing after {job.since} can be judged")
    return sums


def _said(model: Model, history: FloatArray, origin: IntArray, levels: Sequence[float]) -> Floats:
    kept = [model.card.levels.index(level) for level in levels]
    return model.predict(history, origin)[..., kept].astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Whether the challenger wins, by how much, and how often chance alone would show as much."""

    is_win: bool
    gain: float
    chance: float
    why: str


def compare(champion: Floats, challenger: Floats, rules: Rules) -> Comparison:
    """Two models by their losses of the same days, [days] each.

    The days are the unit, because the errors within one depend on one another. Were the models equally good, each day
    could as well have gone the other way: of all these exchanges, how many save as much as was saved? That is exact
    for any number of days, where a bootstrap of seven takes noise for a gain in about one of ten cases
    (docs/decisions/0009-promotion.md).
    """
    saved = champion - challenger
    signs = 1 - 2 * ((np.arange(2 ** len(saved))[:, None] >> np.arange(len(saved))) & 1)
    chance = float((signs @ saved >= saved.sum() * (1 - _ROUNDING)).mean()) if saved.sum() > 0 else 1.0
    whole = float(champion.sum())
    gain = float(saved.sum()) / whole if whole > 0 else 0.0
    is_win = gain >= rules.margin and chance <= rules.chance
    wanted = "" if is_win else f"; it takes {rules.margin:.1%} and {rules.chance:.1%}"
    why = f"saves {gain:.1%} of the champion's loss in {len(saved)} days, by chance in {chance:.1%} of cases{wanted}"
    return Comparison(is_win=is_win, gain=gain, chance=chance, why=why)


def promote(order: Order, winner: Candidate) -> None:
    """Put the winner in the champion's place and keep the old file. Raises ExportError, OSError."""
    order.place.retire(order.rules.keep)
    winner.write(order.place.path, because=order.member.because)


def roll_back(place: Place, now: datetime, keep: int) -> Decision:
    """Bring the last earlier model back; the one in use becomes an earlier one. Raises RetrainingError."""
    old = place.bring_back(keep)
    if old is None:
        raise RetrainingError(f"there is no sound earlier model of {place.name!r} beside {place.path}")
    decision = Decision(name=place.name, time=now, verdict="promoted", why=f"rolled back to {old.name}")
    place.note(decision.to_dict())
    return decision
