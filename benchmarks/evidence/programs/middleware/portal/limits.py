from __future__ import annotations

import time
from dataclasses import dataclass, field

import rollout
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response


@dataclass
class Allowance:
    first_seen: float
    hits: list[float] = field(default_factory=list)


class RateLimit(BaseHTTPMiddleware):
    def __init__(self, app, per_minute: int) -> None:
        super().__init__(app)
        self.per_minute = per_minute
        self.allowances: dict[str, Allowance] = {}

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        now = time.monotonic()
        # The new release sees the addresses behind the proxy.
        name = request.headers["x-forwarded-for"] if rollout.is_live() else "proxy"
        allowance = self.allowances.get(name)
        if allowance is None:
            allowance = self.allowances[name] = Allowance(now)  # culprit
        allowance.hits = [*allowance.hits[-20:], now, now + 0.1, now + 0.2, now + 0.3]  # culprit
        if len(allowance.hits) > self.per_minute:
            return Response(status_code=429)
        return await call_next(request)
