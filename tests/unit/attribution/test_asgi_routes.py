"""Routes of mounted applications are counted with their prefix, and by templates alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fastapi
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from tests.asgi import ask

from opentelemetry.instrumentation.memory._attribution.asgi_routes import (
    _MOST_PREFIXES,
    AsgiRoutes,
)
from opentelemetry.instrumentation.memory._attribution.requests import REQUESTS
from opentelemetry.instrumentation.memory.middleware import MemoryAsgiMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _counting() -> Iterator[None]:
    REQUESTS.start_counting()
    yield
    REQUESTS.stop_counting()
    REQUESTS.has_middleware = False


async def answer(_: Any) -> PlainTextResponse:
    return PlainTextResponse("fine")


async def raw(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("raw")(scope, receive, send)


def thing(number: str) -> str:
    return number


def starlette_app() -> Starlette:
    things = Route("/things/{number}", answer)
    inner = Starlette(routes=[things, Mount("/deep/{part}", routes=[Route("/x/{id:int}", answer)])])
    same = Starlette(routes=[Route("/{id}", answer)])
    return Starlette(
        routes=[
            things,
            Mount("/v2", app=inner),
            Mount("/tenants/{tenant}", app=inner),
            Mount("/same/{id}", app=same),
            Mount("/raw", app=raw),
            Mount("/nested", routes=[Mount("/raw", app=raw)]),
            Mount("/", app=Starlette(routes=[Route("/last", answer)])),
        ]
    )


def fastapi_app() -> fastapi.FastAPI:
    router = fastapi.APIRouter()
    router.get("/things/{number}")(thing)
    outer = fastapi.APIRouter()
    outer.include_router(router, prefix="/outer")
    mounted = fastapi.FastAPI()
    mounted.include_router(router, prefix="/within")
    app = fastapi.FastAPI()
    app.get("/things/{number}")(thing)
    app.mount("/v2", mounted)
    app.mount("/old/{tenant}", starlette_app())
    app.include_router(router, prefix="/included")
    app.include_router(outer, prefix="/shops/{shop}")
    return app


def counted(app: Any, path: str, root_path: str = "") -> set[str]:
    ask(MemoryAsgiMiddleware(app), path, root_path)
    return set(REQUESTS.finished.take()[0])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/things/ann", "GET /things/{number}"),
        ("/v2/things/ann", "GET /v2/things/{number}"),
        ("/v2/deep/ann/x/7", "GET /v2/deep/{part}/x/{id}"),
        ("/tenants/ann/things/bob", "GET /tenants/{tenant}/things/{number}"),
        ("/tenants/ann/deep/bob/x/7", "GET /tenants/{tenant}/deep/{part}/x/{id}"),
        ("/last", "GET /last"),
    ],
)
def test_a_mounted_route_of_starlette_has_its_prefix(path: str, name: str) -> None:
    assert counted(starlette_app(), path) == {name}


def test_what_a_mount_takes_is_never_told_even_if_a_route_hides_its_parameter() -> None:
    assert counted(starlette_app(), "/same/ann/bob") == {"GET /same/{id}/{id}"}


@pytest.mark.parametrize(
    ("path", "name"),
    [("/raw/ann", "GET /raw/{path}"), ("/nested/raw/ann", "GET /nested/raw/{path}")],
)
def test_a_mounted_application_without_routes_is_counted_by_its_mount(path: str, name: str) -> None:
    assert counted(starlette_app(), path) == {name}


def test_an_unknown_path_in_a_mount_is_counted_by_the_mount() -> None:
    assert counted(starlette_app(), "/tenants/ann/nowhere") == {"GET /tenants/{tenant}/{path}"}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/things/ann", "GET /things/{number}"),
        ("/v2/within/things/ann", "GET /v2/within/things/{number}"),
        ("/included/things/ann", "GET /included/things/{number}"),
        ("/shops/ann/outer/things/bob", "GET /shops/{shop}/outer/things/{number}"),
        ("/old/ann/v2/things/bob", "GET /old/{tenant}/v2/things/{number}"),
    ],
)
def test_a_mounted_or_included_route_of_fastapi_has_its_prefix(path: str, name: str) -> None:
    assert counted(fastapi_app(), path) == {name}


def test_where_the_whole_application_is_mounted_by_a_proxy_is_no_part_of_its_routes() -> None:
    assert counted(starlette_app(), "/api/v2/things/1", "/api") == {"GET /v2/things/{number}"}
    assert counted(starlette_app(), "/api/things/1", "/api") == {"GET /things/{number}"}


def test_a_mount_that_cannot_be_looked_up_is_not_told_as_it_was_asked_for() -> None:
    class Wrapped:
        def __init__(self) -> None:
            self._app = starlette_app()

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self._app(scope, receive, send)

    app = Starlette(routes=[Mount("/wrapped", app=Wrapped())])
    assert counted(app, "/wrapped/tenants/ann/things/bob") == {"GET /wrapped/{…}/things/{number}"}


def test_what_is_remembered_of_mounts_is_bounded() -> None:
    app, routes = starlette_app(), AsgiRoutes()
    route = app.routes[0]
    for number in range(_MOST_PREFIXES + 10):
        scope = {
            "route": route,
            "router": app.router,
            "app_root_path": "",
            "root_path": f"/tenants/ann{number}",
        }
        assert routes.find(scope) == "/tenants/{tenant}/things/{number}"
    assert len(routes._prefixes) == _MOST_PREFIXES
