"""Tables from outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from judges import DETECTOR
from rule_file import JUDGE as RULES
from scoring import WARM_UP_SHARE, figures, reliability

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scoring import Figures, Outcome
    from series import Label

    Pairs = list[tuple[Label, Outcome]]
    Results = dict[tuple[str, str | None], Pairs]

HALVES = {"tuning": "tuning half", "test": "test half", "random": "random, of other seeds"}
HEADINGS = (
    "precision",
    "recall",
    "F1",
    "F1 at end",
    "delay",
    "alarms/h",
    "quiet alarmed",
    "Brier",
    "segment",
)


def _cells(line: Figures) -> list[str]:
    def number(value: float | None, digits: int = 2) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    def percent(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.0f} %"

    return [
        number(line.precision),
        number(line.recall),
        number(line.f1),
        number(line.f1_at_end),
        percent(line.median_delay),
        number(line.false_alarms_per_hour, 4),
        f"{line.healthy_alarmed}/{line.runs - line.leaks}",
        number(line.brier, 3),
        percent(line.segment_accuracy),
    ]


def _table(first: str, lines: Iterable[tuple[str, Figures]], *, markdown: bool = False) -> str:
    rows = [[first, *HEADINGS], *([name, *_cells(line)] for name, line in lines)]
    if markdown:
        rule = ["---", *["---:"] * len(HEADINGS)]
        return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        row[0].ljust(widths[0])
        + "  "
        + "  ".join(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )


def comparison(judged: Sequence[tuple[str, list[Outcome]]], *, markdown: bool = False) -> str:
    """Return one line a judge."""
    lines = [(name, figures(outcomes)) for name, outcomes in judged if outcomes]
    return _table("judge", lines, markdown=markdown)


def _by_shape(pairs: Pairs) -> str:
    groups: dict[str, list[Outcome]] = {}
    for label, outcome in pairs:
        kind = "leak" if label.is_leak else "quiet"
        source = " (process)" if label.source == "process" else ""
        groups.setdefault(f"{kind}: {label.shape}{source}", []).append(outcome)
    return _table("class", [(name, figures(group)) for name, group in sorted(groups.items())])


def _reliability(pairs: Iterable[tuple[float, bool]]) -> str:
    lines = []
    for group in reliability(pairs):
        mean = "-" if group.mean_risk is None else f"{group.mean_risk:.2f}"
        share = "-" if group.leak_share is None else f"{group.leak_share:.2f}"
        lines.append(f"  {group.low:.1f}-{group.high:.1f} {group.count:6} {mean:>9} {share:>10}")
    return "\n".join(["     risk  count  mean risk  leak share", *lines])


def _mistakes(pairs: Pairs) -> list[str]:
    lines = []
    for label, outcome in pairs:
        faults = []
        if outcome.is_found is False:
            faults.append("missed")
        if outcome.false_alarms:
            faults.append(f"{outcome.false_alarms} false")
        if outcome.is_segment_right is False:
            faults.append("wrong segment")
        if faults:
            lines.append(f"  {label.name} ({label.shape}): {', '.join(faults)}")
    return lines


def everything(results: Results, judges: Sequence[str]) -> str:
    """Return the whole report, half by half."""
    parts = [
        f"Alarms in the first {WARM_UP_SHARE:.0%} of a run are not counted; scoring.py says more."
    ]
    halves = {label.half for pairs in results.values() for label, _ in pairs}
    for half in [each for each in HALVES if each in halves]:
        chosen = {
            key: [(label, outcome) for label, outcome in pairs if label.half == half]
            for key, pairs in results.items()
        }
        some = next(iter(chosen.values()))
        leaks = sum(label.is_leak for label, _ in some)
        parts.append(f"\n== {HALVES[half]}: {leaks} leaking, {len(some) - leaks} quiet series")
        named = [(judge, [outcome for _, outcome in chosen[judge, None]]) for judge in judges]
        parts.append(comparison(named))
        if (DETECTOR, None) in chosen:
            parts += _of_detector(chosen[DETECTOR, None])
        if (RULES, None) in chosen:
            parts += _of_rules(chosen[RULES, None])
        moved = [
            (f"{judge}: {transform}", figures([outcome for _, outcome in pairs]))
            for (judge, transform), pairs in chosen.items()
            if transform is not None and pairs
        ]
        if moved:
            parts += ["", _table("robustness", moved)]
    return "\n".join(parts)


def _of_detector(pairs: Pairs) -> list[str]:
    ends = [(outcome.final_risk, outcome.is_leak) for _, outcome in pairs]
    moments = [moment for _, outcome in pairs for moment in outcome.moments]
    return [
        "",
        _by_shape(pairs),
        "\nreliability at the end of each run",
        _reliability(ends),
        "\nreliability at twenty moments of each run",
        _reliability(moments),
        "\nmistakes",
        *(_mistakes(pairs) or ["  none"]),
    ]


def _of_rules(pairs: Pairs) -> list[str]:
    moments = [moment for _, outcome in pairs for moment in outcome.moments]
    title = f"\n{RULES}: reliability at twenty moments of each run"
    return [title, _reliability(moments), f"\n{RULES}: mistakes", *(_mistakes(pairs) or ["  none"])]


def each_series(results: Results, judges: Sequence[str]) -> str:
    """Return one line for every series and judge."""
    lines = []
    for judge in judges:
        for label, outcome in results[judge, None]:
            delay = outcome.delay_share
            lines.append(
                f"{label.name}  {judge}: found {outcome.is_found}, false alarms"
                f" {outcome.false_alarms}, delay {'-' if delay is None else f'{delay:.0%}'},"
                f" risk {outcome.final_risk:.2f}, segment {outcome.is_segment_right}"
            )
    return "\n".join(lines)
