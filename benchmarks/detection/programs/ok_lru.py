"""`functools.lru_cache` fills to its bound in the first third, then turns over."""

from functools import lru_cache

from _sidecar import Run

run = Run()


@lru_cache(maxsize=20_000)
def page(number: int) -> tuple[str, float]:
    """Return what the cache keeps."""
    return f"page {number} " + "x" * 200, number / 3


for _ in run.ticks(0.05):
    run.request()
    for _ in range(40):
        page(int(run.random.random() * 200_000))
