from __future__ import annotations


class Engine:
    """Lives as long as the service."""

    def __init__(self) -> None:
        self.rendered = 0

    def render(self, report: int) -> int:
        self.rendered += 1
        return report * 7 % 1_000
