from __future__ import annotations

import itertools

import rollout

from importer.batch import Batch

batches = [Batch(partner) for partner in ("north", "south", "east")]

if __name__ == "__main__":
    numbers = itertools.count(1)
    for turn in rollout.paced(30):
        for _ in range(24):
            batches[turn % len(batches)].take(next(numbers))
