"""How far the analysis is: on standard error, when that is a terminal and it takes long."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._commands.analyze.problems import printable
from opentelemetry.instrumentation.memory._commands.analyze.table import has_rich

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_SHOWN_AFTER_SECONDS: Final = 1.0
_INTERVAL_SECONDS: Final = 0.1
_CELLS: Final = 30


class ProgressBar:
    """A bar that appears when it is worth it, and leaves nothing behind."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._next = time.monotonic() + _SHOWN_AFTER_SECONDS
        self._rich: Any = None
        self._task: Any = None
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.clear()

    def update(self, name: str, samples: int, share: float | None) -> None:
        """Say how far one input is; cheap enough to be called often."""
        if not self._is_shown or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _INTERVAL_SECONDS
        name = printable(name)
        if has_rich():
            self._draw_rich(f"{name}  {samples} samples", share)
        else:
            line = plain_bar(name, samples, share)
            self._width = max(self._width, len(line))
            sys.stderr.write("\r" + line.ljust(self._width))
            sys.stderr.flush()

    def clear(self) -> None:
        """Take the bar away, so that something else can be written."""
        if self._rich is not None:
            self._rich.stop()
            self._rich = None
        elif self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0

    def _draw_rich(self, text: str, share: float | None) -> None:
        # Only a terminal needs it, and it need not be installed.
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        if self._rich is None:
            columns = (TextColumn("{task.description}", markup=False), BarColumn(_CELLS))
            console = Console(stderr=True)
            self._rich = Progress(
                *columns, TimeRemainingColumn(), console=console, transient=True, auto_refresh=False
            )
            self._task = self._rich.add_task(text, total=1.0)
            self._rich.start()
        total = None if share is None else 1.0
        self._rich.update(self._task, description=text, total=total, completed=share or 0.0)
        self._rich.refresh()


def plain_bar(name: str, samples: int, share: float | None) -> str:
    """Return the bar as a line of text."""
    if share is None:
        return f"{name}  {samples} samples"
    filled = round(share * _CELLS)
    return f"{name}  {samples} samples  [{'#' * filled}{'.' * (_CELLS - filled)}] {share:4.0%}"
