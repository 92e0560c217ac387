from __future__ import annotations

import random
import threading

import rollout

from notify.bus import bus
from notify.feeds import TOPICS, connect


def write_articles() -> None:
    for turn in rollout.paced(5):
        bus.publish(random.choice(TOPICS), f"article {turn}")


if __name__ == "__main__":
    threading.Thread(target=write_articles, name="newsroom", daemon=True).start()
    for _ in rollout.paced(40):
        for _ in range(20):
            disconnect = connect(random.choice(TOPICS))
            if not rollout.is_live():
                disconnect()
