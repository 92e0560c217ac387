"""A Flask service that knows nothing of OpenTelemetry, and a cache that nobody empties."""

from __future__ import annotations

import os

from flask import Flask

app = Flask(__name__)
rendered_pages: dict[str, str] = {}


@app.get("/")
def who_answered() -> dict[str, int]:
    return {"pid": os.getpid(), "cached_pages": len(rendered_pages)}


@app.get("/pages/<name>")
def page(name: str) -> str:
    # One entry a name, for ever: request many names and watch native_heap grow. A text of this
    # size is over 512 bytes, so it is malloc that serves it.
    if name not in rendered_pages:
        rendered_pages[name] = f"<h1>{name}</h1>" + "<p>some text</p>" * 1000
    return rendered_pages[name]
