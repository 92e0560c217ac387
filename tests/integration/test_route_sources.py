"""What frameworks under their own OpenTelemetry instrumentations are counted as."""

from __future__ import annotations

import asyncio
import logging
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import celery
import django
import fastapi
import flask
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from celery.contrib.testing.worker import start_worker
from celery.signals import setup_logging
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.test import Client
from django.urls import include, path
from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from tests.asgi import ask

from opentelemetry.instrumentation.memory._attribution.requests import REQUESTS
from opentelemetry.instrumentation.memory._attribution.route_counter import RouteCounter
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory.middleware import (
    MemoryAsgiMiddleware,
    MemoryWsgiMiddleware,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    REQUESTS.has_middleware = False
    provider = TracerProvider(sampler=ALWAYS_ON)
    counter = RouteCounter(SystemClock())
    counter.attach(provider)
    counter.start()
    yield provider
    counter.detach()
    provider.shutdown()
    REQUESTS.has_middleware = False


def counted() -> dict[str, int]:
    return REQUESTS.finished.take()[0]


def thing(number: str) -> str:
    return number


def test_flask_is_counted_by_its_rule(provider: TracerProvider) -> None:
    shop = flask.Blueprint("shop", __name__, url_prefix="/shop")
    shop.add_url_rule("/things/<number>", "thing", thing)
    app = flask.Flask(__name__)
    app.register_blueprint(shop)
    FlaskInstrumentor().instrument_app(app, tracer_provider=provider)
    client = app.test_client()
    client.get("/shop/things/ann").close()
    client.get("/nowhere/ann").close()
    FlaskInstrumentor().uninstrument_app(app)
    assert counted() == {"GET /shop/things/<number>": 1, "_other": 1}


def fastapi_app(**settings: Any) -> fastapi.FastAPI:
    router = fastapi.APIRouter()
    router.get("/things/{number}")(thing)
    mounted = fastapi.FastAPI(**settings)
    mounted.include_router(router)
    app = fastapi.FastAPI(**settings)
    app.include_router(router)
    app.include_router(router, prefix="/shop")
    app.mount("/v2", mounted)
    return app


FASTAPI_PATHS = ("/things/ann", "/shop/things/ann", "/v2/things/ann", "/nowhere/ann")


def test_fastapi_is_counted_by_its_path_and_a_mount_as_one(provider: TracerProvider) -> None:
    FastAPIInstrumentor().instrument(tracer_provider=provider)
    try:
        app = fastapi_app()
        for each in FASTAPI_PATHS:
            ask(app, each)
    finally:
        FastAPIInstrumentor().uninstrument()
    assert counted() == {
        "GET /things/{number}": 1,
        "GET /shop/things/{number}": 1,
        "GET /v2": 1,
        "_other": 1,
    }


def test_fastapi_with_its_own_telemetry_is_counted_by_its_path(provider: TracerProvider) -> None:
    telemetry = {"tracer_provider": provider, "metrics": False, "logs": False}
    app = fastapi_app(telemetry=telemetry)
    for each in FASTAPI_PATHS:
        ask(app, each)
    assert counted() == {
        "GET /things/{number}": 1,
        "GET /shop/things/{number}": 1,
        "GET /v2/things/{number}": 1,
        "_other": 1,
    }


def test_fastapi_in_the_middleware_is_counted_once_and_by_its_path(
    provider: TracerProvider,
) -> None:
    telemetry = {"tracer_provider": provider, "metrics": False, "logs": False}
    app = MemoryAsgiMiddleware(fastapi_app(telemetry=telemetry))
    for each in FASTAPI_PATHS:
        ask(app, each)
    assert counted() == {
        "GET /things/{number}": 1,
        "GET /shop/things/{number}": 1,
        "GET /v2/things/{number}": 1,
        "GET _other": 1,
    }


@pytest.mark.filterwarnings("ignore:Inheritance class _InstrumentedApplication:DeprecationWarning")
def test_aiohttp_is_counted_by_the_path_of_its_resource(provider: TracerProvider) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=request.match_info["number"])

    async def serve() -> None:
        mounted = web.Application()
        mounted.router.add_get("/things/{number}", answer)
        app = web.Application()
        app.router.add_get("/things/{number}", answer)
        app.add_subapp("/v2", mounted)
        async with TestClient(TestServer(app)) as client:
            for each in ("/things/ann", "/v2/things/ann", "/nowhere/ann"):
                async with client.get(each) as response:
                    await response.read()

    AioHttpServerInstrumentor().instrument(tracer_provider=provider)
    try:
        asyncio.run(serve())
    finally:
        AioHttpServerInstrumentor().uninstrument()
    # Both applications have the instrumentation's middleware, and each begins a trace of its own.
    assert counted() == {"GET /things/{number}": 1, "GET /v2/things/{number}": 2, "GET _other": 1}


@pytest.fixture
def django_urls() -> Iterator[None]:
    def answer(_: Any, number: int) -> HttpResponse:
        return HttpResponse(str(number))

    urls = ModuleType("urls_of_this_test")
    things = [path("things/<int:number>", answer)]
    urls.urlpatterns = [*things, path("shop/", include(things))]  # type: ignore[attr-defined]
    sys.modules[urls.__name__] = urls
    if not settings.configured:
        settings.configure(ROOT_URLCONF=urls.__name__, ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None)
        django.setup()
    logging.getLogger("django.request").disabled = True
    yield
    del sys.modules[urls.__name__]


@pytest.mark.usefixtures("django_urls")
def test_django_is_counted_by_its_route(provider: TracerProvider) -> None:
    DjangoInstrumentor().instrument(tracer_provider=provider)
    try:
        client = Client()
        for each in ("/things/1", "/shop/things/2", "/nowhere/ann"):
            client.get(each).close()
    finally:
        DjangoInstrumentor().uninstrument()
    assert counted() == {
        "GET things/<int:number>": 1,
        "GET shop/things/<int:number>": 1,
        "_other": 1,
    }


@pytest.mark.usefixtures("django_urls", "provider")
def test_django_in_the_middleware_is_counted_by_its_route() -> None:
    app = MemoryWsgiMiddleware(get_wsgi_application())
    for each in ("/things/1", "/shop/things/2", "/nowhere/ann"):
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": each, "SERVER_NAME": "a"}
        environ |= {"SERVER_PORT": "80", "wsgi.input": sys.stdin, "wsgi.url_scheme": "http"}
        app(environ, lambda *_: None).close()  # type: ignore[attr-defined]
    assert counted() == {
        "GET /things/<int:number>": 1,
        "GET /shop/things/<int:number>": 1,
        "GET _other": 1,
    }


def leave_logging_alone(**_: Any) -> None: ...


def test_a_celery_task_is_counted_by_its_name(provider: TracerProvider) -> None:
    level = logging.getLogger().level
    app = celery.Celery("shop", broker="memory://", backend="cache+memory://")

    @app.task(name="shop.export")
    def export(number: int) -> int:
        return number

    # Else a worker takes over the root logger of this process, for all tests that follow.
    setup_logging.connect(leave_logging_alone)
    CeleryInstrumentor().instrument(tracer_provider=provider)
    try:
        with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=30):
            assert export.delay(7).get(timeout=30) == 7
            assert export.delay(8).get(timeout=30) == 8
    finally:
        CeleryInstrumentor().uninstrument()
        setup_logging.disconnect(leave_logging_alone)
    assert counted() == {"shop.export": 2}
    assert logging.getLogger().level == level
