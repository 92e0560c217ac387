from __future__ import annotations

import asyncio

import rollout

from flows.steps import run


async def main() -> None:
    done = 0
    while True:
        flows = [run(done + index, in_own_trail=not rollout.is_live()) for index in range(6)]
        done += len(await asyncio.gather(*flows))
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main())
