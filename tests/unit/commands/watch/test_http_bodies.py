"""Bodies without a length, and bodies that never end."""

from __future__ import annotations

import contextlib
import gzip
import select
import socket

import pytest
from tests.unit.commands.watch.serving import BODY, http, receiver

from opentelemetry.instrumentation.memory._commands.watch import http_server


def post_raw(port: int, body: bytes, *headers: str) -> int:
    """Send a request as it is written here, and return the status of the answer."""
    first = "POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall((first + "".join(f"{each}\r\n" for each in headers)).encode())
        connection.sendall(b"\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").readline()
    return int(answer.split()[1])


CHUNKED = "Transfer-Encoding: chunked"


def chunks(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    written = [b"%x;part\r\n%b\r\n" % (len(part), part) for part in parts]
    return b"".join([*written, b"0\r\nX-Checked: no\r\n\r\n"])


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_http_takes_a_body_in_chunks(size: int) -> None:
    way_in = receiver()
    with http(way_in) as port:
        packed = gzip.compress(BODY)
        assert post_raw(port, chunks(BODY, size), CHUNKED) == 200
        assert post_raw(port, chunks(packed, size), CHUNKED, "Content-Encoding: gzip") == 200
    assert len(way_in.fleet.identities()) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"-1\r\n\r\n0\r\n\r\n",
        b"0x1\r\na\r\n0\r\n\r\n",
        b"fffffffff\r\n",
        b"2\r\nabc\r\n0\r\n\r\n",
        b"5\r\nab",
        chunks(BODY, 7)[:-2],
        chunks(b"\0" * 2049, 1000),
        b"0\r\n" + b"a: b\r\n" * 100 + b"\r\n",
        b"1" * 5000,
    ],
)
def test_http_answers_400_to_chunks_that_are_none(body: bytes) -> None:
    way_in = receiver()
    with http(way_in) as port:
        assert post_raw(port, body, CHUNKED) == 400
        assert post_raw(port, chunks(BODY, 7), CHUNKED) == 200
    assert way_in.waiting == 0


@pytest.mark.parametrize("headers", [(CHUNKED, "Content-Length: 3"), ("Transfer-Encoding: gzip",)])
def test_http_answers_400_where_a_body_ends_is_unclear(headers: tuple[str, ...]) -> None:
    with http(receiver()) as port:
        assert post_raw(port, chunks(BODY, 7), *headers) == 400


@pytest.mark.parametrize("begin", ["Content-Length: 2000\r\n\r\n", f"{CHUNKED}\r\n\r\n7d0\r\n"])
def test_http_does_not_wait_for_ever_for_a_body_that_comes_byte_by_byte(
    monkeypatch: pytest.MonkeyPatch, begin: str
) -> None:
    monkeypatch.setattr(http_server, "_PATIENCE_SECONDS", 2)
    way_in = receiver()
    sent = 0
    with http(way_in) as port, socket.create_connection(("127.0.0.1", port)) as slow:
        head = f"POST /v1/metrics HTTP/1.1\r\nContent-Type: application/x-protobuf\r\n{begin}"
        slow.sendall(head.encode())
        while not select.select([slow], [], [], 0.05)[0] and sent < 2000:
            slow.sendall(b"x")
            sent += 1
        assert slow.recv(12) == b"HTTP/1.1 400"
        assert way_in.waiting == 0
    assert sent < 2000
    assert way_in.tally.requests == {"malformed": 1}


def test_http_does_not_wait_for_ever_for_the_head_of_a_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "_PATIENCE_SECONDS", 2)
    with http(receiver()) as port, socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"POST /v1/metrics HTTP/1.1\r\nX: ")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while not select.select([slow], [], [], 0.05)[0] and sent < 2000:
                slow.sendall(b"x")
                sent += 1
            assert slow.recv(1) == b""
    assert sent < 2000
