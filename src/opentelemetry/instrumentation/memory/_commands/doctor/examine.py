"""Looks at everything and leaves nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.instrumentation.memory._commands.doctor.loading import loading, versions
from opentelemetry.instrumentation.memory._commands.doctor.report import Report
from opentelemetry.instrumentation.memory._commands.doctor.settings import settings_in_force
from opentelemetry.instrumentation.memory._commands.doctor.sources import (
    limit_reports,
    segments,
    source_reports,
)
from opentelemetry.instrumentation.memory._probes import platform_probes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.instrumentation.memory._probes import Probes


def examine(
    environ: Mapping[str, str], find_probes: Callable[[int | None], Probes] = platform_probes
) -> Report:
    """Return what there is to know about this process and its surroundings.

    Args:
        environ: The environment to judge.
        find_probes: Returns the probes to examine, given the limit that is set.
    """
    config, settings, setting_problems = settings_in_force(environ)
    probes = find_probes(config.limit_bytes)
    try:
        sources = source_reports(probes)
        limits, unreadable_limits = limit_reports(probes.limit)
        return Report(
            sources,
            segments(probes),
            limits,
            unreadable_limits,
            settings,
            setting_problems,
            loading(environ),
            versions(environ),
        )
    finally:
        probes.close()
