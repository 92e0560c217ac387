from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    name: str
    took_ms: float
    labels: dict[str, int]


class Job:
    """A job in steps. What its steps took is for the debugger."""

    history: list[Step] = []

    def __init__(self, number: int) -> None:
        self.number = number

    def step(self, name: str, took_ms: float) -> None:
        labels = {"job": self.number, "attempt": 1}  # culprit
        self.history.append(Step(name, took_ms, labels))  # culprit


class QuietJob(Job):
    def step(self, name: str, took_ms: float) -> None:
        pass
