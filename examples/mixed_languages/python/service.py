"""A shop's session store. With LEAK=1 no session is ever forgotten.

Nothing here knows of telemetry: `opentelemetry-instrument` adds it from outside.
"""

import os
from collections import OrderedDict

from flask import Flask

LEAKS = os.environ.get("LEAK") == "1"
SESSION_BYTES = int(os.environ.get("SESSION_BYTES", "65536"))
SESSIONS_KEPT = 100

app = Flask(__name__)
sessions: OrderedDict[str, bytes] = OrderedDict()


@app.get("/")
def visit() -> dict[str, int]:
    """Begin a visitor's session."""
    sessions[os.urandom(8).hex()] = b"\x01" * SESSION_BYTES
    if not LEAKS and len(sessions) > SESSIONS_KEPT:
        sessions.popitem(last=False)
    return {"sessions": len(sessions)}


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
