"""Response bodies of 2 to 12 KiB are kept under keys that never repeat."""

from _sidecar import Run

run = Run()
by_url = {}
for now in run.ticks(0.05):
    run.request()
    if now > 8:
        run.mark_leak()
        for _ in range(3):
            key = run.random.getrandbits(64)
            by_url[key] = bytes(run.random.randint(2048, 12288))
