"""Trees with references to their parents die all the time; the collector runs every few seconds."""

import gc

from _sidecar import Run

run = Run()
gc.set_threshold(60_000, 20, 1000)


class Node:
    """A tree node that knows its parent, so only the collector can free it."""

    def __init__(self, parent: "Node | None") -> None:
        self.parent = parent
        self.payload = (run.random.random(), str(run.random.random()))
        self.children: list[Node] = []


for _ in run.ticks(0.05):
    run.request(20)
    for _ in range(12):
        root = Node(None)
        root.children = [Node(root) for _ in range(12)]
