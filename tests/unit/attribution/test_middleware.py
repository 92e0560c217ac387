"""The middleware finds the template of the route, in the frameworks as they are."""

from __future__ import annotations

import gc
import io
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from wsgiref.handlers import SimpleHandler
from wsgiref.simple_server import WSGIRequestHandler, make_server

import fastapi
import flask
import pytest
import uvicorn
from tests.fakes import FakeClock

from opentelemetry.instrumentation.memory._attribution.request_watch import RequestWatch
from opentelemetry.instrumentation.memory._attribution.requests import REQUESTS
from opentelemetry.instrumentation.memory._attribution.route_names import OTHER
from opentelemetry.instrumentation.memory.middleware import (
    MemoryAsgiMiddleware,
    MemoryWsgiMiddleware,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _counting() -> Iterator[None]:
    REQUESTS.start_counting()
    yield
    REQUESTS.stop_counting()
    REQUESTS.has_middleware, REQUESTS.watch = False, None


def counted() -> dict[str, int]:
    return REQUESTS.finished.take()[0]


def get(url: str) -> bytes:
    with urllib.request.urlopen(url) as response:  # noqa: S310 - on loopback
        return bytes(response.read())


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None: ...


def str_of(number: int) -> str:
    return str(number)


@pytest.fixture
def flask_app() -> flask.Flask:
    app = flask.Flask(__name__)
    app.add_url_rule("/orders/<int:number>", "order", str_of)

    def fail() -> str:
        raise KeyError

    app.add_url_rule("/fail", "fail", fail)
    app.wsgi_app = MemoryWsgiMiddleware(app.wsgi_app)  # type: ignore[method-assign]
    return app


@pytest.fixture
def flask_url(flask_app: flask.Flask) -> Iterator[str]:
    with make_server("127.0.0.1", 0, flask_app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def fastapi_url() -> Iterator[str]:
    app = fastapi.FastAPI()

    @app.get("/items/{number}")
    async def item(number: int) -> int:
        return number

    config = uvicorn.Config(MemoryAsgiMiddleware(app), port=0, log_level="error", ws="none")
    server = uvicorn.Server(config)
    sock = config.bind_socket()
    sock.listen()  # so that a request may come before the server is up
    thread = threading.Thread(target=server.run, args=([sock],))
    thread.start()
    yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    sock.close()


def test_flask_served_for_real_is_counted_by_its_rule(flask_url: str) -> None:
    assert get(f"{flask_url}/orders/17") == b"17"
    get(f"{flask_url}/orders/18")
    # The server closes a response's body after it has sent it: the next request comes after that.
    assert counted().get("GET /orders/<int:number>", 0) >= 1


def test_fastapi_served_for_real_is_counted_by_its_path(fastapi_url: str) -> None:
    assert get(f"{fastapi_url}/items/3") == b"3"
    get(f"{fastapi_url}/items/4")
    assert counted().get("GET /items/{number}", 0) >= 1


def test_an_unknown_path_is_one_of_the_others(flask_app: flask.Flask) -> None:
    flask_app.test_client().get("/wp-admin/ann@example.org").close()
    assert counted() == {f"GET {OTHER}": 1}


def test_a_view_that_fails_is_counted(flask_app: flask.Flask) -> None:
    flask_app.test_client().get("/fail").close()
    assert counted() == {"GET /fail": 1}


def test_an_application_that_raises_is_counted_and_raises() -> None:
    def app(_: Any, __: Any) -> Any:
        raise KeyError

    with pytest.raises(KeyError):
        MemoryWsgiMiddleware(app, route=lambda _: "/mine")({"REQUEST_METHOD": "GET"}, None)
    assert counted() == {"GET /mine": 1}


def test_a_route_callable_that_fails_harms_nobody() -> None:
    def fail(_: object) -> str:
        raise KeyError

    app = MemoryWsgiMiddleware(lambda _, __: [b"fine"], route=fail)
    body = app({"REQUEST_METHOD": "GET"}, None)
    assert list(body) == [b"fine"]
    body.close()  # type: ignore[attr-defined]
    assert counted() == {f"GET {OTHER}": 1}


def test_a_request_is_under_way_until_its_body_is_closed() -> None:
    app = MemoryWsgiMiddleware(lambda _, __: [b"a"], route=lambda _: "/a")
    body = app({"REQUEST_METHOD": "GET"}, None)
    assert counted() == {}
    body.close()  # type: ignore[attr-defined]
    assert counted() == {"GET /a": 1}


def test_nothing_is_counted_while_nobody_counts(flask_app: flask.Flask) -> None:
    REQUESTS.stop_counting()
    flask_app.test_client().get("/orders/1").close()
    assert counted() == {}


def test_start_response_may_be_called_by_keyword() -> None:
    told: list[object] = []

    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("500 Oops", [], exc_info=None)
        return []

    def start_response(status: str, headers: object, exc_info: object = None) -> None:
        told.append((status, headers, exc_info))

    MemoryWsgiMiddleware(app, route=lambda _: "/a")({"REQUEST_METHOD": "GET"}, start_response)
    assert told == [("500 Oops", [], None)]


def test_a_body_of_one_block_keeps_its_content_length() -> None:
    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"whole"]

    served = MemoryWsgiMiddleware(app, route=lambda _: "/a")
    sent = io.BytesIO()
    environ = {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1"}
    SimpleHandler(io.BytesIO(), sent, io.StringIO(), environ).run(served)
    assert b"Content-Length: 5" in sent.getvalue()


def test_a_body_without_a_length_gets_none() -> None:
    app = MemoryWsgiMiddleware(lambda _, __: iter([b"a"]), route=lambda _: "/a")
    assert not hasattr(app({"REQUEST_METHOD": "GET"}, None), "__len__")


def test_a_method_that_a_client_made_up_is_one_of_the_others() -> None:
    app = MemoryWsgiMiddleware(lambda _, __: [b"a"], route=lambda _: "/a")
    app({"REQUEST_METHOD": "BREW"}, None).close()  # type: ignore[attr-defined]
    assert list(REQUESTS.finished._by_key) == [("_OTHER", "/a", 1.0)]


def test_a_body_that_is_dropped_without_a_close_does_not_blind_the_watch() -> None:
    told: list[tuple[int, str]] = []
    levels = iter((0, 1000, 6000))
    watch = RequestWatch(
        1000, lambda: next(levels), lambda size, route, _: told.append((size, route)), FakeClock()
    )
    REQUESTS.watch = watch
    app = MemoryWsgiMiddleware(lambda _, __: [b"a"], route=lambda _: "/a")
    app({"REQUEST_METHOD": "GET"}, None)
    gc.collect()
    body: Any = app({"REQUEST_METHOD": "GET"}, None)
    body.close()
    assert told == [(5000, "GET /a")]
