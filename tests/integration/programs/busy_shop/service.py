"""A shop with several routes. With LEAK=1 every visit to the cart is remembered for ever.

Nothing here knows of telemetry: `opentelemetry-instrument` adds it from outside.
"""

from __future__ import annotations

import os
from collections import deque
from functools import lru_cache

from flask import Flask

LEAKS = os.environ.get("LEAK") == "1"
LINES_A_CART = 100
CARTS_KEPT = 20

app = Flask(__name__)
# One cart is 100 objects of 448 bytes from the object allocator.
carts: deque[list[bytes]] = deque(maxlen=None if LEAKS else CARTS_KEPT)


@lru_cache(maxsize=500)
def price(item: int) -> str:
    """Return something that is worth a bounded cache."""
    return f"{item:030d}" * 20


@app.get("/cart")
def cart() -> dict[str, int]:
    """Remember what is in it."""
    carts.append([bytes(400) for _ in range(LINES_A_CART)])
    return {"carts": len(carts)}


@app.get("/item/<int:number>")
def item(number: int) -> dict[str, str]:
    """Return a price."""
    return {"price": price(number % 1000)}


@app.get("/search")
def search() -> dict[str, int]:
    """Make something that is let go at once."""
    found = [bytes(400) for _ in range(500)]
    return {"found": len(found)}


@app.get("/")
def front_page() -> dict[str, bool]:
    """Say that it is there."""
    return {"is_open": True}


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]), threaded=True)
