"""A process that forks while all its objects are listed; tells what the child can let go of.

Prints JSON: whether the parent was listing at the fork, and whether an object that the child lets
go of dies there.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import weakref

from opentelemetry.sdk.metrics import MeterProvider

from opentelemetry.instrumentation.memory import MemoryInstrumentor
from opentelemetry.instrumentation.memory._attribution import holding

# A census of so many takes long enough to be caught at it.
BALLAST = 200_000


class Order:
    """What the child lets go of."""


def main() -> None:
    ballast = [[] for _ in range(BALLAST)]  # type: ignore[var-annotated]
    instrumentor = MemoryInstrumentor()
    instrumentor.instrument(
        meter_provider=MeterProvider(),
        min_interval_seconds=0.1,
        max_interval_seconds=0.1,
        # No full collection needs to come first, however slow the machine.
        evidence_pause_seconds=10,
    )
    orders = [Order()]
    instrumentor.investigate()
    # Nothing wakes whoever waits for this; the interpreter changes threads while it is asked.
    sys.setswitchinterval(1e-4)
    while not any(len(each) > BALLAST // 2 for each in tuple(holding._held)):
        pass
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        order = weakref.ref(orders.pop())
        told = {"is_holding": holding.is_holding(), "is_alive": order() is not None}
        os.write(write, json.dumps(told).encode())
        os._exit(0)
    os.waitpid(child, 0)
    told = json.loads(os.read(read, 1000))
    json.dump({**told, "threads": threading.active_count()}, sys.stdout)
    del ballast
    instrumentor.uninstrument()


if __name__ == "__main__":
    main()
