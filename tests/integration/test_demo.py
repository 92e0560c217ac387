"""The real demo: a real service, real signals, a real terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from opentelemetry.instrumentation.memory import SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMMAND = str(Path(sys.executable).parent / "opentelemetry-memory")
DEADLINE_SECONDS = 90.0
ESCAPE = "\x1b"
# What is shown once the service answers.
STARTED = "phase 1/8"


def wait_until(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if is_so():
            return True
        time.sleep(0.05)
    return is_so()


def descendants(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _control_terminal() -> None:
    # What a shell has put into the background ignores it, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A pseudo-terminal with the demo in it; a controlling one turns keys into signals."""

    def __init__(
        self, *options: str, term: str = "xterm-256color", is_controlling: bool = True
    ) -> None:
        self.descriptor, other = pty.openpty()
        environment = {**os.environ, "TERM": term, "LC_ALL": "C.UTF-8", "COLUMNS": "80"}
        environment.pop("NO_COLOR", None)
        self.process = subprocess.Popen(
            [COMMAND, "demo", *options],
            stdin=other,
            stdout=other,
            stderr=other,
            env={**environment, "LINES": "30"},
            start_new_session=True,
            preexec_fn=_control_terminal if is_controlling else None,  # noqa: PLW1509 - no threads here
        )
        os.close(other)
        self._shown = b""

    @property
    def shown(self) -> str:
        """Return everything that was written so far."""
        while select.select([self.descriptor], [], [], 0.0)[0]:
            try:
                chunk = os.read(self.descriptor, 65536)
            except OSError:  # Linux's way to say that nobody holds the other end
                break
            if not chunk:
                break
            self._shown += chunk
        return self._shown.decode(errors="replace")

    def has_started(self) -> bool:
        return STARTED in self.shown and len(descendants(self.process.pid)) > 1

    def has_ended(self) -> bool:
        return self.shown is not None and self.process.poll() is not None


@contextlib.contextmanager
def demo_in_terminal(
    *options: str, term: str = "xterm-256color", is_controlling: bool = True
) -> Iterator[Terminal]:
    terminal = Terminal(*options, term=term, is_controlling=is_controlling)
    try:
        yield terminal
    finally:
        kill_tree(terminal.process)
        with contextlib.suppress(OSError):
            os.close(terminal.descriptor)


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    for each in descendants(process.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.kill()
    process.wait()


def run_to_the_end(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    process = subprocess.Popen(
        [COMMAND, "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **variables},
    )
    try:
        out, errors = process.communicate(timeout=DEADLINE_SECONDS)
    finally:
        kill_tree(process)
    return subprocess.CompletedProcess([], process.returncode, out.decode(), errors.decode())


def test_plain_lines_hold_every_figure_and_every_segment_moves() -> None:
    # Each of these would break the run if it reached the service.
    ended = run_to_the_end(
        "--seconds=6",
        OTEL_SDK_DISABLED="true",
        OTEL_METRICS_EXPORTER="none",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="*",
        HTTP_PROXY="http://127.0.0.1:9",
        http_proxy="http://127.0.0.1:9",
        PYTHONMALLOC="malloc",
        GUNICORN_CMD_ARGS="--workers 3",
        WEB_CONCURRENCY="3",
    )
    assert ended.returncode == 0, ended.stderr
    assert ESCAPE not in ended.stdout
    lines = [line for line in ended.stdout.splitlines() if " rss " in line]
    assert len(lines) > 5
    peaks = dict.fromkeys(SEGMENTS, 0.0)
    first: dict[str, float] = {}
    for line in lines:
        values = {name: float(found) for name, found in re.findall(r"(\w+) ([\d.]+)", line)}
        # Each of the six is rounded to a tenth.
        assert abs(sum(values[segment] for segment in SEGMENTS) - rss(line)) < 0.4
        for word in ("heap used", "external", "virtual", "limit 512.0", "monitor", "risk"):
            assert word in line
        first = first or values
        peaks = {segment: max(peaks[segment], values[segment]) for segment in SEGMENTS}
    for segment in SEGMENTS:
        assert peaks[segment] - first[segment] > 25, segment
    assert len(re.findall(r"^phase \d/8", ended.stdout, re.MULTILINE)) == 8
    assert f"to the byte, in all {len(lines)} exports." in ended.stdout
    assert "The monitor used" in ended.stdout
    # Six seconds hold too few samples for a verdict, and nothing is claimed.
    assert "The run was too short" in ended.stdout
    assert "event: " not in ended.stdout


def test_the_leak_is_confirmed_and_nothing_before_it_is() -> None:
    ended = run_to_the_end("--seconds=60")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    leak = next(number for number, line in enumerate(lines) if "taking orders" in line)
    before, after = lines[:leak], lines[leak:]
    assert not [line for line in before if "confirmed" in line]
    assert any("quiet: " in line for line in before)
    (event,) = [line for line in after if "event: confirmed" in line]
    assert "python_heap grows by" in event
    assert "limit in" in event
    assert "python heap has grown by" in event
    (last,) = [line for line in after if " rss " in line][-1:]
    assert re.search(r"risk (0\.9\d|1\.00) confirmed; python_heap [\d.]+ MiB/s", last), last
    assert "Verdict: leak confirmed" in ended.stdout
    assert "At the end: python_heap" in ended.stdout


def rss(line: str) -> float:
    match = re.search(r" rss ([\d.]+) = ", line)
    assert match is not None
    return float(match[1])


def test_a_terminal_gets_a_live_screen_and_then_the_summary() -> None:
    with demo_in_terminal("--seconds=6") as terminal:
        assert wait_until(terminal.has_started)
        assert wait_until(terminal.has_ended)
        shown = terminal.shown
        assert terminal.process.returncode == 0, shown
    for word in (
        *SEGMENTS,
        "over the run",
        "monitor",
        "taking orders",
        "risk",
        "reason",
        "to the byte",
    ):
        assert word in shown
    # Colors, and the cursor shown again after it was hidden.
    assert f"{ESCAPE}[38;" in shown
    assert shown.rindex(f"{ESCAPE}[?25h") > shown.rindex(f"{ESCAPE}[?25l")


def test_no_color_is_a_live_screen_without_colors() -> None:
    with demo_in_terminal("--seconds=60", "--no-color") as terminal:
        assert wait_until(lambda: "python_heap" in terminal.shown)
        assert f"{ESCAPE}[38;" not in terminal.shown
        assert f"{ESCAPE}[?25l" in terminal.shown


def test_a_dumb_terminal_gets_plain_lines() -> None:
    with demo_in_terminal("--seconds=60", term="dumb") as terminal:
        assert wait_until(lambda: " rss " in terminal.shown)
        assert ESCAPE not in terminal.shown


def test_ctrl_c_in_a_terminal_leaves_no_process() -> None:
    with demo_in_terminal("--seconds=600") as terminal:
        assert wait_until(terminal.has_started)
        started = descendants(terminal.process.pid)
        os.write(terminal.descriptor, b"\x03")
        assert wait_until(terminal.has_ended)
        assert terminal.process.returncode == 128 + signal.SIGINT
        assert "Interrupted; the sample service has ended." in terminal.shown
        assert wait_until(lambda: all(map(is_gone, started)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_leaves_no_process(number: signal.Signals) -> None:
    with demo_in_terminal("--seconds=600") as terminal:
        assert wait_until(terminal.has_started)
        started = descendants(terminal.process.pid)
        terminal.process.send_signal(number)
        assert wait_until(terminal.has_ended)
        assert terminal.process.returncode == 128 + number
        assert wait_until(lambda: all(map(is_gone, started)))


@pytest.mark.parametrize("is_controlling", [True, False])
def test_a_closed_terminal_leaves_no_process(*, is_controlling: bool) -> None:
    with demo_in_terminal("--seconds=600", is_controlling=is_controlling) as terminal:
        assert wait_until(terminal.has_started)
        started = descendants(terminal.process.pid)
        os.close(terminal.descriptor)
        assert wait_until(lambda: terminal.process.poll() is not None)
        assert wait_until(lambda: all(map(is_gone, started)))


def test_a_killed_demo_leaves_no_process() -> None:
    with demo_in_terminal("--seconds=600") as terminal:
        assert wait_until(terminal.has_started)
        started = descendants(terminal.process.pid)
        terminal.process.kill()
        gone = wait_until(lambda: all(map(is_gone, started)))
        for each in started:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        assert gone


def test_a_reader_that_goes_away_ends_the_demo() -> None:
    process = subprocess.Popen([COMMAND, "demo", "--seconds=600"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert wait_until(lambda: len(descendants(process.pid)) > 1)
        started = descendants(process.pid)
        process.stdout.close()
        assert wait_until(lambda: process.poll() is not None)
        assert process.returncode == 1
        assert wait_until(lambda: all(map(is_gone, started)))
    finally:
        kill_tree(process)


def test_a_service_that_is_killed_is_reported_in_one_message() -> None:
    process = subprocess.Popen(
        [COMMAND, "demo", "--seconds=600"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        assert wait_until(lambda: len(descendants(process.pid)) > 1)
        for each in descendants(process.pid):
            each.kill()
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    finally:
        kill_tree(process)
    assert process.returncode == 1
    told = errors.decode()
    assert told.startswith("opentelemetry-memory demo: the service ended with exit code -9")
    assert "Traceback" not in told
