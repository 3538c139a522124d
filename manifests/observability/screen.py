"""What do both dashboards have in common? Their frame: variables, rows and links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard

from manifests.observability.panels import DATASOURCE, row

Panel = Builder[dashboard.Panel]


@dataclass(frozen=True, slots=True)
class Section:
    """A row of panels under its heading."""

    title: str
    panels: Sequence[Panel]


def screen(uid: str, title: str, text: str, tags: list[str]) -> builders.Dashboard:
    """An empty one, of the last six hours."""
    made = builders.Dashboard(title).uid(uid).description(text).tags(tags).readonly().refresh("30s")
    made = made.time("now-6h", "now").timezone("browser").tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
    link = builders.DashboardLink("Predictive scalers").type(dashboard.DashboardLinkType.DASHBOARDS).tags(tags)
    return made.link(link.keep_time(keep_time=True).include_vars(include_vars=True).icon("external link"))


def filled(made: builders.Dashboard, sections: Iterable[Section]) -> dashboard.Dashboard:
    """With all of its panels, numbered: links to a panel go by its number."""
    for section in sections:
        made = made.with_row(row(section.title))
        for panel in section.panels:
            made = made.with_panel(panel)
    built = made.build()
    for index, each in enumerate(built.panels or [], start=1):
        each.id_val = index
    return built


def datasource() -> builders.DatasourceVariable:
    """Which Prometheus."""
    return builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus")


def values_of(name: str, label: str, selector: str) -> builders.QueryVariable:
    """The values of label `name` that the series have."""
    made = builders.QueryVariable(name).label(label).datasource(DATASOURCE).query(f"label_values({selector}, {name})")
    return made.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(dashboard.VariableSort.ALPHABETICAL_ASC)
