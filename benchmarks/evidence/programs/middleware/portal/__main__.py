from __future__ import annotations

import asyncio
import random

from portal.app import app


async def get(path: str, address: str) -> int:
    """Ask the application as a server would, without a network between."""
    statuses: list[int] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"portal"), (b"x-forwarded-for", address.encode())],
        "server": ("portal", 80),
        "client": (address, 40_000),
    }

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(int(str(message["status"])))

    await app(scope, receive, send)
    return statuses[0]


async def visit() -> None:
    while True:
        address = ".".join(str(random.randrange(256)) for _ in range(4))
        await get(random.choice(("/offers", f"/offers/{random.randrange(99)}")), address)
        await asyncio.sleep(random.uniform(0.005, 0.015))


async def main() -> None:
    await asyncio.gather(*(visit() for _ in range(3)))


if __name__ == "__main__":
    asyncio.run(main())
