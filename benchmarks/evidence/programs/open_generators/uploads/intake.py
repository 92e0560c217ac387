from __future__ import annotations

from collections.abc import Generator

from uploads.steps import checked, counted, stored

_open: dict[int, Generator[int, bytes | None, None]] = {}


def begin(upload: int) -> None:
    pipeline = counted(checked(stored(upload)))  # culprit
    next(pipeline)
    _open[upload] = pipeline  # culprit


def receive(upload: int, part: bytes) -> int:
    return _open[upload].send(part)


def finish(upload: int) -> None:
    _open.pop(upload).close()
