"""How does a panel look? The few kinds that the dashboards are made of, over Grafana's own types.

Must not know any metric: what is asked is `scaler_dashboard`'s and `fleet_dashboard`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus as queries
from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.dashboard import DataSourceRef, DynamicConfigValue
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
RUNBOOKS = "docs/runbooks"
"""Where a page for each alert is; the chart puts an address there (metrics.prometheusRule.runbookUrl)."""

GREEN, YELLOW, ORANGE, RED, BLUE, PURPLE, GREY = (
    *("green", "yellow", "orange", "red", "blue", "purple"),
    "rgba(140, 140, 140, 0.7)",
)
_P = TypeVar("_P", timeseries.Panel, stat.Panel, statetimeline.Panel, table.Panel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One question. `name`: of its series, with {{label}}; `color`, `is_dashed`, `above`: how its line looks.

    `above`: the name of the series down to which the space is filled, which makes a band of two lines.
    """

    expr: str
    name: str
    color: str | None = None
    is_dashed: bool = False
    above: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a panel says of itself. `alert`: whose runbook tells more."""

    title: str
    text: str
    alert: str | None = None

    @property
    def description(self) -> str:
        """Markdown."""
        return self.text if self.alert is None else f"{self.text}\n\nAlert and cure: {runbook(self.alert)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How much room: `width` of 24 columns, `height` in rows of 30 pixels."""

    width: int = 12
    height: int = 8


def runbook(alert: str) -> str:
    """Where an alert's page is."""
    return f"{RUNBOOKS}/{alert}.md"


def graph(
    words: Words,
    unit: str,
    *asked: Query,
    place: Place | None = None,
    is_stacked: bool = False,
    least: float | None = 0.0,
    most: float | None = None,
) -> timeseries.Panel:
    """Lines over time. `least`, `most`: of the axis."""
    panel = _placed(timeseries.Panel(), words, place or Place()).unit(unit).legend(_legend()).tooltip(_tooltip())
    panel = panel.line_width(2).fill_opacity(60 if is_stacked else 0).show_points(common.VisibilityMode.NEVER)
    if least is not None:
        panel = panel.min(least)
    if most is not None:
        panel = panel.max(most)
    if is_stacked:
        stacking = options.StackingConfig().mode(common.StackingMode.NORMAL).group("A")
        panel = panel.stacking(stacking).draw_style(common.GraphDrawStyle.BARS).line_width(0)
    for index, query in enumerate(asked):
        panel = panel.with_target(_target(index, query))
        if look := _look(query):
            panel = panel.override_by_name(query.name, look)
    return panel


def number(
    words: Words,
    unit: str,
    *asked: Query,
    place: Place | None = None,
    limits: Sequence[tuple[float | None, str]] = ((None, BLUE),),
    decimals: int | None = None,
    is_by_name: bool = False,
) -> stat.Panel:
    """The last value, large. `limits`: colours from each value on; `is_by_name`: the series' name says it."""
    panel = _placed(stat.Panel(), words, place or Place(width=4, height=4)).unit(unit)
    panel = panel.reduce_options(options.ReduceDataOptions().calcs(["lastNotNull"]))
    panel = panel.thresholds(_limits(limits)).color_mode(common.BigValueColorMode.BACKGROUND)
    panel = panel.graph_mode(common.BigValueGraphMode.NONE)
    panel = panel.text_mode(common.BigValueTextMode.NAME if is_by_name else common.BigValueTextMode.AUTO)
    if decimals is not None:
        panel = panel.decimals(decimals)
    for index, query in enumerate(asked):
        panel = panel.with_target(_target(index, query))
    return panel


def timeline(
    words: Words, *asked: Query, place: Place | None = None, values: Mapping[str, tuple[str, str]]
) -> statetimeline.Panel:
    """A row for each series, with what it was when. `values`: the text and the colour of each value."""
    panel = _placed(statetimeline.Panel(), words, place or Place()).mappings([_mapping(values)])
    panel = panel.merge_values(merge_values=True).show_value(common.VisibilityMode.NEVER).row_height(0.8)
    panel = panel.line_width(0).fill_opacity(75).legend(_legend()).tooltip(_tooltip())
    panel = panel.color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    for index, query in enumerate(asked):
        panel = panel.with_target(_target(index, query))
    return panel


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Of a table: what is asked for, what it is called, and how a cell looks. `values`: as in `timeline`.

    `labels`: cells of their own beside the value; without a `title` only these are shown.
    """

    expr: str
    title: str = ""
    labels: tuple[str, ...] = ()
    unit: str = "short"
    limits: Sequence[tuple[float | None, str]] = ()
    values: Mapping[str, tuple[str, str]] | None = None


def columns(words: Words, asked: Sequence[Column], *, keys: Sequence[str], worst: str, place: Place) -> table.Panel:
    """One row for each set of `keys`, the highest of column `worst` first."""
    panel = _placed(table.Panel(), words, place)
    order, names, unshown = list(keys), {}, {"Time": True}
    for index, column in enumerate(asked):
        target = queries.Dataquery().expr(column.expr).instant().format(PromQueryFormat.TABLE)
        panel = panel.with_target(
            target.ref_id(_letter(index)).editor_mode(QueryEditorMode.CODE).datasource(DATASOURCE)
        )
        value = f"Value #{_letter(index)}"
        order += [*column.labels, value]
        if column.title:
            names[value] = column.title
            panel = panel.override_by_name(column.title, _cell(column))
        else:
            unshown[value] = True
    places = {name: index for index, name in enumerate(order)}
    organized = {"excludeByName": unshown, "renameByName": names, "indexByName": places}
    panel = panel.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    panel = panel.with_transformation(dashboard.DataTransformerConfig(id_val="organize", options=organized))
    return panel.sort_by([options.TableSortByFieldState().display_name(worst).desc(desc=True)])


def row(title: str) -> builders.Row:
    """A heading."""
    return builders.Row(title)


def _placed(panel: _P, words: Words, place: Place) -> _P:
    panel = panel.title(words.title).description(words.description).datasource(DATASOURCE)
    return panel.span(place.width).height(place.height)


def _target(index: int, query: Query) -> queries.Dataquery:
    target = queries.Dataquery().expr(query.expr).legend_format(query.name).ref_id(_letter(index)).range()
    return target.editor_mode(QueryEditorMode.CODE).datasource(DATASOURCE)


def _letter(index: int) -> str:
    return chr(ord("A") + index)


def _look(query: Query) -> list[DynamicConfigValue]:
    look = []
    if query.color is not None:
        look.append(DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": query.color}))
    if query.is_dashed:
        look.append(DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [6, 6]}))
        look.append(DynamicConfigValue(id_val="custom.lineWidth", value=1))
    if query.above is not None:
        look.append(DynamicConfigValue(id_val="custom.fillBelowTo", value=query.above))
        look.append(DynamicConfigValue(id_val="custom.fillOpacity", value=15))
    return look


def _cell(column: Column) -> list[DynamicConfigValue]:
    look = [DynamicConfigValue(id_val="unit", value=column.unit)]
    if column.limits:
        steps = [{"value": value, "color": color} for value, color in column.limits]
        look.append(DynamicConfigValue(id_val="thresholds", value={"mode": "absolute", "steps": steps}))
    if column.values is not None:
        look.append(DynamicConfigValue(id_val="mappings", value=[_mapping(column.values).to_json()]))
    if column.limits or column.values is not None:
        look.append(DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}))
    return look


def _mapping(values: Mapping[str, tuple[str, str]]) -> dashboard.ValueMap:
    results = {
        value: dashboard.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(values.items())
    }
    return dashboard.ValueMap(options=results)


def _limits(limits: Sequence[tuple[float | None, str]]) -> builders.ThresholdsConfig:
    steps = [dashboard.Threshold(value=value, color=color) for value, color in limits]
    return builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def _legend() -> options.VizLegendOptions:
    legend = options.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST)
    return legend.placement(common.LegendPlacement.BOTTOM).show_legend(show_legend=True)


def _tooltip() -> options.VizTooltipOptions:
    return options.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
