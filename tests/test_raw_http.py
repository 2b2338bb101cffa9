"""HTTP as nobody should write it, byte by byte: each case has its one right answer, and the next request is answered.

What could be read in two ways is refused, and its connection closed: where would the next request begin?
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
from typing import TYPE_CHECKING

import pytest

from tests.servers import Scripted, request, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY = b'{"prompt": "Hi"}'
START = "POST /ai/run/tiny HTTP/1.1"
CHUNKED = "Transfer-Encoding: chunked"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(*fields: str, body: bytes = BODY, start: str = START, host: str | None = "localhost") -> bytes:
    """A request with these header fields besides the Host, and none of its own."""
    head = [start, *([] if host is None else [f"Host: {host}"]), *fields, "", ""]
    return "\r\n".join(head).encode("latin-1") + body


def sized(*fields: str, **options: str | None) -> bytes:
    return post(*fields, f"Content-Length: {len(BODY)}", **options)  # type: ignore[arg-type]


def chunks(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return post(CHUNKED, body=b"".join(parts) + end)


WHOLE = b"10\r\n" + BODY + b"\r\n"

# What has two lengths, or none that is one. The smuggled request must never be answered.
LENGTHS = {
    "both": post("Content-Length: 16", CHUNKED, body=WHOLE + b"0\r\n\r\n"),
    "both, the other way round": post(CHUNKED, "Content-Length: 4", body=b"0\r\n\r\n" + SMUGGLED),
    "both, length of nothing": post("Content-Length: 0", CHUNKED, body=b"0\r\n\r\n" + SMUGGLED),
    "two lengths": post("Content-Length: 16", "Content-Length: 5"),
    "two lengths in one": post("Content-Length: 16, 5"),
    "plus": post("Content-Length: +16"),
    "minus": post("Content-Length: -1"),
    "minus zero": post("Content-Length: -0"),
    "hexadecimal": post("Content-Length: 0x10"),
    "fraction": post("Content-Length: 16.0"),
    "exponent": post("Content-Length: 1e1"),
    "underscore": post("Content-Length: 1_6"),
    "no number": post("Content-Length: ten"),
    "empty length": post("Content-Length: "),
    "spaces in it": post("Content-Length: 1 6"),
    "Arabic digits": post("Content-Length: \xb2"),
    "endless": post("Content-Length: " + "9" * 400),
    "space before the colon": post("Content-Length : 16"),
    "vertical tab": post("Content-Length:\x0b16"),
    "chunked twice": post(CHUNKED, CHUNKED, body=WHOLE + b"0\r\n\r\n"),
    "chunked and more": post("Transfer-Encoding: chunked, identity", body=WHOLE + b"0\r\n\r\n"),
    "gzip": post("Transfer-Encoding: gzip"),
    "identity": post("Transfer-Encoding: identity", "Content-Length: 16"),
    "xchunked": post("Transfer-Encoding: xchunked", "Content-Length: 16"),
    "chunked in quotes": post('Transfer-Encoding: "chunked"', "Content-Length: 16"),
    "a control character": post("Transfer-Encoding: \x0bchunked", "Content-Length: 16"),
    "a space in the name": post("Transfer-Encoding : chunked", body=WHOLE + b"0\r\n\r\n"),
    "folded": post("Transfer-Encoding:\r\n chunked", "Content-Length: 16", body=WHOLE + b"0\r\n\r\n"),
    "a new line in the name": post("Transfer-\r\nEncoding: chunked", body=WHOLE + b"0\r\n\r\n"),
}

CHUNKS = {
    "no number": chunks(b"zz\r\n{}\r\n"),
    "minus": chunks(b"-1\r\n{}\r\n"),
    "plus": chunks(b"+2\r\n{}\r\n"),
    "0x": chunks(b"0x2\r\n{}\r\n"),
    "underscore": chunks(b"1_0\r\n" + BODY + b"\r\n"),
    "empty": chunks(b"\r\n{}\r\n"),
    "space first": chunks(b" 2\r\n{}\r\n"),
    "tab first": chunks(b"\t2\r\n{}\r\n"),
    "21 digits": chunks(b"0" * 20 + b"2\r\n{}\r\n"),
    "huge": chunks(b"f" * 30 + b"\r\n{}\r\n"),
    "too short": chunks(b"5\r\n" + BODY + b"\r\n"),
    "too long": chunks(b"12\r\n" + BODY + b"\r\n"),
    "no line end behind it": chunks(b"10\r\n" + BODY),
    "another line end behind it": chunks(b"10\r\n" + BODY + b"\n\n"),
    "bare CR": chunks(b"10\r" + BODY + b"\r\n"),
    "NUL": chunks(b"10\0\r\n" + BODY + b"\r\n"),
    "a line feed in the extension": chunks(b"10;a\n" + BODY + b"\r\n"),
    "bad trailer": chunks(WHOLE, end=b"0\r\nno field\r\n\r\n"),
}

GOOD_CHUNKS = {
    "one": chunks(WHOLE),
    "each byte": chunks(*(b"1\r\n%c\r\n" % byte for byte in BODY)),
    "capitals": chunks(b"A\r\n" + BODY[:10] + b"\r\n6\r\n" + BODY[10:] + b"\r\n"),
    "leading zeros": chunks(b"0010\r\n" + BODY + b"\r\n"),
    "extension": chunks(b'10;name="value"\r\n' + BODY + b"\r\n"),
    "an extension of nonsense, which nobody reads": chunks(b"10;a=\x01\r\n" + BODY + b"\r\n"),
    "trailers": chunks(WHOLE, end=b"0\r\nX-Sum: 5\r\nHost: evil.com\r\n\r\n"),
    "in capitals": post("Transfer-Encoding: Chunked", body=WHOLE + b"0\r\n\r\n"),
}

LINES = {
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "a version to come": (200, b"GET /healthz HTTP/3.0\r\nHost: localhost\r\n\r\n"),
    "no version": (400, b"GET /healthz\r\nHost: localhost\r\n\r\n"),
    "no method": (400, b"/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "two spaces": (400, b"GET  /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "a space in the address": (400, b"GET /health z HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "NUL in the address": (400, b"GET /health\0z HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "bytes over ASCII": (400, "GET /höalthz HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()),
    "http in small letters": (400, b"GET /healthz http/1.1\r\nHost: localhost\r\n\r\n"),
    "a field without a colon": (400, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nnothing\r\n\r\n"),
    "a field without a name": (400, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n"),
    "a space in a name": (400, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nx y: z\r\n\r\n"),
    "NUL in a value": (400, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nx: y\0z\r\n\r\n"),
    "bare CR in a value": (400, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nx: y\rz: 1\r\n\r\n"),
    "folded first": (400, b"GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n"),
    "a proxy's address": (400, b"GET http://evil.com/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "a star": (400, b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "CONNECT": (400, b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "another host's root": (400, b"GET //evil.com/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "20,000 headers": (431, post(*(f"X-{number}: y" for number in range(20_000)))),
    "20,000 long headers": (431, post(*(f"X-{number}: {'y' * 60}" for number in range(20_000)))),
    "101 headers": (431, sized(*(f"X-{number}: y" for number in range(99)))),
    "a line of 1 MB": (431, b"POST /" + b"x" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "a line of 40 KB": (431, b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "a query of 40 KB": (431, b"GET /healthz?" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "a header of 40 KB": (431, sized("X: " + "y" * 40_000)),
    "a header of 1 MB": (431, sized("X: " + "y" * 1_000_000)),
    "a name of 40 KB": (431, sized("y" * 40_000 + ": x")),
    "a trailer of 1 MB": (431, chunks(WHOLE, end=b"0\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n")),
    "an extension of 1 MB": (431, chunks(b"10;" + b"y" * 1_000_000 + b"\r\n" + BODY + b"\r\n")),
    "100 headers": (200, sized(*(f"X-{number}: y" for number in range(98)))),
    "line feeds alone": (200, b"GET /healthz HTTP/1.1\nHost: localhost\n\n"),
    "HTTP/1.0": (200, sized(start="POST /ai/run/tiny HTTP/1.0")),
    "HTTP/1.0, no host": (400, sized(start="POST /ai/run/tiny HTTP/1.0", host=None)),
    "HTTP/1.0, chunked": (400, post(CHUNKED, body=WHOLE, start="POST /ai/run/tiny HTTP/1.0")),
    "HTTP/1.0, no length": (400, post(body=b"", start="POST /ai/run/tiny HTTP/1.0")),
    "an upgrade": (200, sized("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")),
    "an upgrade to HTTP/2": (200, sized("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x")),
    "no length": (400, post(body=b"")),
    "an expectation of something else": (200, sized("Expect: 200-ok")),
}

HOSTS = {
    "localhost": 200, "LOCALHOST": 200, "localhost:8788": 200, "127.0.0.1": 200, "[::1]:8788": 200,
    "evil.example": 403, "evil.example:8788": 403, "localhost.evil.example": 403, "localhost.": 403,
    "127.0.0.1.evil.example": 403, "0.0.0.0": 403, "[::]": 403, "2130706433": 403, "127.1": 403, "0x7f000001": 403,
    "evil.example#localhost": 403, "evil.example\\localhost": 403, "localhost, evil.example": 403,
    "": 400, ":80": 400, "localhost:": 400, "localhost:80:80": 400, "localhost:evil": 400, "localhost:999999": 400,
    "user@localhost:x": 400, "[::1": 400, "::1": 400, "http://localhost": 400, "localhost:80/path": 400,
}  # fmt: skip

ORIGINS = [
    "http://localhost.evil.com", "http://notlocalhost", "http://evil.com", "https://localhost", "http://localhost:1",
    "http://127.0.0.1", "http://[::1]", "null", "file://", "", "localhost", "http://localhost/", "http://localhost.",
    "http://localhost@evil.com", "http://evil.com#http://localhost", "chrome-extension://abcdefgh",
    "http://localhost http://localhost",
]  # fmt: skip

METHODS = [
    "GET",
    "HEAD",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "CONNECTX",
    "post",
    "PROPFIND",
    "BREW",
    "X" * 300,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted(tmp_path_factory.mktemp("models")) as one:
        yield one


def statuses(server: Scripted, sent: bytes) -> list[int]:
    """Of all that is answered to these bytes, up to the end of the connection, which this side half closes."""
    got = b""
    with server.connection() as connection, contextlib.suppress(ConnectionError):  # cut while this side still sends
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            got += part
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", got)]


def first(server: Scripted, sent: bytes, method: str = "POST") -> http.client.HTTPResponse:
    """The answer to these bytes, which is read whole."""
    with server.connection() as connection:
        connection.sendall(sent)
        reply = http.client.HTTPResponse(connection, method=method)
        reply.begin()
        reply.read()
        return reply


def is_well(server: Scripted) -> bool:
    return server.ask().is_success


@pytest.mark.parametrize("sent", LENGTHS.values(), ids=LENGTHS)
def test_what_has_no_one_length_is_refused_and_its_connection_closed(server: Scripted, sent: bytes) -> None:
    server.engine.requests.clear()
    reply = first(server, sent + SMUGGLED)
    assert (reply.status, reply.headers["connection"]) == (400, "close")
    assert server.engine.requests == []
    assert is_well(server)


@pytest.mark.parametrize("sent", CHUNKS.values(), ids=CHUNKS)
def test_chunks_that_are_none_are_refused_and_nothing_runs(server: Scripted, sent: bytes) -> None:
    server.engine.requests.clear()
    assert first(server, sent).status == 400
    assert server.engine.requests == []
    assert is_well(server)


@pytest.mark.parametrize("sent", GOOD_CHUNKS.values(), ids=GOOD_CHUNKS)
def test_chunks_that_are_as_they_may_be_are_read(server: Scripted, sent: bytes) -> None:
    assert first(server, sent).status == 200


@pytest.mark.parametrize(("status", "sent"), LINES.values(), ids=LINES)
def test_a_head_has_its_answer(server: Scripted, status: int, sent: bytes) -> None:
    try:
        assert first(server, sent, "GET").status == status
    except ConnectionError:  # it was refused while this side still sent, and what was said is lost
        assert (status, len(sent) > 200_000) == (431, True)
    assert is_well(server)


@pytest.mark.parametrize(("host", "status"), HOSTS.items())
def test_a_host_is_let_in_or_not(server: Scripted, host: str, status: int) -> None:
    assert first(server, sized(host=host)).status == status


def test_two_hosts_are_none(server: Scripted) -> None:
    assert first(server, sized("Host: evil.example")).status == 400


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("origin", ORIGINS)
def test_no_page_is_let_in(server: Scripted, origin: str, method: str) -> None:
    reply = first(server, sized(f"Origin: {origin}", start=f"{method} /ai/run/tiny HTTP/1.1"), method)
    assert reply.status == 403
    assert [name for name in reply.headers if name.lower().startswith("access-control-")] == []


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method[:9])
def test_there_is_no_other_method(server: Scripted, method: str) -> None:
    reply = first(server, sized(start=f"{method} /ai/run/tiny HTTP/1.1"), method)
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


def test_100_requests_at_once_on_one_connection_are_answered_in_order(server: Scripted) -> None:
    mixed = [GET, request(), request(b"{"), request(path="/nowhere")]
    with server.connection() as connection:
        connection.sendall(b"".join(mixed * 24 + [GET] * 3 + [request(BODY, "Connection: close")]))
        got = b"".join(iter(lambda: connection.recv(65536), b""))
    found = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", got)]
    assert found == [200, 200, 400, 400] * 24 + [200] * 4


def test_what_comes_behind_the_request_that_closes_is_not_answered(server: Scripted) -> None:
    assert statuses(server, request(BODY, "Connection: close") + GET) in ([200], [])  # [] as half closed is left


def test_leave_to_send_is_given_once(server: Scripted) -> None:
    with server.connection() as connection:
        head, _, body = request(BODY, "Expect: 100-continue").partition(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body + GET)
        got = b""
        while got.count(b"HTTP/1.1") < 2:
            got += connection.recv(65536)
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", got) == [b"200", b"200"]


def test_who_sends_without_waiting_for_leave_gets_the_answer_alone(server: Scripted) -> None:
    assert first(server, request(BODY, "Expect: 100-continue")).status == 200
