"""memray, for seconds: also sees what C code allocates, and always has the whole stack.

Its record goes to a file that another Python reads, so that nothing is worked out in this process.
memray writes the command line and absolute paths into it, so the file has no name: nobody else can
open it, and the system drops it with the process, also with one that is killed.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._attribution.collections import until_room_for
from opentelemetry.instrumentation.memory._attribution.sites_growth import Kept, Stack
from opentelemetry.instrumentation.memory._attribution.sites_watch import WatchImpossible

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager
    from io import FileIO

    from opentelemetry.instrumentation.memory._sampling.clock import Clock
    from opentelemetry.instrumentation.memory.model import Segment

# memray and the heaviest of what it imports, one step each: together 40 to 55 ms of CPU time, and
# 10 000 objects that the garbage collector counts, up to 2 100 a step.
_IMPORTS: Final = (
    *("rich.color", "rich.style", "rich.text", "rich.console", "rich.table", "rich.progress"),
    "memray",
)
_OBJECTS_OF_IMPORT: Final = 3000
# The budget makes the inquiry rest for about as long later, and takes this rest for a part of it.
_LONGEST_WAIT_SECONDS: Final = 30.0
_READER: Final = Path(__file__).with_name("sites_memray_reader.py")
_LARGEST_RECORD_BYTES: Final = 8 * 2**20
# CPU time of the reader, measured: to start, and for each byte of a record.
_READER_SECONDS: Final = 0.2
_READER_SECONDS_A_BYTE: Final = 0.12 / 2**20
_INTERVAL_MS: Final = 100
_POLL_SECONDS: Final = 0.25
_LONGEST_READ_SECONDS: Final = 60.0
# memray's own buffers and tables; the record is counted by its size.
_TRACKER_BYTES: Final = 4 * 2**20
# Where a file without a name can be opened once more, by memray and by the reader.
_DESCRIPTORS: Final = Path("/proc/self/fd")

_active: Final[dict[str, Any]] = {}
"""Holds the tracker while it is on, and not while it is on its way in or out."""
_files: Final[list[FileIO]] = []
"""The files that are open: a forked child would keep their space on disk."""


def end_in_child() -> None:
    """End the burst that a forked child has inherited.

    memray itself has stopped recording there, but its hooks stay on each call of a function.
    """
    if tracker := _active.pop("tracker", None):
        tracker.__exit__(None, None, None)
    while _files:
        _files.pop().close()


class MemrayWatch:
    """A burst of memray.

    Where small Python objects are suspected, each one is recorded. Where memory outside of the
    object allocator is suspected, only what gets there is recorded, which is much cheaper, with the
    C stack.

    Args:
        clock: Measures pauses.
        segment: Which segment is suspected.
        directory: On which disk the record is written; None for that of the temporary directory.
        without_forks: Makes forks wait. A forked child inherits the locks of modules that are being
            imported and of memray, and nobody ever releases them there.
    """

    def __init__(
        self,
        clock: Clock,
        segment: Segment | None,
        directory: str | None = None,
        without_forks: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._clock = clock
        self._segment = segment
        self._is_native = segment in ("native_heap", "other_anonymous")
        self._directory = directory
        self._without_forks = without_forks
        self._record: FileIO | None = None
        self._tracker: Any = None
        self._pid = os.getpid()
        self._began_at = 0.0
        self._looked_at: list[float] = []
        self._trial_bytes = 0
        self.longest_pause_seconds = 0.0
        self.memory_bytes = 0
        self.cpu_seconds = 0.0

    @staticmethod
    def why_not() -> str | None:
        """Return why memray cannot be used, as advice, or None where it can; it is not imported."""
        # Embedded in another program, that program would be started instead of Python.
        is_python = Path(sys.executable or "").name.startswith("python")
        if not is_python or not _DESCRIPTORS.is_dir():
            return "memray cannot watch C allocations here"
        if importlib.util.find_spec("memray") is None:
            return "install the extra memray to see C allocations"
        if "greenlet" in sys.modules:
            # It would take the place of the application's trace function of greenlets for good, and
            # say so on standard error; and gevent's processes have to be started by its main loop.
            return "memray would see C allocations, but is not used where greenlet is loaded"
        return None

    def prepare(self) -> Generator[float, None, None]:
        """Import memray in steps, and make a file for the record."""
        left_seconds = _LONGEST_WAIT_SECONDS
        try:
            for name in _IMPORTS:
                if name not in sys.modules:
                    left_seconds = yield from until_room_for(_OBJECTS_OF_IMPORT, left_seconds)
                with self._without_forks():
                    importlib.import_module(name)
                yield 0.0
        except ImportError as error:
            raise WatchImpossible(f"memray cannot be imported: {type(error).__name__}") from None
        try:
            self._record = self._file()
        except OSError as error:
            raise WatchImpossible(f"no place for a record: {type(error).__name__}") from None

    def begin(self) -> None:
        """Begin a new record."""
        import memray  # noqa: PLC0415 - optional, and dear to import

        if self._record is None:
            raise WatchImpossible("memray was not prepared")
        self._looked_at = []
        began = self._clock.thread_cpu()
        try:
            with self._without_forks():
                tracker = memray.Tracker(
                    destination=memray.FileDestination(
                        _path(self._record), overwrite=True, compress_on_exit=False
                    ),
                    native_traces=self._is_native,
                    trace_python_allocators=not self._is_native,
                    memory_interval_ms=_INTERVAL_MS,
                )
                tracker.__enter__()
        except (RuntimeError, OSError) as error:
            raise WatchImpossible(f"memray cannot start: {type(error).__name__}") from None
        self._tracker = _active["tracker"] = tracker
        self._began_at = self._clock.now()
        self._count_pause(began)

    def is_interrupted(self) -> bool:
        """Return False: nobody else can end it."""
        return False

    def is_full(self) -> bool:
        """Return whether the record is as large as it may become."""
        return self._size() >= _LARGEST_RECORD_BYTES

    def look(self) -> None:
        """Remember the time: the record has all that was ever alive."""
        self._looked_at.append(self._clock.now() - self._began_at)

    def end(self) -> None:
        """End recording."""
        if self._pid != os.getpid():
            return
        if self._tracker is not None:
            began = self._clock.thread_cpu()
            with self._without_forks():
                _active.clear()
                self._tracker.__exit__(None, None, None)
            self._count_pause(began)
        self._tracker = None
        self._trial_bytes = self._trial_bytes or self._size()
        self.memory_bytes = max(self.memory_bytes, self._size() + _TRACKER_BYTES)

    def close(self) -> None:
        """End recording, and let go of the record."""
        self.end()
        if self._record is None or self._pid != os.getpid():
            return
        record, self._record = self._record, None
        try:
            # A child that was forked meanwhile may have it open still.
            record.truncate(0)
        finally:
            _close(record)

    def longest_seconds(self, trial_seconds: float) -> float:
        """Return when the record would be as large as it may become, at the trial's pace."""
        return _LARGEST_RECORD_BYTES * trial_seconds / max(self._trial_bytes, 1)

    def reading_seconds(self, seconds: float, trial_seconds: float) -> float:
        """Return what the reader will take for a record that grows at the trial's pace."""
        record_bytes = min(self._trial_bytes * seconds / trial_seconds, _LARGEST_RECORD_BYTES)
        return _READER_SECONDS + _READER_SECONDS_A_BYTE * record_bytes

    def results(self) -> Generator[float, None, list[dict[Stack, Kept]]]:
        """Let another process read the record, and wait for what it says."""
        if self._record is None:
            raise WatchImpossible("memray was not prepared")
        answer = self._file()
        try:
            yield from self._read(self._record, answer)
            answer.seek(0)
            told = json.loads(answer.read())
        except (OSError, ValueError):
            raise WatchImpossible("the record of memray could not be read") from None
        finally:
            if self._pid == os.getpid():
                _close(answer)
        self.cpu_seconds += told["cpu_seconds"]
        return _looks(told["stacks"], len(self._looked_at))

    def _read(self, record: FileIO, answer: FileIO) -> Generator[float, None, None]:
        # The last look is the end of the record.
        milliseconds = ",".join(str(int(seconds * 1000)) for seconds in self._looked_at[:-1])
        segment = self._segment or "any"
        # -I: no instrumentation of the environment may run in it.
        command = [sys.executable, "-I", str(_READER), _path(record), milliseconds, segment]
        began = self._clock.thread_cpu()
        reader = subprocess.Popen(  # noqa: S603 - our own file, and numbers
            [*command, _folder_of_memray()],
            stdin=subprocess.DEVNULL,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            pass_fds=[record.fileno()],
        )
        self._count_pause(began)
        try:
            deadline = self._clock.now() + _LONGEST_READ_SECONDS
            while reader.poll() is None:
                if self._clock.now() > deadline:
                    raise WatchImpossible("the record of memray took too long to read")
                yield _POLL_SECONDS
        finally:
            if reader.poll() is None:
                reader.kill()
                reader.wait()
        yield 0.0

    def _file(self) -> FileIO:
        """Return a new file without a name, in a directory that is made as for snapshots."""
        if self._directory is not None:
            Path(self._directory).mkdir(mode=0o700, parents=True, exist_ok=True)
        # Unbuffered: it is memray and the reader that write.
        file = tempfile.TemporaryFile("w+b", buffering=0, dir=self._directory)  # noqa: SIM115 - until `close`
        _files.append(file)
        return file

    def _size(self) -> int:
        return 0 if self._record is None else os.fstat(self._record.fileno()).st_size

    def _count_pause(self, began: float) -> None:
        seconds = self._clock.thread_cpu() - began
        self.longest_pause_seconds = max(self.longest_pause_seconds, seconds)


def _path(file: FileIO) -> str:
    """Return by what name this process, or one that the file is passed to, can open it again."""
    return str(_DESCRIPTORS / str(file.fileno()))


def _close(file: FileIO) -> None:
    _files.remove(file)
    file.close()


def _folder_of_memray() -> str:
    """Return the folder to import memray from: isolated Python does not see `PYTHONPATH`."""
    spec = importlib.util.find_spec("memray")
    return "" if spec is None or spec.origin is None else str(Path(spec.origin).parents[1])


def _looks(stacks: list[dict[str, Any]], count: int) -> list[dict[Stack, Kept]]:
    looks: list[dict[Stack, Kept]] = [{} for _ in range(count)]
    for each in stacks:
        stack = Stack(tuple((str(file), int(line)) for file, line in each["frames"]), each["c"])
        for look, (live_bytes, blocks, largest_bytes) in zip(looks, each["live"], strict=True):
            look.setdefault(stack, Kept()).add(live_bytes, blocks, largest_bytes)
    return looks
