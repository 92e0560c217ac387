"""Quantities and verdicts as a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.instrumentation.memory._detection import risk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.instrumentation.memory._detection.segment import Judgement
    from opentelemetry.instrumentation.memory.model import Segment


def bytes_in_words(value: float) -> str:
    """Return bytes with a binary unit: `18.2 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1023.95:  # noqa: PLR2004 - from here on it would be written as 1024.0
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def seconds_in_words(value: float) -> str:
    """Return a duration in its largest fitting unit: `2.1 h`."""
    for unit, length in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if value >= 1.5 * length:
            return f"{value / length:.1f} {unit}"
    return f"{value:.0f} s" if value >= 10 else f"{value:.2g} s"  # noqa: PLR2004 - two digits


def segment_in_words(segment: Segment) -> str:
    """Return a segment as it stands in a sentence: `python heap`."""
    return "other anonymous memory" if segment == "other_anonymous" else segment.replace("_", " ")


def accusation(segment: Segment, judgement: Judgement) -> str:
    """Return why this rise is under suspicion."""
    is_strict = judgement.raise_score > risk.IMPLAUSIBLE
    end = "keeps its pace" if is_strict else "did not give it back so far"
    return f"{_rise(segment, judgement)} and {end}"


def fragmentation(judgement: Judgement) -> str:
    """Return why growth of free memory is no leak."""
    return (
        f"fragmentation, not a leak: memory that was freed and that allocators keep has grown by "
        f"{_amount(judgement)}, live memory does not keep growing"
    )


def too_early(segment: Segment, judgement: Judgement) -> str:
    """Return why a rise that looks like a leak does not raise suspicion yet."""
    return f"{_rise(segment, judgement)}, too little to tell a leak from a passing rise"


def innocence(tallest: Sequence[tuple[Segment, Judgement]]) -> str:
    """Return what the highest of these rises was, if not a leak."""
    grown = [each for each in tallest if each[1].obstacle is not None]
    if not grown:
        return "no segment keeps growing"
    segment, judgement = max(grown, key=lambda each: each[1].height_bytes)
    return f"{segment_in_words(segment)} grew, but {judgement.obstacle}"


def _rise(segment: Segment, judgement: Judgement) -> str:
    return f"{segment_in_words(segment)} has grown by {_amount(judgement)}"


def _amount(judgement: Judgement) -> str:
    pace = f"{bytes_in_words(judgement.bytes_per_second * 3600)}/h"
    return (
        f"{bytes_in_words(judgement.height_bytes)} in {seconds_in_words(judgement.seconds)} "
        f"({pace})"
    )
