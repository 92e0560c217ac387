"""One program's exam: started as a service is, left alone until its snapshot is there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any, Final

from judging import Judgement, judge, marked_lines
from overhead import Line, Overhead, lines, measure
from receiver import Event, Receiver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from truths import Truth

HERE: Final = Path(__file__).parent
PROGRAMS: Final = HERE / "programs"
STAGE: Final = HERE / "stage"
# Routes are watched for some minutes.
LONGEST_SECONDS: Final = 500.0
_OUTPUT: Final = "output.log"
_BIN: Final = Path(sys.executable).parent
# Evidence counts in samples: ten a second make a verdict of half a minute out of one of an hour.
# The investigation's own settings are the defaults.
_FLAGS: Final = (
    *("--memory_min_interval_seconds", "0.1"),
    *("--memory_max_interval_seconds", "0.1"),
    *("--memory_budget_percent", "5"),
)


@dataclass(frozen=True)
class Sitting:
    """What came of one run.

    Attributes:
        judgement: Of the snapshot's conclusion.
        evidence: The snapshot's, or None.
        suspected_seconds: From the moment the leak went live.
        confirmed_seconds: The same.
        evidence_seconds: The same.
        overhead: As felt by the witness.
        problem: Why there is no snapshot.
    """

    truth: Truth
    judgement: Judgement
    evidence: dict[str, Any] | None
    suspected_seconds: float | None
    confirmed_seconds: float | None
    evidence_seconds: float | None
    overhead: Overhead | None
    problem: str | None = None


def sit(truth: Truth, keep: Path | None = None, objects: int = 0, **settings: str) -> Sitting:
    """Run a program until it has written a snapshot, and judge that.

    Args:
        truth: Which program.
        keep: Where the snapshot and the output go as well, to be looked at.
        objects: So many small ones are in its heap besides.
        settings: More variables of the environment.
    """
    with tempfile.TemporaryDirectory(prefix=f"{truth.program}-") as name, Receiver() as receiver:
        folder = Path(name)
        problem = build_extensions(PROGRAMS / truth.program, folder)
        output = folder / _OUTPUT
        if problem is None:
            problem = _run(truth, folder, receiver, objects, settings)
        document = newest_snapshot(folder / "snapshots", truth.snapshot_reason)
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            for source, suffix in ((output, "log"), (folder / "witness.jsonl", "jsonl")):
                if source.exists():
                    (keep / f"{truth.program}.{suffix}").write_bytes(source.read_bytes())
            text = json.dumps(document, indent=1)
            (keep / f"{truth.program}.json").write_text(text, encoding="utf-8")
        return _sitting(
            truth, document, receiver.events(), lines(folder / "witness.jsonl"), problem
        )


def build_extensions(program: Path, folder: Path) -> str | None:
    """Compile a program's C sources into `folder`; return why that failed, or None."""
    for source in sorted(program.rglob("*.c")):
        compiler = which("cc") or which("gcc")
        if compiler is None:
            return "there is no C compiler"
        target = folder / f"_{source.stem}{sysconfig.get_config_var('EXT_SUFFIX')}"
        include = sysconfig.get_paths()["include"]
        command = [compiler, "-shared", "-fPIC", "-O1", "-g", f"-I{include}", source, "-o", target]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            return f"cc failed: {done.stderr[:300]}"
    return None


def environment(truth: Truth, folder: Path, endpoint: str) -> dict[str, str]:
    """Return what a program is run with."""
    foreign = ("OTEL_", "PYTHON")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    import_from = (PROGRAMS / truth.program, STAGE, folder)
    return {
        **clean,
        "PYTHONPATH": os.pathsep.join(map(str, import_from)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OTEL_SERVICE_NAME": truth.package,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
        "OTEL_BLRP_SCHEDULE_DELAY": "100",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "system_metrics,aiohttp-server,celery,django",
        "OTEL_PYTHON_MEMORY_SNAPSHOT_DIRECTORY": str(folder / "snapshots"),
    }


def newest_snapshot(folder: Path, reason: str) -> dict[str, Any] | None:
    """Return the newest snapshot of this reason that has evidence."""
    for path in sorted(folder.glob(f"memory-snapshot-*-{reason}.json"), reverse=True):
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if document["evidence"] is not None:
            return document
    return None


def _run(
    truth: Truth, folder: Path, receiver: Receiver, objects: int, settings: Mapping[str, str]
) -> str | None:
    command = [_BIN / "opentelemetry-instrument", *_FLAGS, _BIN / "python", STAGE / "host.py"]
    command += [truth.package, folder / "witness.jsonl", objects]
    with (folder / _OUTPUT).open("wb") as file:
        program = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env={**environment(truth, folder, receiver.endpoint), **settings},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return _await_snapshot(truth, program, folder, receiver)
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(5)


def _await_snapshot(
    truth: Truth, program: subprocess.Popen[bytes], folder: Path, receiver: Receiver
) -> str | None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        if program.poll() is not None:
            return f"it ended with {program.returncode}"
        if newest_snapshot(folder / "snapshots", truth.snapshot_reason) is not None:
            # The event of the same moment is under way.
            time.sleep(1)
            return None
        time.sleep(0.2)
    states = [event.state for event in receiver.events()]
    return f"no snapshot within {LONGEST_SECONDS:.0f} s; states told: {states or 'none'}"


def _sitting(
    truth: Truth,
    document: dict[str, Any] | None,
    events: list[Event],
    witnessed: list[Line],
    problem: str | None,
) -> Sitting:
    evidence = None if document is None else document["evidence"]
    live_at = witnessed[0].live_at if witnessed else 0.0

    def after(state: str) -> float | None:
        found = [event.at - live_at for event in events if event.state == state]
        return found[0] if found else None

    ended_at = overhead = None
    if document is not None and evidence is not None:
        ended_at = _ended_at(document, events)
        overhead = measure(witnessed, ended_at - evidence["seconds"], ended_at)
    return Sitting(
        truth=truth,
        judgement=judge(evidence, truth, marked_lines(PROGRAMS / truth.program)),
        evidence=evidence,
        suspected_seconds=after("suspected"),
        confirmed_seconds=after("confirmed"),
        evidence_seconds=None if ended_at is None else ended_at - live_at,
        overhead=overhead,
        problem=problem,
    )


def _ended_at(document: dict[str, Any], events: list[Event]) -> float:
    """Return when an investigation had its answer: what a suspicion finds may be written later."""
    sentence = document["evidence"]["conclusion"]["sentence"]
    told = [event.at for event in events if event.conclusion == sentence]
    written_at = datetime.fromisoformat(document["written_at"].replace("Z", "+00:00"))
    return min([*told, written_at.timestamp()])
