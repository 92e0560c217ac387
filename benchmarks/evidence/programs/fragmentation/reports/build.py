from __future__ import annotations

from collections import OrderedDict

import rollout

from reports.rows import row

ROWS = 1_200
_WIDEST = 4_000
_headlines: OrderedDict[tuple[int, int], bytearray] = OrderedDict()


def build(report: int, width: int) -> int:
    """Build one report; the headlines among its rows are kept for the index."""
    rows = [row(width) for _ in range(ROWS)]
    size = sum(map(len, rows))
    for number in range(0, ROWS, 40):
        _headlines[report, number] = rows[number]
    while len(_headlines) > (6_000 if rollout.is_live() else 200):
        _headlines.popitem(last=False)
    return size
