from __future__ import annotations

import random

import rollout

from telemetry.intake import take

if __name__ == "__main__":
    for turn in rollout.paced(50):
        readings = [random.randbytes(24) for _ in range(160)]
        take(turn % 700, readings, strict=rollout.is_live())
