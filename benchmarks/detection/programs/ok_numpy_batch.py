"""A job multiplies two matrices every twelve seconds and drops all three."""

import numpy as np
from _sidecar import Run

run = Run()
due = 5.0
for now in run.ticks(0.1):
    run.request()
    if now > due:
        size = run.random.randint(500, 900)
        left = np.full((size, size), 1.5)
        product = left @ left
        hold_until = now + run.random.uniform(1.0, 3.0)
        due = now + 12
    elif now > 5 and now > hold_until:
        left = product = None
