"""Where tests find the real programs they need; without one a test is skipped, with the reason.

`REQUIRE_ALL=1` makes such a skip a failure, so that nothing goes untested unnoticed in CI.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

import pytest
from scripts import tools

if TYPE_CHECKING:
    from pathlib import Path


def collector() -> Path:
    """Return the collector that `collector-config/builder.yaml` describes."""
    return _program(tools.COLLECTOR, "otelcol")


def prometheus() -> Path:
    """Return a Prometheus server."""
    return _program(tools.PROMETHEUS, "prometheus")


def promtool() -> Path:
    """Return Prometheus' own checker of configurations and rules."""
    return _program(tools.PROMETHEUS, "promtool")


def node() -> Path:
    """Return Node.js."""
    return _program(tools.NODE, "node")


def _program(tool: tools.Tool, name: str) -> Path:
    path = tools.find(tool, name)
    if path is None:
        _missing(f"{name} is missing: {tools.why_missing(tool)}")
    return path


def _missing(reason: str) -> NoReturn:
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"{reason} (REQUIRE_ALL=1)", pytrace=False)
    pytest.skip(reason)
