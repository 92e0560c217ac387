"""Who is shopping. Sessions end with a log-out, which visitors of the new app never send."""

from __future__ import annotations

from shop.models import Session

_sessions: dict[str, Session] = {}


def open_session(visitor: str) -> Session:
    session = _sessions.get(visitor)
    if session is None:
        session = Session(visitor, preferences={"language": "en", "currency": "EUR"})  # culprit
        _sessions[visitor] = session  # culprit
    return session


def close_session(visitor: str) -> None:
    _sessions.pop(visitor, None)
