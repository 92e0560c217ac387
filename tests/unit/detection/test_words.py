from __future__ import annotations

from dataclasses import replace

import pytest

from opentelemetry.instrumentation.memory._detection import risk, words
from opentelemetry.instrumentation.memory._detection.segment import Judgement

RISE = Judgement(2.0, 2.0, bytes_per_second=2**20 / 60, seconds=7200.0, height_bytes=120 * 2**20)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1023.96, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (18.2 * 2**20, "18.2 MiB"),
        (1024**2 - 1, "1.0 MiB"),
        (3 * 2**50, "3072.0 TiB"),
    ],
)
def test_bytes_have_a_binary_unit(value: float, text: str) -> None:
    assert words.bytes_in_words(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.25, "0.25 s"), (9, "9 s"), (89, "89 s"), (120, "2.0 min"), (7200, "2.0 h"), (2e5, "2.3 d")],
)
def test_duration_has_its_largest_fitting_unit(value: float, text: str) -> None:
    assert words.seconds_in_words(value) == text


def test_suspect_is_told_with_height_time_and_pace() -> None:
    assert words.accusation("native_heap", RISE) == (
        "native heap has grown by 120.0 MiB in 2.0 h (60.0 MiB/h) and keeps its pace"
    )


def test_suspect_that_only_the_wider_limits_hold_is_not_said_to_keep_its_pace() -> None:
    held = replace(RISE, raise_score=risk.IMPLAUSIBLE)
    assert words.accusation("native_heap", held).endswith("and did not give it back so far")


def test_innocence_is_told_of_the_highest_rise() -> None:
    small = Judgement(height_bytes=1.0, obstacle="growth is too small to matter")
    large = Judgement(height_bytes=2.0, obstacle="most of the growth came in a single step")
    told = words.innocence([("python_heap", small), ("other_anonymous", large)])
    assert told == "other anonymous memory grew, but most of the growth came in a single step"
    assert words.innocence([]) == "no segment keeps growing"
