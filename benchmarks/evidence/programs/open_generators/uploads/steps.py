from __future__ import annotations

from collections.abc import Generator

Step = Generator[int, "bytes | None", None]


def stored(upload: int) -> Step:
    parts: list[bytes] = []
    part = yield upload
    while True:
        parts.append(part or b"")  # culprit
        part = yield len(parts)


def checked(below: Step) -> Step:
    answer, total = next(below), 0
    while True:
        part = yield answer
        total = (total + sum(part or b"")) % 65_521
        answer = below.send(part)


def counted(below: Step) -> Step:
    answer, received = next(below), 0
    while True:
        part = yield answer
        received += len(part or b"")
        answer = below.send(part)
