"""The report for a person, as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.instrumentation.memory._commands.doctor.report import Report, SourceReport

_MEBIBYTE: Final = 2**20


def text(report: Report) -> str:
    """Return the whole report."""
    sections = (
        ("Sources, read in this process just now (median; a larger heap costs more)", _sources),
        ("Resident set of this process", _segments),
        ("Limits", _limits),
        ("Settings", _settings),
        ("opentelemetry-instrument", _loading),
        ("Versions", _versions),
    )
    return "\n\n".join(
        "\n".join((title, *(f"  {line}" for line in lines(report)))) for title, lines in sections
    )


def _sources(report: Report) -> Iterator[str]:
    for source in report.sources:
        yield f"{source.name:<10} {_state(source):>10}  {source.tells}: {_present(source)}"
        if source.consequence is not None:
            yield f"{'':<23}{source.consequence}"


def _state(source: SourceReport) -> str:
    if source.problem is not None or source.cost_microseconds is None:
        return "absent"
    return f"{source.cost_microseconds:.1f} µs"


def _present(source: SourceReport) -> str:
    if source.problem is not None:
        return source.problem
    if not source.values:
        return "none"
    return ", ".join(
        f"{name.removesuffix('_bytes')} {_size(value)}"
        if name.endswith("_bytes")
        else f"{name} {value}"
        for name, value in source.values.items()
    )


def _segments(report: Report) -> Iterator[str]:
    if not report.segments:
        yield "unknown"
        return
    for segment, value in report.segments.items():
        yield f"{segment:<16}{_size(value):>12}"
    yield f"{'sum':<16}{_size(sum(report.segments.values())):>12}"


def _limits(report: Report) -> Iterator[str]:
    for limit in report.limits:
        mark = "*" if limit.is_smallest else " "
        yield f"{mark} {_size(limit.bytes):>12}  {limit.origin}"
    if report.limits:
        yield "* the smallest one applies"
    else:
        yield "none found: no control group, no RLIMIT_AS and no setting limits this process"
    for unreadable in report.unreadable_limits:
        yield f"cannot be read: {unreadable}"


def _settings(report: Report) -> Iterator[str]:
    for setting in report.settings:
        value = "none" if setting.value is None else str(setting.value)
        origin = setting.origin
        if origin == "default":
            origin = f"default; {setting.variable} sets it"
        yield f"{setting.name:<22}{value:>12}  {origin}"
    for problem in report.setting_problems:
        yield f"not used: {problem}"


def _loading(report: Report) -> Iterator[str]:
    yield (
        "loads the memory instrumentor"
        if report.loading.is_loaded
        else "does not make this package report anything"
    )
    yield from report.loading.findings


def _versions(report: Report) -> Iterator[str]:
    for name, found in report.versions.items():
        yield f"{name:<38}{found}"


def _size(value: int) -> str:
    return f"{value / _MEBIBYTE:.1f} MiB"
