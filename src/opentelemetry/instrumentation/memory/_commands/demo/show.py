"""Runs the demo on this terminal, or into this pipe, and ends it cleanly however it is ended."""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

from rich.console import Console

from opentelemetry.instrumentation.memory._commands.demo.launch import DemoError
from opentelemetry.instrumentation.memory._commands.demo.plain import PlainDisplay
from opentelemetry.instrumentation.memory._commands.demo.play import play
from opentelemetry.instrumentation.memory._commands.demo.screen import ScreenDisplay
from opentelemetry.instrumentation.memory._commands.demo.summary import summary

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from opentelemetry.instrumentation.memory._commands.demo.play import Scene

_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_EXIT_FAILED: Final = 1
_EXIT_SIGNAL: Final = 128


class Display(Protocol):
    """Something to show the run on."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def show(self, scene: Scene) -> None:
        """Show one moment of the run."""
        ...


class Interruption:
    """Takes note of the signals that end a program, so that the run ends in good order.

    Nothing is raised: an exception at a random place could lose a process just started.
    """

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            # What is ignored from outside (nohup) stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def has_come(self) -> bool:
        """Tell whether a signal asked the run to end."""
        return self.number != 0

    def _note(self, number: int, _: object) -> None:
        self.number = number


def show(seconds: float, *, has_color: bool) -> int:
    """Run the demo and return the exit code."""
    with Interruption() as interruption:
        try:
            code = _show(seconds, interruption, has_color=has_color)
        except DemoError as error:
            sys.stderr.write(f"opentelemetry-memory demo: {error}\n")
            code = _EXIT_FAILED
        except OSError as error:
            if error.errno not in {errno.EPIPE, errno.EIO}:
                raise
            # Whoever was watching has gone, and with them the place to say so.
            _silence_output()
            code = _EXIT_FAILED
    return _EXIT_SIGNAL + interruption.number if interruption.has_come() else code


def _show(seconds: float, interruption: Interruption, *, has_color: bool) -> int:
    with _display(has_color=has_color) as display:
        last = play(seconds, os.environ, display.show, interruption.has_come)
        display.show(last)
    recording = last.recording
    if recording.exports:
        sys.stdout.write(f"\n{summary(last)}\n")
    if interruption.has_come():
        sys.stdout.write("Interrupted; the sample service has ended.\n")
    sys.stdout.flush()
    return 0 if recording.exact_exports == len(recording.exports) else _EXIT_FAILED


def _display(*, has_color: bool) -> Display:
    console = Console(no_color=None if has_color else True)
    # Asked by itself, since FORCE_COLOR makes rich see a terminal everywhere.
    is_terminal = sys.stdout.isatty() and console.is_terminal and not console.is_dumb_terminal
    if is_terminal and console.encoding.startswith("utf"):
        return ScreenDisplay(console)
    return PlainDisplay(sys.stdout)


def _silence_output() -> None:
    # Else the interpreter's last flush fails aloud.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
