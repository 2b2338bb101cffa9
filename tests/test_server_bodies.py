"""Bodies that are wrong, too large or never come, and engines that fail: what each is told, over loopback."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from runtime.errors import EngineClosed, EngineError, QueueFull, TimedOut
from runtime.server import guards
from runtime.server.guards import MAX_BODY
from runtime.values import Failed, Text
from tests.gate import comes_true
from tests.servers import code_of, request, said_by, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Scripted

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted(tmp_path_factory.mktemp("models")) as one:
        yield one


# -- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, 3003)), (b" \n", (400, 3003)), (b"{", (400, 5006)), (b"prompt=Hi", (400, 5006)),
        (b"\xff", (400, 5006)), (b"[]", (400, 5006)), (b"null", (400, 5006)), (b"5", (400, 5006)),
        (b'"Hi"', (400, 5006)), (b"{}", (400, 5006)), (b'{"prompt": 5}', (400, 5006)),
        (b'{"prompt": "Hi", "temperature": NaN}', (400, 5006)),
        (b'{"prompt": "Hi", "temperature": 1e999}', (400, 5006)),
        (b'{"prompt": "Hi", "temperature": true}', (400, 5006)),
        (b'{"prompt": "Hi", "max_tokens": -1}', (400, 5006)),
        (b'{"prompt": "Hi", "seed": %s}' % (b"9" * 400), (400, 5006)),
        (b'{"prompt": "Hi", "seed": %s}' % (b"9" * 5000), (400, 5006)),
        (b'{"prompt": "Hi", "prompt": "Ho"}', (400, 5006)),
        (b'{"prompt": "\\ud800"}', (400, 5006)),
        (b'{"prompt": "Hi", "\\udfff": 1}', (400, 5006)),
        (b'{"prompt": "Hi", "x": %s}' % (b"[" * 137 + b"]" * 137), (400, 5006)),
        (b"[" * 100_000 + b"]" * 100_000, (400, 5006)),
        (b'{"a":' * 100_000, (400, 5006)),
        (b'{"prompt": "Hi", "image": [1]}', (400, 5006)),
        (b'{"prompt": "Hi", "lora": "nothing"}', (405, 5005)),
        (b'{"prompt": "", "stream": true}', (400, 5006)),
        (b'{"prompt": "Hi", "stream": "maybe"}', (400, 5006)),
        (b'{"prompt": "Hi", "lora": "../tales", "stream": true}', (405, 5005)),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else str(value[1]),
)  # fmt: skip
def test_a_wrong_body_is_refused_and_the_next_is_answered(
    server: Scripted, body: bytes, expected: tuple[int, int]
) -> None:
    reply = server.ask(content=body)
    assert (code_of(reply), reply.headers["content-type"]) == (expected, "application/json")
    assert re.fullmatch(rf"(?s)AiError: .{{10,600}} \({UUID}\)", said_by(reply))
    assert server.ask().json()["result"]["response"] == "ok"


LARGEST = b'{"prompt": "Hi"}'.ljust(MAX_BODY)


def test_the_largest_body_is_read(server: Scripted) -> None:
    assert server.ask(content=LARGEST).json()["success"]


@pytest.mark.parametrize("content", [LARGEST + b" ", LARGEST + b" " * 500_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_larger_body_is_refused_and_the_next_is_answered(server: Scripted, content: bytes, chunked: bool) -> None:
    reply = server.ask(content=iter([content[:9], content[9:]]) if chunked else content)
    assert (code_of(reply), reply.headers["connection"]) == ((413, 3006), "close")
    assert server.ask().is_success


def test_a_body_that_nobody_could_want_is_refused_before_it_comes(server: Scripted) -> None:
    head = b"POST /ai/run/tiny HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
    assert server.raw(head).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_without_end_is_cut_off(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "DISCARDED", MAX_BODY)
    with server.connection() as connection:
        connection.sendall(b"POST /ai/run/tiny HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"%x\r\n" % (MAX_BODY + 1) + LARGEST + b" \r\n")  # and no more
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_come_is_waited_for_only_so_long(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "BODY_SECONDS", 0.05)
    reply = server.raw(request()[:-1])
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert b'"code":3007' in reply
    assert b"\r\nconnection: close\r\n" in reply


def test_who_asks_for_leave_to_send_gets_it(server: Scripted) -> None:
    with server.connection() as connection:
        whole = request(b'{"prompt": "Hi"}', "Expect: 100-continue")
        head, _, body = whole.partition(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_who_asks_for_leave_to_send_too_much_does_not_get_it(server: Scripted) -> None:
    head = request(b" " * (MAX_BODY + 1), "Expect: 100-continue").partition(b"\r\n\r\n")[0]
    assert server.raw(head, b"\r\n\r\n").startswith(b"HTTP/1.1 413 ")


# -- engines that fail -----------------------------------------------------------------------------------------------

FULL = QueueFull("9 requests are running or waiting.", "Try again in a moment.")
BROKEN = EngineError("broken")
LATE = TimedOut("late")
CLOSED = EngineClosed("closed")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("script", "expected", "headers"),
    [
        (FULL, (429, 3040), {"retry-after": "2"}),
        (BROKEN, (500, 5000), {}),
        ([Failed(BROKEN)], (500, 5000), {}),
        ([Failed(LATE)], (408, 3007), {"x-should-retry": "false"}),
        ([Failed(CLOSED)], (503, 5000), {"retry-after": "2"}),
    ],
)
def test_a_failure_before_anything_was_written_is_an_ordinary_error(
    server: Scripted,
    script: Any,
    expected: tuple[int, int],
    headers: dict[str, str],
    stream: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runtime.server.streams.FIRST_BYTE", 60.0)
    reply = server.will(script).ask({"prompt": "Hi", "stream": stream})
    assert (code_of(reply), reply.headers["content-type"]) == (expected, "application/json")
    given = {
        name: reply.headers[name] for name in ("retry-after", "x-should-retry", "connection") if name in reply.headers
    }
    assert given == headers


def test_an_answer_that_fails_midway_is_an_error_without_what_was_written(server: Scripted) -> None:
    reply = server.will([Text("Hi"), Failed(BROKEN)]).ask()
    assert (code_of(reply), reply.json()["result"]) == ((500, 5000), {})


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_is_not_here_is_not_asked_for_again(server: Scripted, stream: bool) -> None:
    reply = server.ask({"prompt": "Hi", "stream": stream}, "/ai/run/@cf/meta/llama-3.2-1b-instruct")
    assert (code_of(reply), reply.headers["x-should-retry"]) == ((503, 5000), "false")
    assert server.ask().is_success


@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_of_ours_is_told_in_the_envelope_and_the_service_lives_on(server: Scripted, stream: bool) -> None:
    reply = server.will(ValueError("a secret of ours")).ask({"prompt": "Hi", "stream": stream})
    assert code_of(reply) == (500, 5000)
    assert "secret" not in reply.text
    assert reply.headers.get("connection") == (None if stream else "close")
    assert server.ask().is_success


@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_of_ours_is_in_the_log(server: Scripted, stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    server.will(ValueError("a secret of ours")).ask({"prompt": "Hi", "stream": stream})
    assert comes_true(lambda: "ValueError: a secret of ours" in caplog.text)  # after the reply


@pytest.mark.parametrize("stream", [False, True])
def test_a_runtime_that_is_closed_says_so(tmp_path: Path, stream: bool) -> None:
    with scripted(tmp_path) as server:
        server.running.ai._runtime.close()
        reply = server.ask({"prompt": "Hi", "stream": stream})
        assert (code_of(reply), reply.headers["retry-after"]) == ((503, 5000), "2")
