"""One service: where the memory of each process is, what grows, and how long it lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.panels import (
    GROWTH,
    LIMIT_STEPS,
    RED,
    RISK,
    RISK_STEPS,
    SERVICE_UID,
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
    outside_the_stack,
    per_process,
    rate_per_process,
    stacked,
    steps,
)

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import dashboard

# The same colours as in the pictures of the documentation.
_SEGMENT_COLOURS = {
    "python_heap": "#0072B2",
    "native_heap": "#E69F00",
    "retained": "#D55E00",
    "other_anonymous": "#CC79A7",
    "file": "#009E73",
    "shared": "#F0E442",
}
_ANNOTATED = ("Risk by process", "Time to exhaustion", "Growth by segment")
_INSTANCE = "{{service_version}} {{service_instance_id}}"


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    found = board(
        "Memory: one service",
        SERVICE_UID,
        "Where the memory of each process is, what grows, and how long it lasts.",
        one_service=True,
    )
    panels = (*_figures(), _segments(), *_verdict(), *_growth(), *_heap(), *_collector())
    return fill(found, panels, _ANNOTATED)


def _figures() -> list[Panel]:
    return [
        figure(
            "Leak risk",
            "The highest of all processes. From 0.5 on suspected, from 0.9 on confirmed: "
            "`docs/runbook.md#memoryleakconfirmed`.",
            "none",
            f"max({RISK})",
        )
        .decimals(2)
        .thresholds(steps(*RISK_STEPS)),
        figure(
            "First limit reached in",
            "The smallest time to exhaustion of all processes. Under half an hour: "
            "`docs/runbook.md#memoryexhaustionsoon`.",
            "s",
            f"min({TIME_LEFT})",
        )
        .thresholds(steps(*TIME_STEPS))
        .no_value("nothing grows"),
        figure(
            "Growth",
            "Of all processes together, in the segments under suspicion.",
            "binBps",
            f"sum({GROWTH})",
        ).no_value("nothing grows"),
        figure(
            "Limit utilization",
            "The process that is nearest to its limit. From 0.9 on: "
            "`docs/runbook.md#memorylimitnearlyreached`.",
            "percentunit",
            f"max({UTILIZATION})",
        )
        .thresholds(steps(*LIMIT_STEPS))
        .no_value("no limit"),
    ]


def _segments() -> Panel:
    segments = per_process("process_memory_resident_bytes", "process_memory_segment")
    panel = chart(
        "Memory of $instance",
        "The segments add up to the resident set size. Which one rises? `python_heap` and "
        "`native_heap` are live: a leak is here. `retained` is free and kept: "
        "`docs/runbook.md#memoryfragmentation`. Dashed: the limit.",
        "bytes",
        lines(segments, "{{process_memory_segment}}"),
        lines(f"min({per_process('process_memory_limit_bytes')})", "limit", "B"),
    )
    panel = outside_the_stack(stacked(panel), "B", RED)
    coloured(panel, _SEGMENT_COLOURS)
    return panel.repeat("instance").repeat_direction("h").span(24).height(9)


def _verdict() -> list[Panel]:
    risk = chart(
        "Risk by process",
        "Of each process. From 0.5 on suspected, from 0.9 on confirmed; it falls when growth "
        "ends. The reason is in the newest `process.memory.leak` event: "
        "`docs/runbook.md#memoryleakconfirmed`.",
        "none",
        lines(RISK, _INSTANCE),
    )
    risk.max(1).decimals(2)
    left = chart(
        "Time to exhaustion",
        "Until the limit at the present growth. Absent without growth or limit. Below the line, "
        "half an hour: `docs/runbook.md#memoryexhaustionsoon`.",
        "s",
        lines(TIME_LEFT, _INSTANCE),
    )
    return [marked(risk, RISK_STEPS), marked(left, TIME_STEPS[:2])]


def _growth() -> list[Panel]:
    return [
        chart(
            "Growth by segment",
            "Of the segments under suspicion. `python_heap` or `native_heap`: look for a "
            "container. `other_anonymous`: mappings or threads "
            "(`docs/runbook.md#memoryleakconfirmed`).",
            "binBps",
            lines(GROWTH, f"{{{{process_memory_segment}}}}, {_INSTANCE}"),
        ),
        chart(
            "Kept by each request, by route",
            "Estimated bytes that one request of a route keeps for good; only routes of which "
            "that is certain, and only while risk is raised. The first place to look in the code "
            "(`docs/routes.md`).",
            "bytes",
            lines(
                per_process("process_memory_route_growth_bytes", "http_route"),
                f"{{{{http_route}}}}, {_INSTANCE}",
            ),
        ),
    ]


def _heap() -> list[Panel]:
    # An average process of each version: one series a process would be three lines for each.
    names = {
        "used": "cpython_memory_heap_used_bytes",
        "committed": "cpython_memory_heap_committed_bytes",
        "external": "cpython_memory_external_bytes",
    }
    queries = [
        lines(
            f"avg by (service_version) ({per_process(metric)})",
            f"{name}, {{{{service_version}}}}",
            ref,
        )
        for ref, (name, metric) in zip("ABC", names.items(), strict=True)
    ]
    return [
        chart(
            "Python heap",
            "An average process of each version: small objects in use, what was obtained for "
            "them, and what is in use outside (`external`: large objects and C libraries). "
            "Committed far above used: `docs/runbook.md#memoryfragmentation`.",
            "bytes",
            *queries,
        ),
        chart(
            "CPU that measuring costs",
            "Of one core, what this package uses in each process. Above the budget "
            "(`budget_percent`, 0.03 %, and 1 % while it investigates): report it.",
            "percentunit",
            lines(rate_per_process("process_memory_monitor_cpu_time_seconds_total"), _INSTANCE),
        ),
    ]


def _collector() -> list[Panel]:
    def total(counter: str, *labels: str) -> str:
        by = f" by ({', '.join(labels)})" if labels else ""
        return f"sum{by} ({rate_per_process(counter, 'cpython_gc_generation')})"

    return [
        chart(
            "Garbage collections",
            "A second, of all processes, by generation. Many of generation 2 with little "
            "collected: objects live long, or leak.",
            "cps",
            lines(
                total("cpython_gc_collections_total", "cpython_gc_generation"),
                "generation {{cpython_gc_generation}}",
            ),
        ),
        chart(
            "Objects found by the garbage collector",
            "A second, of all processes. Uncollectable ones stay for ever: find their class with "
            "`gc.garbage`.",
            "cps",
            lines(total("cpython_gc_collected_objects_total"), "collected", "A"),
            lines(total("cpython_gc_uncollectable_objects_total"), "uncollectable", "B"),
        ),
    ]
