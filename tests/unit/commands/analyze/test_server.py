"""What is asked of a server, and what is made of an answer that is none."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.parse
from typing import TYPE_CHECKING, Any

import pytest

from opentelemetry.instrumentation.memory._commands.analyze import server
from opentelemetry.instrumentation.memory._commands.analyze.problems import InputError, Problems

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Answering(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        here: Any = self.server
        here.requests.append((self.path, self.headers.get("Authorization")))
        status, headers, body = here.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def fake() -> Iterator[Any]:
    """Give a server on loopback that always answers `answer` and keeps `requests`."""
    fake: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
    fake.requests = []
    fake.answer = (200, {}, b'{"data": {"resultType": "matrix", "result": []}}')
    thread = threading.Thread(target=fake.serve_forever, daemon=True)
    thread.start()
    yield fake
    fake.shutdown()
    fake.server_close()
    thread.join()


def ask(url: str, end: float = 1000.0, step: float = 10.0) -> list[float]:
    """Read everything; return the shares at which a page had been read."""
    shares: list[float] = []
    query = server.RangeQuery(url, "up", 0.0, end, step)
    assert list(server.read_server(query, Problems(), shares.append)) == []
    return shares


def url(fake: Any, user: str = "", path: str = "") -> str:
    return f"http://{user}127.0.0.1:{fake.server_port}{path}"


def test_a_long_range_is_asked_for_in_pages_that_leave_nothing_out(fake: Any) -> None:
    assert ask(url(fake), end=250_000.0) == pytest.approx([1 / 3, 2 / 3, 1])
    asked = [dict(urllib.parse.parse_qsl(path.partition("?")[2])) for path, _ in fake.requests]
    ranges = [(float(each["start"]), float(each["end"])) for each in asked]
    assert ranges == [(0, 109_990), (110_000, 219_990), (220_000, 250_000)]
    assert {each["step"] for each in asked} == {"10.0"}


def test_a_server_may_live_under_a_path_and_behind_a_password(fake: Any) -> None:
    ask(url(fake, "me:s%40cret@", "/prometheus/"))
    ((path, authorization),) = fake.requests
    assert path.startswith("/prometheus/api/v1/query_range?query=up&")
    assert authorization == "Basic bWU6c0BjcmV0"


def test_a_redirection_to_another_host_is_not_followed(fake: Any) -> None:
    fake.answer = (302, {"Location": "http://localhost:1/x"}, b"")
    with pytest.raises(InputError, match="found a redirection to http://localhost:1/x, expected"):
        ask(url(fake))
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, b"<html>", "found HTTP status 404, expected a Prometheus server"),
        (503, b"", "found HTTP status 503, expected a Prometheus server"),
        (400, json.dumps({"status": "error", "error": "no"}).encode(), "found the error"),
        (200, b"<html>", "found '<html>', expected JSON"),
        (200, b"\xff", r"expected JSON"),
    ],
)
def test_an_answer_that_is_none_is_named(
    fake: Any, status: int, body: bytes, expected: str
) -> None:
    fake.answer = (status, {}, body)
    with pytest.raises(InputError, match=expected):
        ask(url(fake))


@pytest.mark.parametrize(
    "address", ["http://", "http://a b", "http://[::1", "http://h:x", "http://h/?q"]
)
def test_an_address_that_is_none_is_refused_without_a_connection(address: str) -> None:
    with pytest.raises(InputError, match="expected a"):
        ask(address)
