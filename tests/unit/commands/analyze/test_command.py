"""The command as a whole: what it prints, and its exit code."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import json
import random
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opentelemetry.instrumentation.memory._commands.analyze import progress
from opentelemetry.instrumentation.memory._commands.analyze.analysis import FORMATS, analyze
from opentelemetry.instrumentation.memory._commands.analyze.figures import row
from opentelemetry.instrumentation.memory._commands.analyze.judgement import unreadable
from opentelemetry.instrumentation.memory.cli import main
from opentelemetry.instrumentation.memory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.instrumentation.memory.model import LeakState

DATA = Path(__file__).resolve().parents[3] / "data" / "analyze"
LEAK, HEALTHY, RSS_ONLY = (
    str(DATA / f"{name}.csv.gz") for name in ("leak_linear", "ok_sawtooth", "leak_rss_only")
)
KEYS = [
    "leak",
    "declared_at_s",
    "alarms_s",
    "segment",
    "max_risk",
    "growth_bytes_per_second",
    "time_to_exhaustion_s",
    "reason",
]


@pytest.fixture(autouse=True)
def _has_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def in_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert main(["analyze", *arguments, "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return [json.loads(line) for line in said.out.splitlines()]


# --- verdicts ------------------------------------------------------------------------------------


def test_a_leak_is_found_where_it_is_and_after_it_began(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (found,) = in_json(capsys, LEAK)
    assert list(found) == KEYS
    assert found["leak"] is True
    assert found["segment"] == "python_heap"
    assert 120 < found["declared_at_s"] < 120 + 0.4 * 1200
    assert found["declared_at_s"] == found["alarms_s"][-1]
    assert 0.9 <= found["max_risk"] <= 1
    assert found["growth_bytes_per_second"] == pytest.approx(0.05 * 2**20, rel=0.1)
    assert found["time_to_exhaustion_s"] == pytest.approx(412e6 / (0.05 * 2**20), rel=0.1)
    assert "python heap" in found["reason"]


def test_a_sawtooth_is_no_leak(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = in_json(capsys, HEALTHY)
    assert list(found) == KEYS
    assert found["leak"] is False
    assert found["declared_at_s"] is None
    assert found["alarms_s"] == []
    assert found["segment"] is None
    assert found["max_risk"] < 0.5
    assert found["time_to_exhaustion_s"] is None
    assert found["reason"]


def test_a_leak_is_found_in_the_resident_set_alone(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = in_json(capsys, RSS_ONLY)
    assert found["leak"] is True
    assert found["segment"] == "other_anonymous"
    assert found["declared_at_s"] > 3500
    assert found["time_to_exhaustion_s"] is None


@pytest.mark.parametrize("rows", [100, 400, 800])
def test_what_a_longer_recording_says_is_what_was_said_at_the_time(
    rows: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with gzip.open(LEAK, "rt") as file:
        lines = file.readlines()
    (tmp_path / "begin.csv").write_text("".join(lines[: rows + 1]))
    (begin,) = in_json(capsys, str(tmp_path / "begin.csv"))
    (whole,) = in_json(capsys, LEAK)
    end = float(lines[rows].split(",")[0])
    assert begin["alarms_s"] == [alarm for alarm in whole["alarms_s"] if alarm <= end]
    assert begin["max_risk"] <= whole["max_risk"]


def test_a_leak_that_has_ended_is_no_leak_and_its_alarm_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The leak of the recording, then twenty times as long at a level with everything freed."""
    with gzip.open(LEAK, "rt") as file:
        rows = list(csv.reader(file))
    noise = random.Random(1)  # noqa: S311 - no secret
    level = rows[1][1:]
    for second in range(1200, 20_000, 2):
        used = int(level[1]) + noise.randrange(10**6)
        rows.append([str(second), level[0], str(used), *level[2:]])
    path = tmp_path / "ended.csv"
    path.write_text("\n".join(",".join(row) for row in rows))
    (found,) = in_json(capsys, str(path))
    assert found["leak"] is False
    assert found["declared_at_s"] == found["alarms_s"][0]
    assert found["segment"] == "python_heap"
    assert found["growth_bytes_per_second"] is None
    main(["analyze", str(path)])
    assert "no longer" in capsys.readouterr().out


# --- inputs --------------------------------------------------------------------------------------


def test_several_files_are_one_object_each_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    found = in_json(capsys, HEALTHY, LEAK)
    assert [list(each) for each in found] == [["file", *KEYS]] * 2
    assert [(each["file"], each["leak"]) for each in found] == [(HEALTHY, False), (LEAK, True)]


def test_standard_input_is_read_gzip_or_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (from_file,) = in_json(capsys, LEAK)
    content = Path(LEAK).read_bytes()
    for given_bytes in (
        content,
        gzip.decompress(content),
        b"\xef\xbb\xbf" + gzip.decompress(content),
    ):
        buffer = io.BufferedReader(io.BytesIO(given_bytes))  # type: ignore[arg-type] # raw enough
        stdin = io.TextIOWrapper(buffer)
        monkeypatch.setattr(sys, "stdin", stdin)
        assert in_json(capsys, "-") == [from_file]


def test_a_malformed_file_spoils_neither_the_others_nor_its_good_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("time_s,rss\n0,100\n1,x\n2,100\n")
    assert main(["analyze", "--json", LEAK, str(bad), str(tmp_path / "none.csv"), HEALTHY]) == 2
    said = capsys.readouterr()
    found = [json.loads(line) for line in said.out.splitlines()]
    assert [each["file"] for each in found] == [LEAK, str(bad), f"{tmp_path}/none.csv", HEALTHY]
    assert said.err.splitlines() == [
        f"{bad}:3: column rss: found 'x', expected a number of bytes, 0 or more, or nothing",
        f"{tmp_path}/none.csv: found no such file or directory, expected a file to read",
    ]


def test_a_file_that_cannot_be_read_is_an_object_that_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "none.csv")
    assert main(["analyze", "--json", missing]) == 2
    problem = f"{missing}: found no such file or directory, expected a file to read"
    assert json.loads(capsys.readouterr().out) == {
        "leak": False,
        "declared_at_s": None,
        "alarms_s": [],
        "segment": None,
        "max_risk": 0.0,
        "growth_bytes_per_second": None,
        "time_to_exhaustion_s": None,
        "reason": problem,
    }


@pytest.mark.parametrize(
    ("state", "alarms", "shown"),
    [
        ("confirmed", (5.0,), "LEAK"),
        ("suspected", (), "suspected"),
        ("suspected", (5.0,), "suspected"),
        ("recovered", (5.0,), "no longer"),
        ("quiet", (), "no"),
    ],
)
def test_the_table_s_first_word_is_how_the_series_ends(
    state: LeakState, alarms: tuple[float, ...], shown: str
) -> None:
    judgement = dataclasses.replace(
        unreadable(""), leak=state == "confirmed", state=state, alarms_seconds=alarms
    )
    assert row(judgement)[0] == shown


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", b"", "found nothing, expected a recording; the file is empty"),
        ("a.csv", b"time_s,rss\n", "found no sample, expected rows of CSV, or a metric of "),
        ("a.csv", b"time_s,rss\n1,\n", "found no resident set size, expected at least one moment"),
        ("a.csv", bytes(range(256)), "found binary data, expected UTF-8 text"),
        ("a.csv", b"\xff\xfet\0i\0", "found UTF-16 text, expected UTF-8 text"),
        ("a.zst", b"\x28\xb5\x2f\xfdabc", "found zstd data, expected UTF-8 text"),
        ("a.csv.gz", b"time_s,rss\n", "found no gzip data, expected gzip data, as the name ends"),
        ("a.csv.gz", gzip.compress(b"time_s,rss\n" * 99)[:30], "found gzip data that ends too"),
        ("a.csv.gz", b"\x1f\x8b" + b"x" * 99, "found damaged gzip, expected a whole gzip file"),
        ("a.json", b'{"a": 1}', "expected CSV with a header, OTLP JSON lines with resourceMetrics"),
        ("a.csv", b"x" * (2**20 + 2), "a.csv:1: found a line of more than 1048576 bytes"),
        ("a.json", b'{"resourceLogs": []}', "found no sample, expected rows of CSV, or a metric"),
    ],
)
def test_what_is_no_recording_is_named(
    name: str, content: bytes, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert main(["analyze", str(tmp_path / name)]) == 2
    said = capsys.readouterr()
    assert expected in said.err
    assert len(said.err.splitlines()[-1]) < 500
    assert said.out == ""


def test_a_gzip_file_that_ends_too_early_is_judged_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(Path(LEAK).read_bytes()[:-2000])
    assert main(["analyze", "--json", str(path)]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["leak"] is True
    assert "gzip data that ends too early" in said.err


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=400)
    | st.binary(max_size=200).map(gzip.compress)
    | st.binary(max_size=200).map(lambda tail: b"time_s,rss\n1,2\n" + tail)
    | st.binary(max_size=200).map(lambda tail: b'{"resourceMetrics": ' + tail),
    st.sampled_from([None, *FORMATS]),
)
def test_whatever_a_file_holds_nothing_is_raised(
    tmp_path: Path, content: bytes, chosen: Any
) -> None:
    path = tmp_path / "any"
    path.write_bytes(content)
    outcome = analyze(str(path), chosen, lambda *_: None, has_course=False)
    assert outcome.series or outcome.problems.count
    assert all(len(line) < 1000 for line in outcome.problems.lines("any"))


# --- options -------------------------------------------------------------------------------------


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"opentelemetry-memory {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-", "-"], "standard input can be read once only"),
        ([LEAK, "--query", "up"], "--query needs the address of a Prometheus server"),
        (["http://127.0.0.1:1", "--start", "5", "--end", "4"], "--start must be before --end"),
        ([LEAK, "--plot", "no/such/folder/a.png"], "no/such/folder is no directory"),
    ],
)
def test_options_that_cannot_be_are_refused(
    arguments: Sequence[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", *arguments]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--start", "--end", "--step"])
def test_times_that_cannot_be_read_are_refused(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["analyze", "http://127.0.0.1:1", option, "soon"])
    assert ended.value.code == 2
    assert f"argument {option}: 'soon': expected" in capsys.readouterr().err


# --- the table -----------------------------------------------------------------------------------


def test_the_table_has_a_line_for_each_file_and_sums_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["analyze", LEAK, HEALTHY]) == 0
    heading, leak, healthy, summary = capsys.readouterr().out.splitlines()
    assert heading.split()[:3] == ["series", "leak", "state"]
    assert "  LEAK  confirmed  " in leak
    assert "  no " in healthy
    assert summary == "1 of 2 series leaks"
    assert heading.index("reason") == leak.index("python heap has")


def test_one_file_needs_no_summary(capsys: pytest.CaptureFixture[str]) -> None:
    main(["analyze", HEALTHY])
    assert len(capsys.readouterr().out.splitlines()) == 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [80, 200])
def test_a_terminal_shows_the_same(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    assert main(["analyze", LEAK, HEALTHY]) == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    for word in ("LEAK", "confirmed", "keeps", "1 of 2 series leaks"):
        assert word in shown
    assert all(len(line) <= columns for line in shown.splitlines())


@pytest.mark.parametrize("has_rich", [True, False])
def test_progress_is_shown_on_a_terminal_when_it_takes_long(
    has_rich: bool,  # noqa: FBT001 - a parameter of the test
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "has_rich", lambda: has_rich)
    monkeypatch.setattr(progress, "_INTERVAL_SECONDS", 0)
    with progress.ProgressBar() as bar:
        bar.update("a.csv", 1, 0.1)
        assert terminal.getvalue() == ""
        monkeypatch.setattr(bar, "_next", 0)
        bar.update("a.csv", 5000, 0.5)
        bar.update("a.csv", 6000, None)
        assert "5000 samples" in terminal.getvalue()
        assert "6000 samples" in terminal.getvalue()
    # Whatever was drawn is taken away again.
    assert terminal.getvalue().endswith("\x1b[2K" if has_rich else "\r")


def test_no_progress_is_shown_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.ProgressBar() as bar:
        bar.update("a.csv", 5000, 0.5)
    assert capsys.readouterr().err == ""
