"""Sessions live for twelve seconds; how many come follows the load."""

import math
from collections import deque

from _sidecar import Run

run = Run()
sessions = deque()
for now in run.ticks(0.05):
    run.request()
    for _ in range(int(30 + 15 * math.sin(now / 9) + 10 * run.random.random())):
        sessions.append((now + 12, {"user": run.random.getrandbits(50), "seen": [now] * 8}))
    while sessions and sessions[0][0] < now:
        sessions.popleft()
