"""How good is a forecaster, for a person? One self-contained page: words first, then tables, then pictures.

Appears whole or not at all, needs no network, and escapes whatever a name may hold. Must not compute scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup

from training import figures, whole
from training.export import ExportError
from training.findings import HEADINGS, Day, Findings, cells
from training.measures import Floats

_GOAL = 0.02  # how far a level may be off
_FAR = 0.2  # an autocorrelation above this can be used


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One forecast at one horizon."""

    ahead: str
    name: str
    is_model: bool
    cells: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coverage:
    """The levels of one horizon, corrected in one way."""

    ahead: str
    name: str
    is_first: bool
    cells: Sequence[str]
    worst: str
    is_good: bool


def write_page(path: Path, findings: Findings) -> None:
    """The page at `path`, whole or not at all. Raises ExportError."""
    text = page(findings)
    try:
        whole.write(path, text.encode())
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror}") from error


def page(findings: Findings) -> str:
    """The page as HTML."""
    template = jinja2.Environment(
        loader=jinja2.PackageLoader("training"), autoescape=True, undefined=jinja2.StrictUndefined
    ).get_template("report.html.j2")
    report = findings.report
    since, until = (time.astimezone(findings.dataset.zone) for time in (report.since, report.until))
    return template.render(
        name=findings.card.name,
        subtitle=f"{findings.card.family}, tested from {since:%d %B %Y %H:%M} to {until:%d %B %Y %H:%M}",
        words=list(_words(findings)),
        headings=HEADINGS,
        rows=list(_rows(findings)),
        key=ahead(findings.key * report.window.step),
        levels=[f"{level * 100:g} %" for level in report.model.levels],
        coverage=list(_coverage(findings)),
        about=findings.dataset.about,
        quality=findings.dataset.quality.words(),
        excluded=[(f"{begin:%d %B %Y %H:%M}", f"{end:%d %B %Y %H:%M}", why) for begin, end, why in findings.excluded],
        footer=_footer(findings),
        **_open_loop(findings),
        **_figures(findings),
    )


def _words(findings: Findings) -> Iterator[str]:
    """What one would tell somebody who has a minute."""
    report = findings.report
    verb = "saves" if report.skill >= 0 else "adds"
    yield (
        f"Over all horizons and levels it {verb} {abs(report.skill):.0%} of the pinball loss of "
        f"{report.best_baseline}, the better of the naive forecasts."
    )
    for step in dict.fromkeys((1, findings.key, report.window.horizon)):
        yield _words_at(findings, step)
    yield from _words_on_levels(findings)
    yield from _words_on_noise(findings)
    if findings.days:
        hardest, easiest = (_words_on_day(day, findings.rival) for day in (findings.days[0], findings.days[-1]))
        yield f"The hardest day was {hardest}, the easiest {easiest}."
    if findings.importance:
        first = next(iter(findings.importance))
        yield f"It looks at {first} more than at any other part of its input."
    yield from _words_on_residuals(findings)


def _words_on_day(day: Day, rival: str) -> str:
    return f"{day.begin:%A, %d %B} (pinball loss {day.loss:.3g}, {rival} {day.rival:.3g})"


def _words_at(findings: Findings, step: int) -> str:
    report, rival = findings.report, findings.report.rival_at(step)
    own, naive = report.model.at(step), report.baselines[rival].at(step)
    return (
        f"{ahead(step * report.window.step).capitalize()} ahead it is off by {own['mae']:.3g} on average (RMSE "
        f"{own['rmse']:.3g}, {own['wape']:.0%} of the load), where {rival} is off by {naive['mae']:.3g} (RMSE "
        f"{naive['rmse']:.3g}): a skill of {report.skill_at(step):.0%}."
    )


def _words_on_levels(findings: Findings) -> Iterator[str]:
    report = findings.report
    raw = max(_worst(report.model.levels, report.model.coverage[step - 1]) for step in report.steps())
    after = max(_worst(report.model.levels, coverage) for coverage in report.calibrated.coverage)
    yield (
        f"Its levels are off by up to {raw * 100:.1f} points as forecast, and by up to {after * 100:.1f} points "
        "after the controller's own correction."
    )


def _words_on_noise(findings: Findings) -> Iterator[str]:
    report = findings.report
    if np.isfinite(report.floor):
        yield (
            f"Noise alone is worth an RMSE of {report.floor:.3g}: that much is left to somebody who knows both "
            f"neighbours of each value; one step ahead the model has {report.model.rmse[0]:.3g}."
        )
    if report.too_good():
        yield (
            "It is better than that noise leaves room for, which usually means that a value was known too early"
            + (f"; its card says: {findings.card.because}" if findings.card.because else ".")
        )


def _words_on_residuals(findings: Findings) -> Iterator[str]:
    if len(findings.residuals) < 2:  # noqa: PLR2004  # lag one
        return
    at_one = float(findings.residuals[1])
    told = "something that a better model could use" if abs(at_one) > _FAR else "little that a better model could use"
    yield f"Neighbouring one-step errors correlate by {at_one:.2f}: {told}."


def _rows(findings: Findings) -> Iterator[_Row]:
    report = findings.report
    for step in report.steps():
        for name, score in {findings.card.name: report.model, **report.baselines}.items():
            is_model = score is report.model
            skill = f"{report.skill_at(step):+.1%}" if is_model else ""
            time = ahead(step * report.window.step) if is_model else ""
            yield _Row(ahead=time, name=name, is_model=is_model, cells=cells(score, step, skill))


def _coverage(findings: Findings) -> Iterator[_Coverage]:
    report = findings.report
    for place, step in enumerate(report.steps()):
        told = {"as forecast": report.model.coverage[step - 1], "after calibration": report.calibrated.coverage[place]}
        for number, (name, coverage) in enumerate(told.items()):
            worst = _worst(report.model.levels, coverage)
            yield _Coverage(
                ahead=ahead(step * report.window.step) if number == 0 else "",
                name=name,
                is_first=number == 0,
                cells=[f"{share * 100:.1f}" for share in coverage],
                worst=f"{worst * 100:.1f}",
                is_good=worst <= _GOAL,
            )


def _worst(levels: Sequence[float], coverage: Floats) -> float:
    return float(np.abs(coverage - np.array(levels)).max())


def _figures(findings: Findings) -> Mapping[str, Markup]:
    """By their place in the template. Our own SVG, whose texts matplotlib has escaped."""
    report = findings.report
    season = report.window.season / timedelta(hours=1)
    rmse = {findings.card.name: report.model.rmse, **{name: score.rmse for name, score in report.baselines.items()}}
    drawn = {
        "days": figures.days(_chosen(findings), report.model.levels) if findings.days else "",
        "horizon": figures.by_horizon(rmse, report.window.step / timedelta(minutes=1), report.floor),
        "calibration": figures.calibration(report.model.levels, _panels(findings)),
        "hours": figures.hours(findings.hours),
        "weekdays": figures.weekdays(findings.weekdays),
        "importance": figures.importance(findings.importance),
        "residuals": figures.residuals(findings.residuals, findings.residual_count, season),
    }
    return {name: Markup(svg) for name, svg in drawn.items()}  # noqa: S704  # as the docstring says


def _chosen(findings: Findings) -> dict[str, Day]:
    days = findings.days
    places = {"worst": 0, "median": len(days) // 2, "best": len(days) - 1}
    return {f"{word}: {days[place].begin:%A, %d %B}": days[place] for word, place in places.items()}


def _panels(findings: Findings) -> dict[str, dict[str, Floats]]:
    report = findings.report
    names = [ahead(step * report.window.step) for step in report.steps()]
    corrected = report.calibrated.coverage
    raw = [report.model.coverage[step - 1] for step in report.steps()]
    return {
        "as forecast": dict(zip(names, raw, strict=True)),
        "after calibration": dict(zip(names, corrected, strict=True)),
    }


def _open_loop(findings: Findings) -> dict[str, object]:
    """The section about it; empty where it was not asked for."""
    loop = findings.open_loop
    if loop is None:
        return {"loops": [], "loop_length": "", "loop_since": "", "loop_figure": ""}
    figure = figures.open_loop(loop.came, loop.said, findings.report.window.step / timedelta(hours=1))
    scores = loop.to_dict()["scores"]
    return {
        "loops": [
            (name, f"{at['rmse']:.4g}", f"{at['mae']:.4g}", f"{at['wape']:.1%}", f"{at['r2']:.3f}")
            for name, at in scores.items()
        ],
        "loop_length": ahead(loop.length).capitalize(),
        "loop_since": f"{loop.since.astimezone(findings.dataset.zone):%d %B %Y %H:%M}",
        "loop_figure": Markup(figure),  # noqa: S704  # as in `_figures`
    }


def _footer(findings: Findings) -> str:
    card = findings.card
    libraries = ", ".join(f"{name} {version}" for name, version in card.made_with.items())
    unit = f"Loads in {card.unit} per step of {ahead(card.step)}. "
    return f"{unit}Model {card.name}, version {card.version}, made with {libraries or 'unknown libraries'}."


def ahead(time: timedelta) -> str:
    """A time in words: '5 minutes', '6 hours', '9 days'."""
    seconds = round(time.total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return f"{seconds} seconds"
