"""The picture: that there is one, and what is in its way."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from opentelemetry.instrumentation.memory._commands.analyze.course import Course
from opentelemetry.instrumentation.memory.cli import main
from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample, Partition

DATA = Path(__file__).resolve().parents[3] / "data" / "analyze"
LEAK, HEALTHY = (str(DATA / f"{name}.csv.gz") for name in ("leak_linear", "ok_sawtooth"))
PNG = b"\x89PNG\r\n\x1a\n"


def test_one_series_is_one_picture(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    assert main(["analyze", LEAK, "--plot", str(target)]) == 0
    assert target.read_bytes().startswith(PNG)
    assert target.stat().st_size > 20_000


def test_several_series_are_numbered_pictures(tmp_path: Path) -> None:
    assert main(["analyze", LEAK, HEALTHY, "--plot", str(tmp_path / "out.svg")]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-1.svg", "out-2.svg"]
    texts = [(tmp_path / f"out-{number}.svg").read_text() for number in (1, 2)]
    assert "leak_linear.csv.gz: LEAK in python_heap, declared at" in texts[0]
    assert "ok_sawtooth.csv.gz: no leak" in texts[1]


@pytest.mark.parametrize(
    "rows",
    ["0,100", "1700000000,100\n1700000001,100", "0,0\n1,0", "-5,1\n1e9,2"],
    ids=["one sample", "calendar time", "nothing resident", "odd times"],
)
def test_any_series_can_be_drawn(rows: str, tmp_path: Path) -> None:
    (tmp_path / "a$b$.csv").write_text(f"time_s,rss\n{rows}\n")
    target = tmp_path / "out.png"
    assert main(["analyze", str(tmp_path / "a$b$.csv"), "--plot", str(target)]) == 0
    assert target.read_bytes().startswith(PNG)


def test_an_unknown_kind_of_picture_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", LEAK, "--plot", str(tmp_path / "out.xyz")]) == 2
    assert "out.xyz: cannot be drawn: Format 'xyz' is not supported" in capsys.readouterr().err


def test_without_matplotlib_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert main(["analyze", LEAK, "--plot", str(tmp_path / "out.png")]) == 2
    said = capsys.readouterr()
    assert "pip install 'opentelemetry-instrumentation-memory[plot]'" in said.err
    assert said.out == ""


def test_a_course_stays_small_and_keeps_its_ends_and_the_highest_risk() -> None:
    course = Course()
    for second in range(30_000):
        state = "confirmed" if 10_000 <= second < 20_000 else "quiet"
        risk = 0.95 if second == 15_001 else 0.1
        sample = MemorySample(float(second), 0, 7, None, Partition(other_anonymous_bytes=7))
        course.add(sample, LeakVerdict(state, risk))  # type: ignore[arg-type] # a literal's union
    times = [point.time for point in course.points]
    assert 2000 < len(times) <= 4096
    assert times == sorted(set(times))
    assert times[-1] == 29_999
    assert max(point.risk for point in course.points) == 0.95
    assert course.changes == [(0, "quiet"), (10_000, "confirmed"), (20_000, "quiet")]
