"""A memo of at most 30,000 entries fills in bursts during the first third of the run."""

from _sidecar import Run

run = Run()
memo = {}
for now in run.ticks(0.05):
    run.request()
    if int(now) % 5 < 2:
        for _ in range(90):
            if len(memo) >= 30_000:
                memo.pop(next(iter(memo)))
            memo[run.random.getrandbits(40)] = [run.random.random() for _ in range(8)]
