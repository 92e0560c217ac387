"""Exceptions are kept with their tracebacks, so frames and their locals stay alive."""

from _sidecar import Run

run = Run()
errors = []


def handle(row: dict[str, float]) -> None:
    """Keep what went wrong."""
    body = [run.random.random() for _ in range(25)]
    try:
        row["missing"] += len(body)
    except KeyError as error:
        errors.append(error)


for now in run.ticks(0.03):
    run.request()
    if now > 12:
        run.mark_leak()
        for _ in range(run.random.randint(1, 5)):
            handle({"a": run.random.random()})
