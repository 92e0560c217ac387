"""The number of open sessions follows a wave of 40 seconds."""

import math

from _sidecar import Run

run = Run()
sessions = {}
for now in run.ticks(0.05):
    wanted = int(9000 + 6000 * math.sin(2 * math.pi * now / 40))
    while len(sessions) < wanted:
        seen = [run.random.random() for _ in range(10)]
        sessions[run.random.getrandbits(50)] = {"user": "x" * 200, "seen": seen}
    while len(sessions) > wanted:
        sessions.pop(next(iter(sessions)))
    run.request()
