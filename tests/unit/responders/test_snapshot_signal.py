"""The signal is a guest: it asks, hands on, and leaves."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from opentelemetry.instrumentation.memory.responders.snapshot_signal import SnapshotSignal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="needs SIGUSR2")
SIGUSR2 = getattr(signal, "SIGUSR2", 0)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = signal.signal(SIGUSR2, signal.SIG_DFL)
    yield
    signal.signal(SIGUSR2, before)


def sent() -> None:
    os.kill(os.getpid(), SIGUSR2)


class Application:
    """Something with a handler of its own."""

    def __init__(self) -> None:
        self.handled: list[int] = []

    def handler(self, number: int, frame: FrameType | None) -> None:
        assert frame is not None
        self.handled.append(number)


def test_signal_asks_for_a_snapshot() -> None:
    asked: list[str] = []
    assert SnapshotSignal(asked.append).install()
    sent()
    assert asked == ["signal"]


def test_handler_of_the_application_is_still_called() -> None:
    application, asked = Application(), list[str]()
    signal.signal(SIGUSR2, application.handler)
    SnapshotSignal(asked.append).install()
    sent()
    assert (application.handled, asked) == ([SIGUSR2], ["signal"])


def test_signal_that_was_ignored_asks() -> None:
    asked: list[str] = []
    signal.signal(SIGUSR2, signal.SIG_IGN)
    SnapshotSignal(asked.append).install()
    sent()
    assert asked == ["signal"]


def test_request_that_fails_is_not_felt_by_the_application() -> None:
    def request(_: str) -> None:
        raise RuntimeError

    application = Application()
    signal.signal(SIGUSR2, application.handler)
    SnapshotSignal(request).install()
    sent()
    assert application.handled == [SIGUSR2]


@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN, Application().handler])
def test_uninstalling_restores_what_was_there(before: signal.Handlers) -> None:
    signal.signal(SIGUSR2, before)
    ours = SnapshotSignal(print)
    ours.install()
    ours.uninstall()
    assert signal.getsignal(SIGUSR2) == before


def test_handler_that_came_later_is_left_in_place() -> None:
    application, ours = Application(), SnapshotSignal(print)
    ours.install()
    signal.signal(SIGUSR2, application.handler)
    ours.uninstall()
    assert signal.getsignal(SIGUSR2) == application.handler


def test_uninstalling_without_having_installed_changes_nothing() -> None:
    signal.signal(SIGUSR2, signal.SIG_IGN)
    SnapshotSignal(print).uninstall()
    assert signal.getsignal(SIGUSR2) == signal.SIG_IGN


def test_handler_that_calls_ours_asks_nothing_after_uninstalling() -> None:
    asked: list[str] = []
    ours = SnapshotSignal(asked.append)
    ours.install()
    inner = signal.getsignal(SIGUSR2)
    assert callable(inner)
    signal.signal(SIGUSR2, partial(inner))
    ours.uninstall()
    sent()
    assert asked == []


def test_installing_twice_asks_once() -> None:
    asked: list[str] = []
    ours = SnapshotSignal(asked.append)
    assert ours.install()
    assert ours.install()
    sent()
    assert asked == ["signal"]


def test_handler_that_took_our_place_is_not_wrapped_by_ours() -> None:
    asked: list[str] = []
    ours = SnapshotSignal(asked.append)
    ours.install()
    inner = signal.getsignal(SIGUSR2)
    assert callable(inner)
    signal.signal(SIGUSR2, partial(inner))
    assert not ours.install()
    sent()
    assert asked == ["signal"]


def keep_in_place_from_another_thread(ours: SnapshotSignal) -> None:
    thread = threading.Thread(target=ours.keep_in_place)
    thread.start()
    thread.join()


def test_signal_that_a_server_has_reset_is_taken_again_from_any_thread() -> None:
    asked: list[str] = []
    ours = SnapshotSignal(asked.append)
    ours.install()
    for _ in range(3):
        signal.signal(SIGUSR2, signal.SIG_DFL)
        keep_in_place_from_another_thread(ours)
        assert ours.is_in_place()
    sent()
    assert asked == ["signal"]


def test_signal_is_not_taken_again_from_another_handler() -> None:
    application, ours = Application(), SnapshotSignal(print)
    ours.install()
    signal.signal(SIGUSR2, application.handler)
    keep_in_place_from_another_thread(ours)
    assert signal.getsignal(SIGUSR2) == application.handler


def test_signal_is_not_taken_again_after_uninstalling() -> None:
    ours = SnapshotSignal(print)
    ours.install()
    ours.uninstall()
    keep_in_place_from_another_thread(ours)
    assert signal.getsignal(SIGUSR2) == signal.SIG_DFL


def test_signal_that_never_was_ours_is_not_taken() -> None:
    keep_in_place_from_another_thread(SnapshotSignal(print))
    assert signal.getsignal(SIGUSR2) == signal.SIG_DFL


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel who handles the signal")
def test_handler_that_is_not_python_s_is_left_alone(warnings: pytest.LogCaptureFixture) -> None:
    faulthandler.register(SIGUSR2)
    try:
        ours = SnapshotSignal(print)
        assert not ours.install()
    finally:
        faulthandler.unregister(SIGUSR2)
    assert "a handler that Python does not know" in warnings.text


def test_other_threads_cannot_install_it(warnings: pytest.LogCaptureFixture) -> None:
    installed: list[bool] = []
    thread = threading.Thread(target=lambda: installed.append(SnapshotSignal(print).install()))
    thread.start()
    thread.join()
    assert installed == [False]
    assert signal.getsignal(SIGUSR2) == signal.SIG_DFL
    assert "main thread only" in warnings.text


def test_uninstalled_in_another_thread_it_only_hands_on() -> None:
    asked: list[str] = []
    application = Application()
    signal.signal(SIGUSR2, application.handler)
    ours = SnapshotSignal(asked.append)
    ours.install()
    thread = threading.Thread(target=ours.uninstall)
    thread.start()
    thread.join()
    sent()
    assert (asked, application.handled) == ([], [SIGUSR2])
