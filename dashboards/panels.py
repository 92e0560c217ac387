"""What the dashboards are made of: queries, panels, variables and annotations.

Names are those that the collector's Prometheus exporter makes. No expression needs `job` or
`instance`, and each takes the labels of scopes away, so that a process counts once, whatever
exporter or scrape it came by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Panel = Builder[models.Panel]

TAG: Final = "opentelemetry-memory"
SERVICE_UID: Final = "otel-memory-service"
SUSPECTED, CONFIRMED = 0.5, 0.9
GREEN, AMBER, RED, GREY = "green", "orange", "red", "#808080"

PROCESS: Final = "service_namespace, service_name, service_version, service_instance_id"
POD: Final = "k8s_namespace_name, k8s_pod_name"
_SELECTED: Final = (
    'service_namespace=~"$service_namespace", service_name=~"$service_name", '
    'service_version=~"$version", service_instance_id=~"$instance"'
)
_ANY_PROCESS: Final = (
    '{__name__=~"process_memory_usage_bytes|process_runtime_memory_heap_used_bytes'
    '|process_memory_leak_risk_ratio"'
)
_DATASOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")


# --- queries -------------------------------------------------------------------------------


def selected(metric: str) -> str:
    """Return a metric of the processes that the dashboard's variables select."""
    return f"{metric}{{{_SELECTED}}}"


def per_process(metric: str, *labels: str) -> str:
    """Return a gauge with one series a process, or one for each of these labels of a process."""
    return f"max by ({', '.join((PROCESS, *labels))}) ({selected(metric)})"


def rate_per_process(counter: str, *labels: str) -> str:
    """Return how much a counter gains a second, with one series a process and label."""
    by = ", ".join((PROCESS, *labels))
    return f"max by ({by}) (rate({selected(counter)}[$__rate_interval]))"


RISK: Final = per_process("process_memory_leak_risk_ratio")
GROWTH: Final = per_process("process_memory_leak_growth_bytes_per_second", "process_memory_segment")
TIME_LEFT: Final = per_process("process_memory_leak_time_to_exhaustion_seconds")
UTILIZATION: Final = per_process("process_memory_limit_utilization_ratio")


def lines(expr: str, legend: str, name: str = "A") -> prometheus.Dataquery:
    """Ask for values over time."""
    query = prometheus.Dataquery().expr(expr).range().ref_id(name).legend_format(legend)
    return query.datasource(_DATASOURCE)


def now(expr: str, name: str = "A") -> prometheus.Dataquery:
    """Ask for the present values, as rows of a table."""
    query = prometheus.Dataquery().expr(expr).instant().ref_id(name)
    return query.format(PromQueryFormat.TABLE).datasource(_DATASOURCE)


# --- panels --------------------------------------------------------------------------------


def steps(*levels: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Return colours from these values on; the first value is None."""
    found = [models.Threshold(value, colour) for value, colour in levels]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


RISK_STEPS: Final = ((None, GREEN), (SUSPECTED, AMBER), (CONFIRMED, RED))
LIMIT_STEPS: Final = ((None, GREEN), (0.75, AMBER), (0.9, RED))
TIME_STEPS: Final = ((None, RED), (1800.0, AMBER), (86_400.0, GREEN))


def figure(title: str, description: str, unit: str, expr: str) -> stat.Panel:
    """Return a single present figure."""
    reduced = common.ReduceDataOptions().calcs(["lastNotNull"])
    panel = stat.Panel().title(title).description(description).datasource(_DATASOURCE)
    panel = panel.unit(unit).reduce_options(reduced).color_mode(kinds.BigValueColorMode.VALUE)
    # Without levels of its own Grafana's would hold, red from 80 on.
    return panel.thresholds(steps((None, "text"))).with_target(now(expr)).span(6).height(4)


def chart(
    title: str, description: str, unit: str, *queries: prometheus.Dataquery
) -> timeseries.Panel:
    """Return lines over time."""
    legend = common.VizLegendOptions().show_legend(show_legend=True)
    legend = legend.display_mode(kinds.LegendDisplayMode.LIST).calcs([])
    legend = legend.placement(kinds.LegendPlacement.BOTTOM)
    tooltip = common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI)
    panel = timeseries.Panel().title(title).description(description).datasource(_DATASOURCE)
    panel = panel.unit(unit).min(0).line_width(2).fill_opacity(8)
    panel = panel.show_points(kinds.VisibilityMode.NEVER)
    panel = panel.legend(legend).tooltip(tooltip.sort(kinds.SortOrder.DESCENDING))
    for query in queries:
        panel.with_target(query)
    return panel.span(12).height(8)


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """Lay the series one upon the other."""
    stacking = common.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A")
    return panel.stacking(stacking).fill_opacity(70).line_width(1)


def marked(panel: timeseries.Panel, levels: Sequence[tuple[float | None, str]]) -> timeseries.Panel:
    """Draw a line at each level."""
    style = common.GraphThresholdsStyleConfig().mode(kinds.GraphTresholdsStyleMode.DASHED)
    return panel.thresholds(steps(*levels)).thresholds_style(style)


def coloured(panel: timeseries.Panel, colours: Mapping[str, str]) -> timeseries.Panel:
    """Give series of these names always the same colour."""
    for name, colour in colours.items():
        panel.override_by_name(name, [_fixed(colour)])
    return panel


def _fixed(colour: str) -> models.DynamicConfigValue:
    return models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})


def outside_the_stack(panel: timeseries.Panel, query: str, colour: str) -> timeseries.Panel:
    """Draw the series of a query as a dashed line of its own, such as a limit."""
    return panel.override_by_query(
        query,
        [
            _fixed(colour),
            models.DynamicConfigValue("custom.stacking", {"mode": "none", "group": "limit"}),
            models.DynamicConfigValue("custom.fillOpacity", 0),
            models.DynamicConfigValue("custom.lineWidth", 2),
            models.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
        ],
    )


def rows(
    title: str,
    description: str,
    columns: Mapping[str, tuple[str, str, str]],
    labels: Mapping[str, str],
) -> table.Panel:
    """Return a table of present values, a process or group a row.

    Args:
        title: Of the panel.
        description: How to read it, and what to do.
        columns: By the name of its query: heading, unit and expression.
        labels: Heading of each label that is shown; all others are hidden.
    """
    panel = table.Panel().title(title).description(description).datasource(_DATASOURCE)
    for name, (heading, unit, expr) in columns.items():
        panel.with_target(now(expr, name))
        panel.override_by_name(heading, [models.DynamicConfigValue("unit", unit)])
    headings = {f"Value #{name}": heading for name, (heading, *_) in columns.items()}
    order = [*labels, *headings]
    for name_of, options in (
        ("merge", {}),
        (
            "organize",
            {
                "excludeByName": {"Time": True},
                "renameByName": {**labels, **headings},
                "indexByName": {name: index for index, name in enumerate(order)},
            },
        ),
    ):
        panel.with_transformation(models.DataTransformerConfig(id_val=name_of, options=options))
    return panel.span(24).height(7)


# --- variables and annotations -------------------------------------------------------------


def _variable(
    name: str, label: str, told_by: str, *, one_only: bool = False
) -> dashboard.QueryVariable:
    earlier = {
        "service_namespace": "",
        "service_name": ', service_namespace=~"$service_namespace"',
        "version": ', service_namespace=~"$service_namespace", service_name=~"$service_name"',
        "instance": ', service_namespace=~"$service_namespace", service_name=~"$service_name"'
        ', service_version=~"$version"',
    }
    query = f"label_values({_ANY_PROCESS}{earlier[name]}}}, {told_by})"
    found = dashboard.QueryVariable(name).label(label).query(query).datasource(_DATASOURCE)
    found = found.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    found = found.sort(models.VariableSort.ALPHABETICAL_ASC)
    if one_only:
        return found
    # `.*` rather than a list of all: it holds for a process without the label, too.
    everything = models.VariableOption(text="All", value="$__all")
    return found.multi(multi=True).include_all(include_all=True).all_value(".*").current(everything)


class _StateAnnotation(models.AnnotationQuery):
    """An annotation with what Grafana's Prometheus source reads besides the expression."""

    def to_json(self) -> dict[str, object]:
        return {
            **super().to_json(),
            "step": "15s",
            "titleFormat": f"{self.name}: {{{{service_name}}}}",
            "textFormat": "{{service_instance_id}}",
            "tagKeys": "service_version",
        }


class _State(Builder[models.AnnotationQuery]):
    """Builds the annotation that marks how long processes are in a state."""

    def __init__(self, name: str, colour: str, condition: str, panels: Sequence[int]) -> None:
        self._built = _StateAnnotation(
            name,
            _DATASOURCE,
            enable=bool(panels),
            icon_color=colour,
            filter_val=models.AnnotationPanelFilter(ids=list(panels)) if panels else None,
            expr=f"{RISK} {condition}",
        )

    def build(self) -> models.AnnotationQuery:
        """Return the annotation."""
        return self._built


def board(title: str, uid: str, description: str, *, one_service: bool) -> dashboard.Dashboard:
    """Return a dashboard with its variables, and links, and no panel yet."""
    source = dashboard.DatasourceVariable("datasource").label("data source").type("prometheus")
    others = dashboard.DashboardLink("Memory").type(models.DashboardLinkType.DASHBOARDS)
    others = others.tags([TAG]).as_dropdown(as_dropdown=True)
    # Without the variables: All services is no choice where one is looked at.
    others = others.keep_time(keep_time=True)
    found = dashboard.Dashboard(title).uid(uid).description(description).tags([TAG])
    found = found.time("now-6h", "now").refresh("1m").timezone("browser").editable()
    found = found.tooltip(models.DashboardCursorSync.CROSSHAIR).link(others)
    for variable in (
        source,
        _variable("service_namespace", "namespace", "service_namespace"),
        _variable("service_name", "service", "service_name", one_only=one_service),
        _variable("version", "version", "service_version"),
        _variable("instance", "instance", "service_instance_id"),
    ):
        found.with_variable(variable)
    return found


def fill(
    found: dashboard.Dashboard, panels: Sequence[Panel], annotated: Collection[str] = ()
) -> dashboard.Dashboard:
    """Put panels onto a dashboard, numbered in reading order, and mark what happened when.

    Args:
        found: Has no panel yet.
        panels: In reading order.
        annotated: Titles of the panels that show when processes were suspected and confirmed. With
            none the marks are off: those of a whole fleet would cover everything.
    """
    shown = []
    for number, panel in enumerate(panels, 1):
        built = panel.build()
        # Links to a panel then hold from one generation to the next.
        built.id_val = number
        found.with_panel(panel)
        if built.title in annotated:
            shown.append(number)
    suspected, confirmed = f">= {SUSPECTED} < {CONFIRMED}", f">= {CONFIRMED}"
    found.annotation(_State("suspected", AMBER, suspected, shown))
    found.annotation(_State("confirmed", RED, confirmed, shown))
    return found
