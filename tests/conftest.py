"""What every test shares: a clean slate, and no silent skips where nothing may be missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from opentelemetry.instrumentation.memory import MemoryInstrumentor
from opentelemetry.instrumentation.memory import _metrics as metrics

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


# On a busy machine an example may take any time, and that says nothing about the code. The same
# examples each time: what passes here passes there.
settings.register_profile(
    "reproducible",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("reproducible")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "optional_here(reason): may be skipped even with REQUIRE_ALL=1, for that reason"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.get_closest_marker("optional_here") is None and not hasattr(report, "wasxfail"):
        _fail_instead_of_skipping(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_instead_of_skipping(report)
    return report


def _fail_instead_of_skipping(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and os.environ.get("REQUIRE_ALL") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"with REQUIRE_ALL=1 nothing may be skipped; {reason}"


@pytest.fixture
def instrumentor() -> Iterator[MemoryInstrumentor]:
    """Give the instrumentor, and take back whatever the test did with it."""
    yield MemoryInstrumentor()
    forget_instrumentation()


@pytest.fixture(autouse=True)
def _clean_slate() -> Iterator[None]:
    yield
    forget_instrumentation()


def forget_instrumentation() -> None:
    instrumentor = MemoryInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()
    MemoryInstrumentor._instance = None
    metrics._reporters.clear()
