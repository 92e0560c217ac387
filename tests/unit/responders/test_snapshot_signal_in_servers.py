"""Real servers do with SIGUSR2 what docs/snapshot.md says."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.tools import Server, eventually, running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="starts POSIX servers")
BIN = Path(sys.executable).parent

# As instrumented by opentelemetry-instrument: installed in the first process before the server has
# begun, and looked after by a thread in each process.
PROGRAM = """
import os, threading, time
from pathlib import Path
from opentelemetry.instrumentation.memory.responders.snapshot_signal import SnapshotSignal

def request(reason):
    Path(f"asked-{os.getpid()}").touch()

ours = SnapshotSignal(request)
ours.install()

def look_after():
    while True:
        ours.keep_in_place()
        if ours.is_in_place():
            Path(f"ready-{os.getpid()}").touch()
        time.sleep(0.05)

def begin():
    threading.Thread(target=look_after, daemon=True).start()

begin()
os.register_at_fork(after_in_child=begin)
"""
APPLICATIONS = """
import os
from pathlib import Path
from celery import Celery
from celery.signals import worker_process_init

def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b""]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                Path(f"worker-{os.getpid()}").touch()
            await send({"type": message["type"] + ".complete"})

tasks = Celery("tasks", broker="memory://", backend="cache+memory://")

@worker_process_init.connect
def _start(**_):
    Path(f"worker-{os.getpid()}").touch()
"""
GUNICORN_SETTINGS = """
import os
from pathlib import Path
bind = "127.0.0.1:0"
timeout = 2
control_socket_disable = True
def post_worker_init(worker):
    Path(f"worker-{os.getpid()}").touch()
"""
SERVERS = {
    "gunicorn": ["gunicorn", "-c", "settings.py", "apps:wsgi"],
    "gunicorn preload": ["gunicorn", "-c", "settings.py", "--preload", "apps:wsgi"],
    "gunicorn threads": ["gunicorn", "-c", "settings.py", "--threads", "2", "apps:wsgi"],
    "uvicorn": ["uvicorn", "apps:asgi", "--port", "0"],
    "uvicorn workers": ["uvicorn", "apps:asgi", "--port", "0", "--workers", "2"],
}  # fmt: skip
CELERY = ["celery", "--app", "apps:tasks", "worker", "--pool", "prefork", "-c", "1"]


@contextmanager
def served(command: list[str], folder: Path) -> Iterator[Server]:
    """Run a server that is instrumented before it begins."""
    (folder / "sitecustomize.py").write_text(PROGRAM)
    (folder / "apps.py").write_text(APPLICATIONS)
    (folder / "settings.py").write_text(GUNICORN_SETTINGS)
    program, *arguments = command
    started = [sys.executable, BIN / program, *arguments]
    with running(program, started, folder, {"PYTHONPATH": str(folder)}) as server:
        yield server


@pytest.mark.parametrize("name", SERVERS)
def test_signal_to_a_worker_asks_and_does_not_end_it(name: str, tmp_path: Path) -> None:
    with served(SERVERS[name], tmp_path) as server:

        def worker() -> int:
            found = list(tmp_path.glob("worker-*"))
            assert found, "no worker yet"
            pid = int(found[0].name.partition("-")[2])
            status = Path(f"/proc/{pid}/status").read_text()
            caught = int(status.partition("SigCgt:")[2].split()[0], 16)
            assert caught >> (signal.SIGUSR2 - 1) & 1, "would end it"
            assert (tmp_path / f"ready-{pid}").exists()
            return pid

        pid = eventually(worker, server)
        os.kill(pid, signal.SIGUSR2)

        def asked() -> None:
            assert (tmp_path / f"asked-{pid}").exists()

        eventually(asked, server)
        assert Path(f"/proc/{pid}").exists()


def test_main_process_of_celery_answers(tmp_path: Path) -> None:
    with served(CELERY, tmp_path) as server:

        def begun() -> None:
            assert list(tmp_path.glob("worker-*")), "no worker yet"

        eventually(begun, server)
        os.kill(server.process.pid, signal.SIGUSR2)

        def asked() -> None:
            assert (tmp_path / f"asked-{server.process.pid}").exists()

        eventually(asked, server)
        assert server.process.poll() is None
