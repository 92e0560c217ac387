"""A numpy array for one frame in ten is kept in a debugging list."""

import numpy as np
from _sidecar import Run

run = Run()
kept = []
for number, now in enumerate(run.ticks(0.05)):
    frame = np.full((200, 200), float(number))
    run.request(20)
    if now > 20 and number % 10 == 0:
        run.mark_leak()
        kept.append(frame)
