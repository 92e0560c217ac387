"""Every fifteen seconds a report sorts a long list of small tuples for a second or two."""

from _sidecar import Run

run = Run()
due, end = 6.0, 0.0
rows = None
for now in run.ticks(0.05):
    run.request()
    if rows is None and now > due:
        size = run.random.randint(60_000, 180_000)
        rows = sorted((run.random.random(), i, str(i)) for i in range(size))
        end = run.seconds() + run.random.uniform(1, 2)
    if rows is not None and now > end:
        rows, due = None, now + 14
