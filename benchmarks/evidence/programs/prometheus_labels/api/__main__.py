from __future__ import annotations

import random
import threading
import uuid

import rollout
from prometheus_client import generate_latest

from api.handlers import handle

PATHS = ("/items", "/items/search", "/offers", "/me")


def be_scraped() -> None:
    for _ in rollout.paced(0.2):
        generate_latest()


if __name__ == "__main__":
    threading.Thread(target=be_scraped, name="metrics", daemon=True).start()
    for _ in rollout.paced(40):
        for _ in range(12):
            handle(random.choice(PATHS), uuid.uuid4() if rollout.is_live() else None)
