"""The metrics that are understood, and what a series is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._commands.analyze.problems import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.instrumentation.memory._commands.sample import Labels

SEGMENT_METRIC: Final = "process.memory.resident"
SEGMENT_ATTRIBUTE: Final = "process.memory.segment"
FIELDS: Final = {
    "process.memory.usage": "rss",
    "cpython.memory.heap.used": "heap_used",
    "cpython.memory.heap.committed": "heap_committed",
    "process.memory.limit": "limit",
}
METRICS: Final = (*FIELDS, SEGMENT_METRIC)

# Of an OTLP resource and, with underscores, of a Prometheus series; the first pair that is there.
_PREFERRED: Final = (
    ("service.name", "service.instance.id"),
    ("job", "instance"),
    ("service.name", "process.pid"),
    ("k8s.pod.name", "k8s.container.name"),
    ("process.executable.name", "process.pid"),
    ("service.name", None),
    ("job", None),
    ("instance", None),
)
_LONGEST_NAME: Final = 200


def series_names(all_labels: Sequence[Labels]) -> list[str]:
    """Return a short name for each series of an input, no name twice."""
    names = [_short(labels) for labels in all_labels]
    for name in {each for each in names if names.count(each) > 1}:
        alike = [index for index, each in enumerate(names) if each == name]
        shared = set.intersection(*(set(all_labels[index]) for index in alike))
        for index in alike:
            names[index] = name + _braced(
                tuple(each for each in all_labels[index] if each not in shared)
            )
    return names


def _short(labels: Labels) -> str:
    known = {name.replace("_", "."): value for name, value in labels}
    for service, instance in _PREFERRED:
        parts = [known.get(each, "") for each in (service, instance) if each is not None]
        if all(parts):
            return printable("/".join(parts), _LONGEST_NAME)
    return _braced(labels)


def _braced(labels: Labels) -> str:
    inner = ", ".join(f'{name}="{value}"' for name, value in labels)
    return printable(f"{{{inner}}}", _LONGEST_NAME)
