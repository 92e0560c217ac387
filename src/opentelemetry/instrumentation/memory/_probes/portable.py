"""The resident set where there is no /proc, by psutil."""

from __future__ import annotations

import os

from opentelemetry.instrumentation.memory._probes.base import Resident
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable


class PsutilProbe:
    """Resident and virtual size on macOS, Windows, the BSDs and others; about 10 µs."""

    name = "psutil"

    def read(self) -> Resident:
        """Return the sizes of the calling process, in bytes."""
        try:
            # psutil costs 31 ms to import, so a process that has /proc never loads it.
            import psutil  # noqa: PLC0415
        except (
            ImportError,
            NotImplementedError,
        ) as error:  # the latter on a platform unknown to it
            raise SourceUnavailable(f"psutil cannot be imported: {error}") from error
        try:
            # A kept Process object would show the parent after a fork.
            memory = psutil.Process(os.getpid()).memory_info()
        except psutil.Error as error:
            raise OSError(f"psutil: {error}") from error
        return Resident(memory.rss, memory.vms, getattr(memory, "shared", None) or None)

    def close(self) -> None:
        """Hold nothing."""
