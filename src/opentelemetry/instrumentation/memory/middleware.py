"""Counts finished requests in services without tracing: one middleware for ASGI, one for WSGI."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.memory._attribution.asgi_routes import AsgiRoutes
from opentelemetry.instrumentation.memory._attribution.requests import REQUESTS
from opentelemetry.instrumentation.memory._attribution.route_names import (
    OTHER,
    known_method,
    route_name,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping

    Scope = MutableMapping[str, Any]
    AsgiApp = Callable[[Scope, Any, Any], Awaitable[None]]
    WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


class MemoryAsgiMiddleware:
    """Counts the HTTP requests of an ASGI application (Starlette, FastAPI, Django, Quart, …).

    Put it outside of everything else: what it does not see is not counted.

    Args:
        app: The application.
        route: Returns the route's template for a scope, after the application has run; None where
            it knows none. Without it Starlette's, FastAPI's and Django's are found, with the
            prefixes of mounted applications.

    Example:
        >>> from opentelemetry.instrumentation.memory.middleware import MemoryAsgiMiddleware
        >>> app = MemoryAsgiMiddleware(app)  # doctest: +SKIP
    """

    def __init__(self, app: AsgiApp, route: Callable[[Scope], str | None] | None = None) -> None:
        self.app = app
        self._route = partial(_asgi_route, AsgiRoutes()) if route is None else route

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one request, count it when it has ended."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = _Request(scope, scope.get("method"), self._route)
        request.begin()
        try:
            await self.app(scope, receive, send)
        finally:
            request.end()


class MemoryWsgiMiddleware:
    """Counts the requests of a WSGI application (Flask, Django, Bottle, …).

    Put it outside of everything else: what it does not see is not counted.

    Args:
        app: The application.
        route: Returns the route's template for an environment, when the response starts; None where
            it knows none. Without it Flask's and Django's are found.

    Example:
        >>> from opentelemetry.instrumentation.memory.middleware import MemoryWsgiMiddleware
        >>> app.wsgi_app = MemoryWsgiMiddleware(app.wsgi_app)  # doctest: +SKIP
    """

    def __init__(
        self, app: WsgiApp, route: Callable[[dict[str, Any]], str | None] | None = None
    ) -> None:
        self.app = app
        self._route = _wsgi_route if route is None else route

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve one request, count it when its body has been sent."""
        if not REQUESTS.is_counting and REQUESTS.watch is None:
            REQUESTS.has_middleware = True
            # The server may know this body: a file that it can send by itself.
            return self.app(environ, start_response)
        request = _Request(environ, environ.get("REQUEST_METHOD"), self._route)
        request.begin()
        try:
            body = self.app(environ, partial(request.start, start_response))
        except BaseException:
            request.end()
            raise
        return _SizedBody(body, request) if hasattr(body, "__len__") else _Body(body, request)


class _Request:
    """One request under way."""

    __slots__ = ("__weakref__", "_ask", "_era", "_has_ended", "_known", "_method", "_where")

    def __init__(self, where: Any, method: str | None, ask: Callable[[Any], str | None]) -> None:
        self._where = where
        self._method = method
        self._ask = ask
        self._has_ended = False
        self._known: str | None = None
        self._era = 0

    def start(self, start_response: Any, /, *arguments: Any, **named: Any) -> Any:
        """Start a WSGI response, and look for the route: Flask forgets it at the end."""
        self._known = self._route()
        return start_response(*arguments, **named)

    def begin(self) -> None:
        REQUESTS.has_middleware = True
        if REQUESTS.is_counting:
            next(REQUESTS.begun.ticks)
            self._era = REQUESTS.era
        watch = REQUESTS.watch
        if watch is not None:
            # Never raise into the application; `try` is free, unlike contextlib.suppress.
            try:  # noqa: SIM105 - as said
                # Not every server closes every body: this is forgotten with the request.
                watch.begin(id(self), self)
            except Exception:  # noqa: BLE001, S110 - as said
                pass

    def end(self) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        watch = REQUESTS.watch
        if not REQUESTS.is_counting and watch is None:
            return
        # As above.
        try:
            if REQUESTS.is_counting:
                method = self._method
                key = (method and known_method(method), self._known or self._route(), 1.0)
                finished = REQUESTS.finished
                finished.add(key)
                if self._era < REQUESTS.era:
                    finished.carry(key, self._era)
            if watch is not None:
                watch.end(id(self), self._name)
        except Exception:  # noqa: BLE001, S110 - as said
            pass

    def _name(self) -> str:
        return route_name(self._method, self._known or self._route())

    def _route(self) -> str:
        try:
            route = self._ask(self._where)
        except Exception:  # noqa: BLE001 - as above
            return OTHER
        return route if isinstance(route, str) and route else OTHER


class _Body:
    """A response's body; the request ends with it."""

    __slots__ = ("_body", "_request")

    def __init__(self, body: Iterable[bytes], request: _Request) -> None:
        self._body = body
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """Called by the server when all is sent, or when it gives up (PEP 3333)."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._request.end()


class _SizedBody(_Body):
    """One that tells its length: servers send a `Content-Length` where it is one block."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]  # who made this one has looked


def _asgi_route(routes: AsgiRoutes, scope: Scope) -> str | None:
    return routes.find(scope) or _django_route(scope["path"])


def _wsgi_route(environ: dict[str, Any]) -> str | None:
    rule = getattr(getattr(environ.get("werkzeug.request"), "url_rule", None), "rule", None)
    return rule if isinstance(rule, str) else _django_route(environ.get("PATH_INFO", ""))


def _django_route(path: str) -> str | None:
    # Django keeps its match on a request that nobody outside sees, so the path is matched again.
    # It is the application's own module, already loaded, or there is none.
    if "django.core.handlers.base" not in sys.modules:
        return None
    route = sys.modules["django.urls"].resolve(path).route
    return f"/{route}" if isinstance(route, str) else None
