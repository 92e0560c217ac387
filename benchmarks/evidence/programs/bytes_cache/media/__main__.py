from __future__ import annotations

import random
import threading

import rollout

from media.views import app


def browse(name: str) -> None:
    client = app.test_client(use_cookies=False)
    for _ in rollout.paced(70):
        picture = random.randrange(60)
        client.get(
            f"/pictures/{picture}?width={random.randrange(300, 1_400)}",
            headers={"User-Agent": name},
        )


if __name__ == "__main__":
    threading.Thread(target=browse, args=("tablet",), daemon=True).start()
    browse("phone")
