"""What two or three looks say about a line."""

from __future__ import annotations

import json
from pathlib import Path

from opentelemetry.instrumentation.memory import evidence
from opentelemetry.instrumentation.memory._attribution.sites_growth import (
    Frames,
    Kept,
    Looks,
    Stack,
    growing_sites,
    is_library,
    library_share,
)

THIS = __file__
OTHER = str(Path(__file__).with_name("test_naming.py"))
JSON = json.__file__
AT = (1.0, 2.0, 3.0)


def looks(*courses: tuple[Frames, list[tuple[int, int]]], is_burst: bool = True) -> Looks:
    """Return looks at lines with (blocks, bytes of each) at every look."""
    live = tuple(
        {
            Stack(frames): Kept(blocks * each_bytes, blocks, each_bytes)
            for frames, course in courses
            for blocks, each_bytes in [course[look]]
            if blocks
        }
        for look in range(len(AT))
    )
    return Looks(live, AT, is_burst=is_burst)


def line(number: int) -> Frames:
    return ((THIS, number),)


def sites(told: Looks, bytes_per_second: float = 0.0) -> list[str]:
    return [each.site.rsplit("/", 1)[-1] for each in growing_sites(told, bytes_per_second)]


LEAK = [(10, 100), (20, 100), (30, 100)]


def test_line_that_keeps_has_its_rate() -> None:
    (site,) = growing_sites(looks((line(1), LEAK)), 0.0)
    assert (site.blocks_grown, site.bytes_grown, site.bytes_per_second) == (20, 2000, 1000.0)


def test_line_that_is_full_after_the_first_look_is_not_told() -> None:
    assert sites(looks((line(1), [(500, 100), (500, 100), (505, 100)]))) == []


def test_coming_and_going_of_blocks_in_use_is_not_growth() -> None:
    assert sites(looks((line(1), [(1000, 100), (1020, 100), (1050, 100)]))) == []


def test_one_large_request_at_the_last_look_is_not_growth() -> None:
    assert sites(looks((line(1), [(0, 0), (0, 0), (400, 100)]))) == []


def test_leak_beside_blocks_in_use_is_told() -> None:
    assert sites(looks((line(1), [(100, 100), (300, 100), (500, 100)]))) == [
        "test_sites_growth.py:1"
    ]


def test_few_blocks_are_told_only_from_three_on() -> None:
    assert sites(looks((line(1), [(0, 0), (1, 100), (2, 100)]))) == []
    assert len(sites(looks((line(1), [(1, 100), (2, 100), (4, 100)])))) == 1


def test_fastest_line_comes_first() -> None:
    told = looks((line(1), LEAK), (line(2), [(100, 100), (200, 100), (300, 100)]))
    assert sites(told) == ["test_sites_growth.py:2", "test_sites_growth.py:1"]


def test_table_that_was_made_larger_does_not_count_as_kept() -> None:
    told = looks((line(1), LEAK))
    told.live[2][Stack(line(1))].add(1_000_000, 1, 1_000_000)
    (site,) = growing_sites(told, 0.0)
    assert site.bytes_grown == 2000


BUFFER = [(1, 90_000), (1, 100_000), (1, 110_000)]


def test_buffer_that_grows_as_fast_as_the_segment_is_told() -> None:
    assert len(sites(looks((line(1), BUFFER)), 12_000.0)) == 1


def test_buffer_that_grows_at_another_pace_is_not_told() -> None:
    assert sites(looks((line(1), BUFFER)), 1_000_000.0) == []


def test_buffer_of_varying_size_is_not_told() -> None:
    told = looks((line(1), [(1, 90_000), (1, 60_000), (1, 110_000)]))
    assert sites(told, 10_000.0) == []


def test_nearest_line_of_the_application_is_the_site() -> None:
    frames = ((JSON, 10), (THIS, 20), (OTHER, 30))
    (site,) = growing_sites(looks((frames, LEAK)), 0.0)
    assert site.site.endswith("test_sites_growth.py:20")
    assert [each.rsplit("/", 1)[-1] for each in site.callers] == ["test_naming.py:30"]


def test_stacks_that_end_in_one_line_of_the_application_are_one_site() -> None:
    told = looks((((JSON, 10), (THIS, 20)), LEAK), (((JSON, 11), (THIS, 20)), LEAK))
    (site,) = growing_sites(told, 0.0)
    assert site.blocks_grown == 40


def test_library_line_is_told_where_nothing_else_is_known() -> None:
    told = looks((((JSON, 10),), LEAK))
    (site,) = growing_sites(told, 0.0)
    assert site.site == "json/__init__.py:10"
    assert library_share(told, (site,)) == 1.0


def test_line_of_the_application_is_no_library() -> None:
    told = looks((line(1), LEAK))
    assert library_share(told, growing_sites(told, 0.0)) == 0.0
    assert is_library("/srv/app/lib/python3.11/site-packages/flask/app.py")
    assert is_library("<frozen importlib._bootstrap>")


def test_own_lines_are_left_out() -> None:
    assert sites(looks((((evidence.__file__, 1),), LEAK))) == []


def test_traces_older_than_the_burst_need_no_pace_before_the_first_look() -> None:
    old = [(100_000, 100), (100_010, 100), (100_020, 100)]
    assert len(sites(looks((line(1), old), is_burst=False))) == 1
    assert sites(looks((line(1), old))) == []


def test_c_function_is_the_site_and_lines_are_its_callers() -> None:
    live = tuple(
        {Stack(line(7), "grab (leaky.c:4)"): Kept(blocks * 10, blocks, 10)}
        for blocks in (10, 20, 30)
    )
    (site,) = growing_sites(Looks(live, AT), 0.0)
    assert (site.site, site.is_native) == ("grab (leaky.c:4)", True)
    assert site.callers[0].endswith("test_sites_growth.py:7")


def test_at_most_ten_sites_are_told() -> None:
    assert len(sites(looks(*((line(number), LEAK) for number in range(1, 30))))) == 10
