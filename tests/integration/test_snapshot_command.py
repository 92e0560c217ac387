"""The real command over real files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.snapshots import EVIDENCE, MIB, NOW, SHOP, history, sample, snapshot

from opentelemetry.instrumentation.memory.responders.snapshot import SnapshotWriter
from opentelemetry.instrumentation.memory.responders.snapshot_document import Moment, to_json

COMMAND = str(Path(sys.executable).parent / "opentelemetry-memory")


def run(*arguments: str | Path, given: str = "", **variables: str) -> Any:
    return subprocess.run(
        [COMMAND, "snapshot", *arguments],
        input=given,
        env={**os.environ, **variables},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def an_hour_earlier(**instead: Any) -> dict[str, Any]:
    moment = Moment(NOW.epoch_seconds - 3600, NOW.monotonic_seconds - 3600)
    return snapshot(now=moment, sample=sample(grown_bytes=2 * MIB), **instead)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = SnapshotWriter(str(tmp_path)).write(snapshot())
    assert path is not None
    return path


def saved(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(to_json(document), "utf-8")
    return path


# --- show ------------------------------------------------------------------------------------


def test_answer_and_what_it_rests_on_are_shown(written: Path) -> None:
    ended = run("show", written)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\x1b" not in ended.stdout
    for part in (
        "shop 1.4.2, process 4711, 2025-11-24 18:55:05Z",
        "confirmed, risk 0.97; python_heap grows by 90.0 MiB/h",
        "shop.cache._sessions (container), confidence 0.93",
        "12 400 → 31 900 entries, mostly shop.models.Session",
        "shop/cache.py:18: +9 700 blocks",
        "/orders/{id}: 139 B to 164 B",
        "skipped: no requests were counted",
    ):
        assert part in ended.stdout


def test_json_is_the_document(written: Path) -> None:
    assert json.loads(run("show", "--json", written).stdout) == snapshot()


def test_standard_input_is_read() -> None:
    ended = run("show", "-", given=to_json(snapshot()))
    assert "shop 1.4.2" in ended.stdout


def test_terminal_without_unicode_still_gets_the_numbers(written: Path) -> None:
    ended = run("show", written, PYTHONIOENCODING="ascii")
    assert ended.returncode == 0
    assert "129.8 MiB" in ended.stdout


def test_without_evidence_the_reason_is_shown(tmp_path: Path) -> None:
    document = snapshot("near_limit", evidence=None, why_no_evidence="there was no time for it")
    shown = run("show", saved(tmp_path / "a.json", document)).stdout
    assert "written because the memory limit was near" in shown
    assert "there was no time for it" in shown


def test_reader_that_has_seen_enough_is_no_error(written: Path) -> None:
    ended = subprocess.run(
        ["bash", "-c", f"{COMMAND} snapshot show {written} | head -1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


# --- diff ------------------------------------------------------------------------------------


def test_what_grew_between_two_is_shown(tmp_path: Path, written: Path) -> None:
    smaller = replace(EVIDENCE.containers[0], entries_before=1000, entries_after=4000)
    earlier = an_hour_earlier(evidence=replace(EVIDENCE, containers=(smaller,), sites=()))
    ended = run("diff", saved(tmp_path / "a.json", earlier), written)
    assert (ended.returncode, ended.stderr) == (0, "")
    for part in (
        "60 min between them",
        "python_heap       82.0 MiB  →  129.8 MiB  +47.8 MiB  47.8 MiB/h",
        "+27 900  shop.cache._sessions (dict): 4 000 → 31 900",
        "shop/cache.py:18: not listed → 96.1 MiB/h",
    ):
        assert part in ended.stdout


def test_what_did_not_change_is_left_out(tmp_path: Path, written: Path) -> None:
    shown = run("diff", saved(tmp_path / "a.json", an_hour_earlier()), written).stdout
    assert "shop.models.Session: " not in shown
    assert "Mappings" not in shown


@pytest.mark.parametrize(
    ("first", "note"),
    [
        (an_hour_earlier(identity=replace(SHOP, pid=1)), "different processes"),
        (an_hour_earlier(identity=replace(SHOP, service_version="2")), "different versions"),
        (an_hour_earlier(identity=replace(SHOP, service_name="x")), "different services"),
        (snapshot(now=Moment(NOW.epoch_seconds + 60, 0.0)), "written after the second"),
    ],
    ids=["process", "version", "service", "order"],
)
def test_comparison_that_means_less_than_it_seems_says_so(
    tmp_path: Path, written: Path, first: dict[str, Any], note: str
) -> None:
    assert note in run("diff", saved(tmp_path / "a.json", first), written).stdout


def test_two_without_evidence_are_compared_by_their_segments(tmp_path: Path) -> None:
    first = saved(tmp_path / "a.json", an_hour_earlier(evidence=None))
    second = saved(tmp_path / "b.json", snapshot(evidence=None, history=history(2)))
    ended = run("diff", first, second)
    assert ended.returncode == 0
    assert "+47.8 MiB" in ended.stdout


# --- refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["show", "diff"])
def test_damaged_field_is_named_and_the_exit_code_is_2(tmp_path: Path, action: str) -> None:
    document = snapshot()
    document["verdict"]["risk"] = "high"
    path = saved(tmp_path / "a.json", document)
    ended = run(action, *[path] * (1 if action == "show" else 2))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"opentelemetry-memory snapshot {action}: {path}: verdict.risk: found 'high', "
        "expected a number or null\n"
    )


def test_missing_file_is_told_and_the_exit_code_is_2(tmp_path: Path) -> None:
    ended = run("show", tmp_path / "none.json")
    assert ended.returncode == 2
    assert "no such file" in ended.stderr.lower()


def test_standard_input_cannot_be_both() -> None:
    ended = run("diff", "-", "-")
    assert ended.returncode == 2
    assert "once only" in ended.stderr
