from __future__ import annotations

import logging


def request_logger(tenant: str, request: str | None) -> logging.Logger:
    """Return a logger by which the lines of one request can be told from all others."""
    if request is None:
        return logging.getLogger(f"gateway.{tenant}")
    return logging.getLogger(f"gateway.{tenant}.{request}")  # culprit
