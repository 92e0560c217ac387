"""A worker without a web server: it takes jobs and keeps a bounded number of results."""

from __future__ import annotations

import time
from collections import deque

results: deque[bytes] = deque(maxlen=32)

while True:
    results.append(b"\x01" * 2**20)
    time.sleep(0.1)
