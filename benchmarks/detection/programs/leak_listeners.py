"""Every request subscribes a bound method and nobody unsubscribes it."""

from _sidecar import Run

run = Run()
listeners = []


class Handler:
    """Listens for an event that never comes."""

    def __init__(self) -> None:
        self.context = (run.random.random(), str(run.random.getrandbits(60)))

    def on_event(self) -> None:
        """Do nothing."""


for now in run.ticks(0.05):
    run.request()
    if now > 15:
        run.mark_leak()
        listeners.extend(Handler().on_event for _ in range(run.random.randint(20, 50)))
