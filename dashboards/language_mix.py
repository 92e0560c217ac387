"""All languages: the family of metrics that collector-config/languages.yaml makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.panels import (
    LIMIT_STEPS,
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
    stacked,
)

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import dashboard

_RUNTIME = "process_runtime_name"
_LEGEND = f"{{{{{_RUNTIME}}}}}"
_FAMILY = {
    "resident": "process_memory_usage_bytes",
    "heap used": "process_runtime_memory_heap_used_bytes",
    "heap committed": "process_runtime_memory_heap_committed_bytes",
    "heap limit": "process_runtime_memory_heap_limit_bytes",
    "external": "process_runtime_memory_external_bytes",
}

# One colour a language in every chart, as not all of them are in each.
_COLOURS = {
    "cpython": "#0072B2",
    "nodejs": "#009E73",
    "jvm": "#D55E00",
    "go": "#56B4E9",
    "dotnet": "#CC79A7",
    "rust": "#8c6d31",
    "cpp": "#E69F00",
}


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    found = board(
        "Memory: language mix",
        "otel-memory-languages",
        "One family of metrics, whatever a service is written in (docs/languages.md).",
        one_service=False,
    )
    return fill(found, (*_figures(), *_charts(), _services()))


def _each(name: str) -> str:
    return per_process(_FAMILY[name], _RUNTIME)


def _sum(name: str) -> str:
    return f"sum by ({_RUNTIME}) ({_each(name)})"


def _used_of_limit() -> str:
    return f"{_each('heap used')} / {_each('heap limit')}"


def _figures() -> list[Panel]:
    return [
        figure(
            "Processes",
            "By the heap or the resident set that they tell of.",
            "short",
            f"count({_each('resident')} or {_each('heap used')})",
        ),
        figure(
            "Resident",
            "Of all processes that tell it; the JVM and Go do not by themselves "
            "(`docs/languages.md`).",
            "bytes",
            f"sum({_each('resident')})",
        ),
        figure(
            "Heap in use",
            "Of all runtimes, with garbage that was not collected yet.",
            "bytes",
            f"sum({_each('heap used')})",
        ),
        figure(
            "Fullest heap",
            "The process whose heap is nearest to what it may grow to. Near 1 a runtime collects "
            "all the time, or ends: `docs/runbook.md#memorylimitnearlyreached`.",
            "percentunit",
            f"max({_used_of_limit()})",
        ),
    ]


def _charts() -> list[Panel]:
    described = {
        "resident": (
            "Pages in memory, of all processes of a language. One that is missing does not tell it."
        ),
        "heap used": (
            "Live objects, and garbage that was not collected yet: teeth are normal, a rising "
            "floor is not (`docs/runbook.md#memoryleakconfirmed`)."
        ),
        "heap committed": (
            "What runtimes have obtained for their heaps. Far above used for long: the heap was "
            "larger once (`docs/runbook.md#memoryfragmentation`)."
        ),
        "external": (
            "In use outside the heap: buffers, C libraries, and where it is derived the runtime's "
            "own code. It rises and the heap does not: look for buffers (`docs/languages.md`)."
        ),
        "heap limit": (
            "What the heaps may grow to together; only Go with `GOMEMLIMIT` and the JVM tell it."
        ),
    }
    charts = {
        name: chart(f"{name.capitalize()} by language", said, "bytes", lines(_sum(name), _LEGEND))
        for name, said in described.items()
    }
    fullest = chart(
        "Heap used of its limit",
        "Of each process of which both are known. A floor that rises towards 1: raise the limit, "
        "or find the leak (`docs/runbook.md#memorylimitnearlyreached`).",
        "percentunit",
        lines(_used_of_limit(), "{{service_name}} {{service_instance_id}}"),
    ).axis_soft_max(1)
    for name in ("resident", "heap used", "heap committed", "external"):
        stacked(charts[name])
    for panel in charts.values():
        coloured(panel, _COLOURS)
    return [*charts.values(), marked(fullest, LIMIT_STEPS)]


def _services() -> Panel:
    by = f"{_RUNTIME}, service_namespace, service_name"
    headings = zip("ABCDE", _FAMILY, strict=True)
    return rows(
        "Services side by side",
        "All processes of each service. An empty cell is what the language does not tell "
        "(`docs/languages.md`).",
        {ref: (name, "bytes", f"sum by ({by}) ({_each(name)})") for ref, name in headings},
        {_RUNTIME: "runtime", "service_namespace": "namespace", "service_name": "service"},
    )
