from __future__ import annotations

import asyncio
import itertools

import rollout

from alerts.escalation import Escalation
from alerts.limits import passed


async def main() -> None:
    escalation = Escalation(asyncio.get_running_loop())
    for turn in itertools.count():
        for number in range(turn * 12, turn * 12 + 12):
            if passed(number):
                escalation.raise_alert(number)
                if not rollout.is_live():
                    escalation.acknowledge(number)
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main())
