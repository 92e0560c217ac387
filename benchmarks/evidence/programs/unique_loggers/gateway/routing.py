from __future__ import annotations

import zlib
from functools import lru_cache

BACKENDS = tuple(f"10.0.0.{last}:8080" for last in range(2, 30))


@lru_cache(maxsize=256)
def backend(tenant: str) -> str:
    return BACKENDS[zlib.crc32(tenant.encode()) % len(BACKENDS)]
