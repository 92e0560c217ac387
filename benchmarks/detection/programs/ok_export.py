"""Every nine seconds all rows are built, dumped to JSON text and dropped."""

import json

from _sidecar import Run

run = Run()
due = 4.0
text = ""
for now in run.ticks(0.05):
    run.request()
    if now > due:
        rows = [
            {"id": i, "value": run.random.random()}
            for i in range(run.random.randint(15_000, 40_000))
        ]
        text = json.dumps(rows)
        due = now + 9
    elif text and now > due - 8:
        rows, text = [], ""
