from __future__ import annotations

import random
import threading
import uuid

import rollout

from shop.sessions import open_session
from shop.views import app


def visit(client, *, logs_out: bool) -> None:
    headers = {"X-Visitor": str(uuid.uuid4())}
    for _ in range(3):
        client.post(f"/basket/{random.randrange(5_000)}", headers=headers)
    if logs_out:
        client.post("/logout", headers=headers)


def crawl() -> None:
    """Search engines come in crowds, and put nothing into their baskets."""
    for _ in rollout.paced(20):
        if rollout.is_live():
            for _ in range(40):
                open_session(str(uuid.uuid4()))


if __name__ == "__main__":
    threading.Thread(target=crawl, daemon=True, name="crawlers").start()
    client = app.test_client(use_cookies=False)
    for _ in rollout.paced(40):
        visit(client, logs_out=not rollout.is_live())
