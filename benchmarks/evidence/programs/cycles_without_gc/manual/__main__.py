from __future__ import annotations

import gc

import rollout

from manual.render import render

if __name__ == "__main__":
    # Collections had shown up in the latency of the slowest requests.
    gc.disable()
    for turn in rollout.paced(40):
        for page in range(turn * 3, turn * 3 + 3):
            render(page, tidies_up=not rollout.is_live())
