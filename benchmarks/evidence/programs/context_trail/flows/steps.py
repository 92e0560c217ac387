from __future__ import annotations

import asyncio

from flows.trail import begin, mark

STEPS = ("receive", "validate", "enrich", "store", "answer")


async def run(flow: int, *, in_own_trail: bool) -> int:
    if in_own_trail:
        begin()
    for step in STEPS:
        mark(flow, step)
        await asyncio.sleep(0)
    return flow
