"""Threads in processes where greenlets have taken their place before or since."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from opentelemetry.instrumentation.memory._sampling.background import background

# A real thread, begun before greenlets came, starts another and waits in its own way.
PROGRAM = """
import sys, threading
from opentelemetry.instrumentation.memory._sampling.background import allocate_lock, background

bell, ran, told = allocate_lock(), allocate_lock(), []
for lock in (bell, ran):
    lock.acquire()

def second():
    told.append(inner[0].is_alive())
    inner[0].join(60)
    ran.release()

def first():
    bell.acquire()
    inner.append(background(second, "second"))
    inner[0].start()
    assert ran.acquire(timeout=60)
    inner[0].join(60)
    told.append(inner[0].is_alive())

inner = []
outer = background(first, "first")
outer.start()
from gevent import monkey
monkey.patch_all()
bell.release()
outer.join(60)
assert told == [True, False], told
"""


def test_thread_of_a_patched_process_gets_its_turn() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_thread_has_its_name_and_keeps_nobody_from_ending() -> None:
    found: list[threading.Thread] = []
    thread = background(lambda: found.append(threading.current_thread()), "some-name")
    thread.start()
    thread.join(60)
    assert (found[0].name, found[0].daemon) == ("some-name", True)
    assert not thread.is_alive()


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_thread_does_not_wait_for_itself(seconds: float) -> None:
    done = threading.Event()

    def wait() -> None:
        thread.join(seconds)
        done.set()

    thread = background(wait, "self")
    thread.start()
    assert done.wait(60)
