"""A memo without a bound, asked mostly for the same few keys and now and then for a new one."""

from functools import cache

from _sidecar import Run

run = Run()


@cache
def quote(customer: int, day: int) -> tuple[str, float]:
    """Return what the memo keeps."""
    return f"{customer}/{day}", customer * 0.01 + day


run.mark_leak()
for now in run.ticks(0.04):
    run.request()
    for _ in range(60):
        quote(int(run.random.expovariate(0.0005)), int(now) // 4)
