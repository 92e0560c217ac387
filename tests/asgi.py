"""One request to an ASGI application, without a server."""

from __future__ import annotations

import asyncio
from typing import Any


def ask(app: Any, path: str, root_path: str = "") -> None:
    """Ask for a path, and wait until the application has answered."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": root_path,
        "query_string": b"",
        "headers": [],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Any) -> None: ...

    asyncio.run(app(scope, receive, send))
