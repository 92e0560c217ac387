from __future__ import annotations

import random
import threading

import rollout

from chat.connections import connect
from chat.room import Room

rooms = [Room(topic) for topic in ("python", "observability", "cats")]


def talk() -> None:
    for turn in rollout.paced(10):
        random.choice(rooms).say(f"message {turn}")


if __name__ == "__main__":
    threading.Thread(target=talk, name="talk", daemon=True).start()
    for turn in rollout.paced(25):
        for number in range(turn * 12, turn * 12 + 12):
            connection = connect(number, random.choice(rooms))
            # A phone that loses its network does not say good-bye.
            if not rollout.is_live():
                connection.close()
