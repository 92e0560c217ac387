from __future__ import annotations

from functools import partial

from tenants.settings import settings

_limits: dict[str, int] = {}


def _set_limit(tenant: str, facts: dict[str, int], value: int) -> None:
    _limits[tenant] = value + facts["extra"]


def serve(tenant: str, turn: int, *, watches_each_time: bool) -> int:
    if watches_each_time or tenant not in _limits:
        facts = {"extra": turn % 3, "turn": turn}
        settings.on_change("limit", partial(_set_limit, tenant, facts))  # culprit
        _set_limit(tenant, facts, settings.get("limit"))
    return _limits[tenant]
