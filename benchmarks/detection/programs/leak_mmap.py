"""Anonymous maps of 256 to 1024 KiB are written and forgotten by their driver."""

import mmap

from _sidecar import Run

run = Run()
held = []
for now in run.ticks(0.1):
    run.request()
    if now > 18 and run.random.random() < 0.12:
        run.mark_leak()
        pages = mmap.mmap(-1, run.random.randint(64, 256) * 4096)
        pages.write(b"\x07" * len(pages))
        held.append(pages)
