"""The newest summary of each desk is kept, and nothing else.

It is made when all rows are there, so it lies above them; what is below it goes back to malloc and
not to the system.
"""

from __future__ import annotations

from reports.rows import rows

DESKS = ("north", "south", "east", "west")
newest: dict[str, bytearray] = {}


def build(desk: str, count: int) -> int:
    found = rows(count)
    summary = bytearray(sum(map(len, found)) % 6_000 + 40_000)
    newest[desk] = summary
    return len(summary)
