"""Cyclic garbage with the collector switched off, as some services do for latency."""

import gc

from _sidecar import Run

run = Run()
for now in run.ticks(0.05):
    run.request()
    if now > 12:
        run.mark_leak()
        gc.disable()
        for _ in range(25):
            parent = {"id": run.random.getrandbits(40)}
            parent["child"] = {"parent": parent, "name": str(run.random.random())}
