from __future__ import annotations

import random

import rollout

from courier.tracking import follow

KNOWN = ("accepted", "sorted", "loaded", "delivered")


def report(number: int, *, with_details: bool) -> str:
    event = random.choice(KNOWN)
    return f"{event}/depot-{number % 90}/{number}" if with_details else event


if __name__ == "__main__":
    for turn in rollout.paced(50):
        for number in range(turn * 8, turn * 8 + 8):
            follow(number, report(number, with_details=rollout.is_live()))
