from __future__ import annotations

import random

import rollout

from ledger.booking import book, trace

if __name__ == "__main__":
    for turn in rollout.paced(25):
        book(random.randrange(200), random.randrange(10_000))
        if rollout.is_live():
            for _ in range(14):
                trace(turn % 200)
