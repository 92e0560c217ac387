from __future__ import annotations

import rollout

from frames.camera import grab

if __name__ == "__main__":
    for turn in rollout.paced(30):
        grab(turn, fails=rollout.is_live())
