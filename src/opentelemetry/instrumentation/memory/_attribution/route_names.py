"""Names of routes and tasks that may leave the process: templates, and not many of them."""

from __future__ import annotations

import re
from typing import Final

OTHER: Final = "_other"
MOST_NAMES: Final = 100
_LONGEST: Final = 120

_PLACEHOLDER: Final = "{…}"
# What tells one request from another, and so has no place in a template.
_PERSONAL: Final = re.compile(
    r"""
      \d+                                    # a number
    | [0-9a-f]{8,}                           # a hash
    | [0-9a-f]{4,}(?:-[0-9a-f]{4,})+         # a UUID
    | .*(?:@|%40).*                          # an address
    | (?=.*\d)[A-Za-z0-9_\-~+=]{25,}         # a token
    """,
    re.VERBOSE | re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"\d{3,}|(?<=[-_.~])\d+")
_IS_TEMPLATE: Final = re.compile(r"[{<:(\[*].*")
_METHODS: Final = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)
_OTHER_METHOD: Final = "_OTHER"
_ALLOWED: Final = re.compile(r"[^\w{}<>:.*()\[\]+?$^|\\/ …-]")


def route_name(method: str | None, route: str) -> str:
    """Return how a route is called, such as `GET /users/{id}`."""
    name = template(route)
    return f"{known_method(method)} {name}" if method else name


def known_method(method: str) -> str:
    """Return the method, or `_OTHER` as in the semantic conventions: a client may send any."""
    return method if method in _METHODS else _OTHER_METHOD


def template(text: str) -> str:
    """Return a route's template or a task's name without what belongs to one request alone."""
    path = text.split("?", maxsplit=1)[0] if "/" in text and "(?" not in text else text
    parts = [_cut(part) for part in path.split("/")]
    return _ALLOWED.sub("_", "/".join(parts))[:_LONGEST] or OTHER


def _cut(part: str) -> str:
    if not part or _IS_TEMPLATE.match(part):
        return part
    if _PERSONAL.fullmatch(part):
        return _PLACEHOLDER
    return _NUMBER.sub(_PLACEHOLDER, part)
