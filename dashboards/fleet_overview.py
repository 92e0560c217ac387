"""The fleet: which services leak, since which version, and who runs out of memory first."""

from __future__ import annotations

from dashboards.panels import (
    AMBER,
    CONFIRMED,
    GREEN,
    GROWTH,
    LIMIT_STEPS,
    POD,
    PROCESS,
    RED,
    RISK,
    RISK_STEPS,
    SERVICE_UID,
    SUSPECTED,
    TIME_LEFT,
    TIME_STEPS,
    UTILIZATION,
    Panel,
    board,
    chart,
    coloured,
    figure,
    fill,
    lines,
    marked,
    per_process,
    rows,
    selected,
    stacked,
    steps,
)
from grafana_foundation_sdk.builders import common, dashboard
from grafana_foundation_sdk.models import dashboard as models

_SERVICE = "service_namespace, service_name"
_VERSION = f"{_SERVICE}, service_version"
_AS_MANY_ROWS = 10


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    found = board(
        "Memory: fleet overview",
        "otel-memory-fleet",
        "Which services leak, since which version, and who runs out of memory first.",
        one_service=False,
    )
    return fill(found, (*_figures(), *_verdicts(), _first_to_die(), *_versions(), *_sizes()))


def _figures() -> list[Panel]:
    return [
        figure(
            "Processes watched",
            "Processes that report a leak risk. Fewer than there are: "
            "`docs/runbook.md#memorymonitorsilent`.",
            "short",
            f"count({RISK})",
        ),
        figure(
            "Suspected",
            "Growth that nothing innocent explains, for too short a time to be sure. Wait, or "
            "look at the service.",
            "short",
            f"sum({RISK} >= bool {SUSPECTED}) - sum({RISK} >= bool {CONFIRMED})",
        ).thresholds(steps((None, GREEN), (1, AMBER))),
        figure(
            "Confirmed",
            "Nine in ten of these are leaks. What to do: `docs/runbook.md#memoryleakconfirmed`.",
            "short",
            f"sum({RISK} >= bool {CONFIRMED})",
        ).thresholds(steps((None, GREEN), (1, RED))),
        figure(
            "First limit reached in",
            "The smallest time to exhaustion of all processes. Under half an hour: "
            "`docs/runbook.md#memoryexhaustionsoon`.",
            "s",
            f"min({TIME_LEFT})",
        )
        .thresholds(steps(*TIME_STEPS))
        .no_value("nothing grows"),
    ]


def _verdicts() -> list[Panel]:
    risk = chart(
        "Leak risk by service",
        "The highest of each service's processes. From 0.5 on suspected, from 0.9 on confirmed: "
        "`docs/runbook.md#memoryleakconfirmed`.",
        "none",
        lines(f"max by ({_SERVICE}) ({RISK})", "{{service_name}}"),
    )
    risk.max(1).decimals(2)
    count = chart(
        "Suspected and confirmed processes",
        "How many processes are in either state. Many at once after a deployment: compare "
        "versions below.",
        "short",
        lines(
            f"sum({RISK} >= bool {SUSPECTED}) - sum({RISK} >= bool {CONFIRMED})", "suspected", "A"
        ),
        lines(f"sum({RISK} >= bool {CONFIRMED})", "confirmed", "B"),
    ).decimals(0)
    coloured(count, {"suspected": AMBER, "confirmed": RED})
    return [marked(risk, RISK_STEPS), stacked(count)]


def _first_to_die() -> Panel:
    by = f"{PROCESS}, {POD}"
    left = (
        f"bottomk({_AS_MANY_ROWS}, min by ({by}) "
        f"({selected('process_memory_leak_time_to_exhaustion_seconds')}))"
    )
    growth = (
        f"sum by ({by}) (max by ({by}, process_memory_segment) "
        f"({selected('process_memory_leak_growth_bytes_per_second')}))"
    )
    risk = f"max by ({by}) ({selected('process_memory_leak_risk_ratio')})"
    used = f"max by ({by}) ({selected('process_memory_limit_utilization_ratio')})"
    among = f"and on ({by}) {left}"
    panel = rows(
        "Who dies first",
        "Processes by the time that is left until their limit, at their present growth. Restart "
        "the first ones before the kernel does: `docs/runbook.md#memoryexhaustionsoon`.",
        {
            "A": ("time left", "s", left),
            "B": ("growth", "binBps", f"{growth} {among}"),
            "C": ("risk", "none", f"{risk} {among}"),
            "D": ("of its limit", "percentunit", f"{used} {among}"),
        },
        {
            "service_namespace": "namespace",
            "service_name": "service",
            "service_version": "version",
            "service_instance_id": "instance",
            "k8s_namespace_name": "k8s namespace",
            "k8s_pod_name": "pod",
        },
    )
    panel.sort_by([common.TableSortByFieldState().display_name("time left")])
    link = {
        "title": "this service",
        "url": f"/d/{SERVICE_UID}?var-service_name=${{__data.fields.service}}"
        "&${datasource:queryparam}&${__url_time_range}",
    }
    return panel.override_by_name("service", [models.DynamicConfigValue("links", [link])])


def _versions() -> list[Panel]:
    return [
        chart(
            "Growth by version",
            "Growth of the segments under suspicion, an average process of each version. Only the "
            "newest is here: it brought the leak, roll it back "
            "(`docs/runbook.md#memoryleakconfirmed`). None: nothing is suspected.",
            "binBps",
            lines(
                f"avg by ({_VERSION}) (sum by ({PROCESS}) ({GROWTH}))",
                "{{service_name}} {{service_version}}",
            ),
        ),
        chart(
            "Share of processes under suspicion, by version",
            "Of each version's processes, how many have a risk of 0.5 or more. All of one version "
            "and none of another: it came with that version. Some of each: look at what differs "
            "between the processes.",
            "percentunit",
            lines(
                f"avg by ({_VERSION}) ({RISK} >= bool {SUSPECTED})",
                "{{service_name}} {{service_version}}",
            ),
        ).max(1),
    ]


def _sizes() -> list[Panel]:
    limit = chart(
        "Limit utilization by service",
        "The process of each service that is nearest to its limit. From 0.9 on: "
        "`docs/runbook.md#memorylimitnearlyreached`. Workers that share a limit: add them up.",
        "percentunit",
        lines(f"max by ({_SERVICE}) ({UTILIZATION})", "{{service_name}}"),
    ).axis_soft_max(1)
    resident = chart(
        "Resident set size by service",
        "All processes of a service. Pages that workers share count once for each.",
        "bytes",
        lines(
            f"sum by ({_SERVICE}) ({per_process('process_memory_usage_bytes')})",
            "{{service_name}}",
        ),
    )
    return [marked(limit, LIMIT_STEPS), stacked(resident)]
