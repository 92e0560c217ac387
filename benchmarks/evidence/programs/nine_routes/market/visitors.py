from __future__ import annotations

import http.client
import random
import uuid


def _requests() -> tuple[tuple[str, str], ...]:
    number = random.randrange(500)
    return (
        ("GET", "/"),
        ("GET", f"/products/{number}"),
        ("GET", f"/products/{number}/stock"),
        ("POST", f"/products/{number}/reviews"),
        ("GET", f"/search?q=word{random.randrange(10_000)}"),
        ("PUT", "/drafts"),
        ("GET", f"/orders/{uuid.uuid4()}"),
        ("DELETE", f"/orders/{uuid.uuid4()}"),
        ("GET", "/health"),
    )


def visit_forever(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while True:
        method, path = random.choice(_requests())
        body = random.randbytes(8).hex() if method in {"POST", "PUT"} else None
        connection.request(method, path, body)
        connection.getresponse().read()
