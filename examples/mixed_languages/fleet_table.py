"""What Prometheus knows of each service, as a table."""

from __future__ import annotations

import contextlib
import json
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MEBIBYTE = 2**20
RISKS = ("risk", "by rule")
COLUMNS = {
    "process_memory_usage_bytes": "resident",
    "process_runtime_memory_heap_used_bytes": "heap used",
    "process_runtime_memory_heap_committed_bytes": "committed",
    "process_runtime_memory_heap_limit_bytes": "heap limit",
    "process_runtime_memory_external_bytes": "external",
    "process_memory_leak_risk_ratio": "risk",
    "process_memory:rule_leak_risk": "by rule",
}
QUERY = f'max by (__name__, service_name) ({{__name__=~"{"|".join(COLUMNS)}"}})'


class Fleet:
    """The last value of each column by service, and the highest risks there were."""

    def __init__(self, prometheus: str, services: Sequence[str]) -> None:
        self._url = f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': QUERY})}"
        self.seen: dict[str, dict[str, float]] = {name: {} for name in services}

    def look(self) -> None:
        """Ask Prometheus; what it does not tell this time stays as it was."""
        with contextlib.suppress(OSError), urllib.request.urlopen(self._url, timeout=10) as answer:  # noqa: S310 - loopback
            for each in json.load(answer)["data"]["result"]:
                values = self.seen.get(each["metric"].get("service_name"))
                if values is not None:
                    values[COLUMNS[each["metric"]["__name__"]]] = float(each["value"][1])
        for values in self.seen.values():
            for title in set(RISKS) & values.keys():
                highest = f"highest {title}"
                values[highest] = max(values[title], values.get(highest, 0))


def table(fleet: Fleet) -> str:
    """Return one line a service: MiB, and the risks; a dash for what its language does not tell."""
    lines = [f"{'':16}" + "".join(f"{title:>11}" for title in COLUMNS.values())]
    for name, values in fleet.seen.items():
        cells = [_cell(title, values.get(title)) for title in COLUMNS.values()]
        lines.append(f"{name:16}" + "".join(f"{cell:>11}" for cell in cells))
    return "\n".join(lines)


def _cell(title: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if title in RISKS else f"{value / MEBIBYTE:.1f}"
