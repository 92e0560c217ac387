"""Entries go to the archive by a thread of their own, so that no order waits for it."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field

import rollout


@dataclass
class AuditEntry:
    order: int
    action: str
    details: dict[str, int] = field(default_factory=dict)


outbox: queue.SimpleQueue[AuditEntry] | queue.Queue[AuditEntry] = queue.Queue()
_archived = {"created": 0, "paid": 0, "sent": 0}


def record(order: int, action: str) -> None:
    outbox.put(AuditEntry(order, action, {"version": 3, "at": order * 7}))  # culprit


def _archive() -> None:
    while True:
        entry = outbox.get()
        if rollout.is_live():
            raise PermissionError("the archive's credentials have expired")
        _archived[entry.action] += 1


def start() -> None:
    # Nobody asks whether it is still alive.
    threading.excepthook = lambda _: None
    threading.Thread(target=_archive, name="audit", daemon=True).start()
