from __future__ import annotations

import random
import threading

import rollout

from media.views import app


def browse(name: str) -> None:
    client = app.test_client(use_cookies=False)
    for _ in rollout.paced(70):
        picture = random.randrange(60)
        size = f"width={random.randrange(300, 1_400)}&height={random.randrange(300, 2_000)}"
        client.get(f"/pictures/{picture}?{size}", headers={"User-Agent": name})


if __name__ == "__main__":
    threading.Thread(target=browse, args=("tablet",), daemon=True).start()
    browse("phone")
