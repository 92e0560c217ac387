"""The figures of an exam as text: a row a program, then what they add up to."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sitting import Sitting

_MIB: Final = 2**20
_COLUMNS: Final = (
    "program",
    "culprit",
    "top answer",
    "",
    "confidence",
    "rank in its list",
    "suspected / confirmed / evidence after",
    "own account: CPU, longest step, memory",
    "felt: CPU, latest heartbeat (control), memory",
)


def table(sittings: Sequence[Sitting]) -> str:
    """Return a Markdown table with a row for each run."""
    rows = [_COLUMNS, tuple("---" for _ in _COLUMNS), *map(_row, sittings)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def summary(sittings: Sequence[Sitting]) -> str:
    """Return a Markdown list of how many were right, and what it cost."""
    outcomes = Counter(sitting.judgement.outcome for sitting in sittings)
    count = len(sittings)
    others = ", ".join(f"{name} {outcomes[name]}" for name in ("unsure", "wrong", "no evidence"))
    right = outcomes["right"]
    points = [
        f"right: {right} of {count} ({right / count:.0%}); {others}",
        _spread("leak to confirmed", "s", sittings, lambda each: each.confirmed_seconds),
        _spread("leak to evidence", "s", sittings, lambda each: each.evidence_seconds),
        _spread(
            "own account: CPU of an investigation",
            "ms",
            sittings,
            lambda each: None if each.evidence is None else _own_cpu(each.evidence) * 1e3,
        ),
        _spread(
            "own account: CPU of an investigation, of its wall time",
            "%",
            sittings,
            lambda each: (
                None
                if each.evidence is None
                else 100 * _own_cpu(each.evidence) / each.evidence["seconds"]
            ),
        ),
        _spread(
            "felt: latest heartbeat during an investigation",
            "ms",
            sittings,
            lambda each: None if each.overhead is None else each.overhead.pause_seconds * 1e3,
        ),
        _spread(
            "felt: latest heartbeat of the control",
            "ms",
            sittings,
            lambda each: (
                None if each.overhead is None else each.overhead.control_pause_seconds * 1e3
            ),
        ),
    ]
    return "\n".join(f"- {point}" for point in points if point)


def costs(sittings: Iterable[Sitting]) -> str:
    """Return a Markdown table of what each kind of evidence has cost, by its own account."""
    by_kind: dict[str, list[dict[str, float]]] = {}
    for sitting in sittings:
        for cost in [] if sitting.evidence is None else sitting.evidence["costs"]:
            by_kind.setdefault(cost["kind"], []).append(cost)
    rows = ["| kind | runs | CPU, median and most | longest step | most memory |"]
    rows.append("| --- | --- | --- | --- | --- |")
    for kind, found in by_kind.items():
        cpu = [cost["cpu_seconds"] * 1e3 for cost in found]
        pause = max(cost["longest_pause_seconds"] for cost in found) * 1e3
        memory = max(cost["memory_bytes"] for cost in found) / _MIB
        rows.append(
            f"| {kind} | {len(found)} | {statistics.median(cpu):.0f} ms, {max(cpu):.0f} ms "
            f"| {pause:.1f} ms | {memory:.1f} MiB |"
        )
    return "\n".join(rows)


def line(sitting: Sitting) -> str:
    """Return one run in one line, for the terminal."""
    judgement = sitting.judgement
    told = judgement.answer or sitting.problem or "no evidence"
    after = _seconds(sitting.evidence_seconds)
    return f"{sitting.truth.program:18} {judgement.outcome:12} {after:>6}  {told}"


def _row(sitting: Sitting) -> tuple[str, ...]:
    judgement, truth = sitting.judgement, sitting.truth
    ranks = ", ".join(f"{name} {rank}" for name, rank in judgement.ranks.items())
    confidence = "" if judgement.confidence is None else f"{judgement.confidence:.2f}"
    moments = (sitting.suspected_seconds, sitting.confirmed_seconds, sitting.evidence_seconds)
    return (
        f"`{truth.program}`",
        truth.culprit,
        _cell(judgement.answer or sitting.problem or "none"),
        judgement.outcome,
        confidence,
        ranks or "none",
        " / ".join(map(_seconds, moments)),
        "" if sitting.evidence is None else _own_account(sitting.evidence["costs"]),
        "" if sitting.overhead is None else _felt(sitting),
    )


def _cell(text: str) -> str:
    return "`" + " ".join(text.split()).replace("|", "\\|").replace("`", "'") + "`"


def _own_account(found: list[dict[str, float]]) -> str:
    cpu = sum(cost["cpu_seconds"] for cost in found) * 1e3
    pause = max((cost["longest_pause_seconds"] for cost in found), default=0.0) * 1e3
    memory = max((cost["memory_bytes"] for cost in found), default=0) / _MIB
    return f"{cpu:.0f} ms, {pause:.1f} ms, {memory:.1f} MiB"


def _felt(sitting: Sitting) -> str:
    overhead = sitting.overhead
    if overhead is None:
        return ""
    return (
        f"{overhead.added_cpu_seconds * 1e3:.0f} ms, {overhead.pause_seconds * 1e3:.1f} ms "
        f"({overhead.control_pause_seconds * 1e3:.1f}), {overhead.added_bytes / _MIB:.1f} MiB"
    )


def _own_cpu(evidence: dict[str, list[dict[str, float]]]) -> float:
    return sum(cost["cpu_seconds"] for cost in evidence["costs"])


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"


def _spread(
    name: str, unit: str, sittings: Iterable[Sitting], read: Callable[[Sitting], float | None]
) -> str:
    values = [value for value in map(read, sittings) if value is not None]
    if not values:
        return ""
    median, most = statistics.median(values), max(values)
    return f"{name}: median {median:.1f} {unit}, most {most:.1f} {unit}"
