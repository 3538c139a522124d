"""What came of a simulation, for a person? One self-contained page: the table, the pictures, and where it was short.

Needs no network, and escapes whatever a name may hold. Must not compute scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo

import jinja2
from markupsafe import Markup

from controller.core.series import Series
from training.simulate import pictures
from training.simulate.bootstrap import Paired
from training.simulate.capacity import Capacity
from training.simulate.matrix import POLICIES, Matrix
from training.simulate.shortages import Shortage, worst
from training.simulate.study import AWS_PREDICTIVE, HPA, PREDICTIVE, STATIC, Study
from training.simulate.words import HEADINGS, cells, sentences

_WORST = 10  # spans
_ABOUT = timedelta(hours=3)  # the picture of one span
_EXPLAINED = (PREDICTIVE, HPA, AWS_PREDICTIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    cells: list[str]
    is_own: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shortages:
    name: str
    about: str
    rows: list[_Row]


def page(
    study: Study, *, zone: tzinfo, about: str, risk: float, sure: Paired | None, presets: Matrix | None = None
) -> str:
    """The page as HTML. `zone`: whose clock; `about`: what was read; `risk`, `sure`: as in `words.sentences`."""
    template = jinja2.Environment(
        loader=jinja2.PackageLoader("training"), autoescape=True, undefined=jinja2.StrictUndefined
    ).get_template("simulate.html.j2")
    scene = study.scene
    points = {name: scene.point(run) for name, run in study.runs.items()}
    drawn = {name: run.capacity for name, run in study.runs.items() if name != STATIC}
    since, until = (time.astimezone(zone) for time in (scene.load.start, scene.load.end))
    shortages = {name: worst(scene, study.runs[name], _WORST) for name in _EXPLAINED if name in study.runs}
    zoom, zoom_about = _zoom(study, drawn, shortages, zone)
    return template.render(
        subtitle=f"{since:%d %B %Y %H:%M} to {until:%d %B %Y %H:%M}, a decision every {_seconds(scene.load.step)}",
        per_replica=f"{scene.per_replica:.4g}",
        startup=_seconds(scene.startup),
        headings=HEADINGS,
        rows=[_Row(cells=cells(study, name, point), is_own=name == PREDICTIVE) for name, point in points.items()],
        words=list(sentences(study, risk, sure)),
        preset_headings=POLICIES,
        presets=[] if presets is None else presets.rows(),
        span=_svg(pictures.span(scene.load, drawn, scene.per_replica, zone)),
        zoom=_svg(zoom),
        zoom_about=zoom_about,
        frontiers=_svg(
            pictures.frontiers(
                study.frontiers,
                {name: (point.score.under_provisioned, point.score.replica_hours) for name, point in points.items()},
                study.static.score.replica_hours,
            )
        ),
        shortages=list(_tables(shortages, zone)),
        footer=about,
    )


def _svg(text: str) -> Markup:
    """Our own, whose texts matplotlib has escaped."""
    return Markup(text)  # noqa: S704  # as the docstring says


def _zoom(
    study: Study, drawn: Mapping[str, Capacity], shortages: Mapping[str, list[Shortage]], zone: tzinfo
) -> tuple[str, str]:
    """The hours around the worst shortage of the first policy that had one; empty where none had."""
    load = study.scene.load
    for name, spans in shortages.items():
        if spans:
            since, until = spans[0].worst - _ABOUT / 2, spans[0].worst + _ABOUT / 2
            first, last = (min(max(0, (time - load.start) // load.step), len(load)) for time in (since, until))
            part = Series(end=load.start + last * load.step, step=load.step, values=load.values[first:last])
            cut = {
                other: replace(one, ready=one.ready[first:last], desired=one.desired[first:last])
                for other, one in drawn.items()
            }
            picture = pictures.span(part, cut, study.scene.per_replica, zone)
            return picture, f"{_moment(spans[0].worst, zone)}, the worst of {name}"
    return "", ""


def _tables(shortages: Mapping[str, list[Shortage]], zone: tzinfo) -> Iterator[_Shortages]:
    for name, spans in shortages.items():
        told = sum(one.share for one in spans)
        about = f"The worst {len(spans)} spans: {told:.0%} of the load that it missed." if spans else "Never."
        yield _Shortages(name=name, about=about, rows=[_row(one, zone) for one in spans])


def _row(one: Shortage, zone: tzinfo) -> _Row:
    return _Row(
        cells=[
            _moment(one.since, zone),
            _seconds(one.until - one.since),
            f"{one.missed:.3g}",
            f"{one.share:.1%}",
            f"{one.load:.3g}",
            str(one.ready),
            str(one.needed),
        ],
        why=f"{one.decided.astimezone(zone):%H:%M:%S}: {one.steps or 'nothing'}",
    )


def _moment(time: datetime, zone: tzinfo) -> str:
    return f"{time.astimezone(zone):%a %d %b %H:%M:%S}"


def _seconds(time: timedelta) -> str:
    return f"{time.total_seconds():g} s"
