"""The command's settings: flags, variables, documentation, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from opentelemetry.instrumentation.memory._commands.watch.identity import IDENTIFYING
from opentelemetry.instrumentation.memory._commands.watch.intake import REASONS
from opentelemetry.instrumentation.memory._commands.watch.outgoing import OwnMetrics
from opentelemetry.instrumentation.memory._commands.watch.settings import (
    SETTINGS,
    Address,
    WatchSettings,
    from_environment,
)
from opentelemetry.instrumentation.memory._commands.watch.tally import Tally
from opentelemetry.instrumentation.memory._commands.watch.vocabulary import BY_METRIC
from opentelemetry.instrumentation.memory.cli import main

ROOT = Path(__file__).resolve().parents[4]
DOCUMENT = (ROOT / "docs" / "watch.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Return the rows of the table whose first column has this heading."""
    table = DOCUMENT.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table]


def test_every_setting_is_documented_as_it_is() -> None:
    assert rows("flag") == [
        [f"`{each.flag}`", f"`{each.variable}`", each.default_text, each.meaning]
        for each in SETTINGS
    ]


def test_every_setting_has_a_field_and_the_other_way_round() -> None:
    assert [each.name for each in SETTINGS] == list(WatchSettings.__dataclass_fields__)


def test_every_reason_to_reject_a_point_is_documented() -> None:
    assert rows("reason") == [[f"`{name}`", meaning] for name, meaning in REASONS.items()]


def test_every_metric_of_its_own_is_documented() -> None:
    tally = Tally()
    request = OwnMetrics({}, 0).request(tally, {"quiet": 1}, {})
    named = {each.name for each in request.resource_metrics[0].scope_metrics[0].metrics}
    documented = {row[0].strip("`") for row in rows("own metric")}
    bounds = {"memory.watch.series.limit", "memory.watch.queue.size", "memory.watch.queue.capacity"}
    assert documented == named | bounds


def test_every_metric_that_is_understood_is_documented() -> None:
    assert [name for name in BY_METRIC if f"`{name}`" not in DOCUMENT] == []


def test_every_identifying_attribute_is_documented() -> None:
    assert [name for name in IDENTIFYING if f"`{name}`" not in DOCUMENT] == []


def figure(text: str) -> str:
    return text.replace("%", " %").replace(".0 KiB", " KiB")


def test_the_figures_are_those_that_were_measured() -> None:
    table = (ROOT / "benchmarks" / "fleet" / "README.md").read_text()
    measured = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|$", table, re.MULTILINE))
    section = DOCUMENT.split("## How far it goes")[1]
    for what in (
        "CPU a sample, from request to verdict, all threads",
        "samples a second that this is on one core",
        "10,000 processes, one sample in 15 s: share of a core",
        "memory a process, after a day of samples, in one Python",
        "resident memory without any process",
        "state on disk a process",
    ):
        assert figure(measured[what]) in section, what
    saving, loading = measured["saving / loading a process after a day"].split(" / ")
    assert f"{saving} ms a process" in section
    assert f"loading {loading}" in section


def test_variables_set_what_flags_set() -> None:
    given = {"MEMORY_WATCH_GRPC": "[::1]:7", "MEMORY_WATCH_JUDGE_ALL": "1"}
    assert from_environment(given) == {"grpc": Address("::1", 7), "judge_all": True}


def test_everything_listens_on_loopback_unless_told() -> None:
    settings = WatchSettings()
    assert settings.grpc is not None
    assert settings.http is not None
    assert settings.grpc.is_loopback
    assert settings.http.is_loopback


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--grpc", "4317"], "expected HOST:PORT"),
        (["--grpc", "127.0.0.1:70000"], "expected HOST:PORT"),
        (["--max-series", "many"], "a number of processes between 1 and"),
        (["--idle-seconds", "nan"], "expected seconds between"),
        (["--judge-all", "maybe"], "expected true or false"),
        (["--grpc", "off", "--http", "off"], "nothing could arrive"),
        (["--tls-key", "key.pem"], "need each other"),
        (["--tls-client-ca", "ca.pem"], "--tls-client-ca needs"),
        (["--token-file", "/nowhere"], "/nowhere"),
        (["--state-directory", "/proc/nowhere"], "/proc/nowhere"),
    ],
)
def test_a_mistake_is_said_and_ends_with_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["watch", *arguments])
    except SystemExit as exit_:  # argparse's own way
        code = int(exit_.code or 0)
    assert code == 2
    assert message in re.sub(r"\s+", " ", capsys.readouterr().err)


def test_a_bad_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEMORY_WATCH_MAX_SERIES", "0")
    assert main(["watch"]) == 2
    assert "MEMORY_WATCH_MAX_SERIES='0': expected" in capsys.readouterr().err


def test_the_help_of_the_command_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["watch", "--help"])
    shown = capsys.readouterr().out
    assert [each.flag for each in SETTINGS if each.flag not in shown] == []
