"""The template of an ASGI request's route, as Starlette and FastAPI leave it in the scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNKNOWN: Final = "/{…}"
# What a mount leaves to the application in it.
_REST: Final = "/{path}"
_MOST_PREFIXES: Final = 1_000


class AsgiRoutes:
    """Finds the routes of one application, with the prefixes of what is mounted in it.

    A mounted application knows its own routes alone, and what the mounts took off the path is left
    as it was asked for: `/tenants/ann`. So their templates are looked up where they were declared,
    and remembered.
    """

    def __init__(self) -> None:
        self._prefixes: dict[str, str] = {}

    def find(self, scope: Mapping[str, Any]) -> str | None:
        """Return the template, such as `/v2/things/{number}`; None where the scope has none."""
        route = scope.get("route")
        path = getattr(route, "path_format", None) or getattr(route, "path", None)
        if not isinstance(path, str):
            return None
        if hasattr(route, "routes"):
            # A mount, and nobody in it told more: all of its path is in the prefix.
            return self._prefix(scope) + _REST
        return self._prefix(scope) + _included(scope, route, path)

    def _prefix(self, scope: Mapping[str, Any]) -> str:
        # Where the application itself is, behind a proxy for instance, is no part of its routes.
        outside = scope.get("app_root_path")
        if outside is None:
            return ""
        taken: str = scope["root_path"].removeprefix(outside)
        prefix = self._prefixes.get(taken)
        if prefix is None:
            prefix = _declared(scope.get("router"), taken)
            if len(self._prefixes) < _MOST_PREFIXES:
                self._prefixes[taken] = prefix
        return prefix


def _included(scope: Mapping[str, Any], route: Any, path: str) -> str:
    """Return the path with the prefix that `include_router` put before it.

    FastAPI keeps such routes as they are since 0.137, and the whole path in a context beside.
    """
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    whole = getattr(context, "path_format", None)
    is_own = getattr(context, "original_route", None) is route
    return whole if is_own and isinstance(whole, str) else path


def _declared(application: Any, taken: str) -> str:
    """Return the template of what mounts took off a path, the outermost first."""
    if not taken:
        return ""
    for mount in getattr(application, "routes", ()):
        # Of what has routes of its own; what matches a host, or was included, has no such pattern.
        pattern = getattr(mount, "path_regex", None) if hasattr(mount, "routes") else None
        match = pattern.match(f"{taken}/") if pattern else None
        if match:
            rest = f"/{match['path']}".rstrip("/")
            template: str = mount.path_format.removesuffix(_REST)
            return template + _declared(mount, rest)
    return _UNKNOWN
