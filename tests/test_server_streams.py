"""Answers as streams of events over HTTP: their framing, signs of life, errors on the way, clients that do not read."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from runtime import AsyncRuntime
from runtime.errors import EngineError
from runtime.server import streams
from runtime.server.app import application
from runtime.values import Failed, Progress, Text
from tests.fake_engine import FakeEngine, answer
from tests.servers import PATIENCE, Scripted, read_all, request, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runtime.engine import Emit
    from runtime.values import Event, Request

BODY = {"prompt": "Hi", "stream": True}
SENT = json.dumps(BODY).encode()
EMPTY = {"response": ""}
TEXTS = ["", "a\n\nb", "data: [DONE]\n\n", "\r", "\u2028", "🦙", '"', "\0", " end"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted(tmp_path_factory.mktemp("models")) as one:
        yield one


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sign of life but where a test asks for them."""
    monkeypatch.setattr(streams, "FIRST_BYTE", 600.0)
    monkeypatch.setattr(streams, "HEARTBEAT", 600.0)


@pytest.fixture
def lively(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life come soon."""
    monkeypatch.setattr(streams, "FIRST_BYTE", 0.02)
    monkeypatch.setattr(streams, "HEARTBEAT", 0.02)


def events(stream: str | bytes) -> list[Any]:
    """What the events hold; "[DONE]" for the last."""
    *found, rest = (stream if isinstance(stream, str) else stream.decode()).split("\n\n")
    assert rest == ""
    assert all(event.startswith("data: ") for event in found)
    data = [event.removeprefix("data: ") for event in found]
    return [one if one == "[DONE]" else json.loads(one) for one in data]


class Slow(FakeEngine):
    """Takes requests in, and goes on with the next only when told: by `emit`."""

    def __init__(self) -> None:
        super().__init__()
        self.submitted, self.cancelled = threading.Event(), threading.Event()

    def submit(self, request: Request, emit: Emit) -> None:
        self.scripts.append([])
        super().submit(request, emit)
        self.submitted.set()

    def emit(self, *script: Event) -> None:
        (running,) = self.running
        for event in script:
            self._emit(running, event)

    def cancel(self, request_id: str) -> None:
        super().cancel(request_id)
        self.cancelled.set()


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def slow_server(slow: Slow, tmp_path: Path) -> Iterator[Scripted]:
    with scripted(tmp_path, make_engine=lambda *_: slow) as one:
        yield one


# -- what is in a stream ---------------------------------------------------------------------------------------------


def test_the_type_is_that_of_events_without_a_charset(server: Scripted) -> None:
    headers = server.ask(BODY).headers
    assert (headers["content-type"], headers["cache-control"]) == ("text/event-stream", "no-store")
    assert re.fullmatch(r"[0-9a-f-]{36}", headers["cf-ai-req-id"])


def test_the_pieces_come_in_order_then_the_end_with_the_usage(server: Scripted) -> None:
    *pieces, last, done = events(server.will(answer("Hi", " there", reason="length")).ask(BODY).content)
    assert (pieces, done) == ([{"response": "Hi"}, {"response": " there"}], "[DONE]")
    assert (last["response"], last["finish_reason"], last["usage"]["total_tokens"]) == ("", "length", 7)


def test_in_parity_the_end_has_only_what_is_published(tmp_path: Path) -> None:
    with scripted(tmp_path, parity=True) as server:
        _, last, _ = events(server.will(answer("Hi")).ask(BODY).content)
    assert last == {"response": "", "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}}


def test_no_event_has_what_clients_break_on(server: Scripted) -> None:
    found = events(server.will([Progress(1, 5), *answer("Hi", "")]).ask(BODY).content)[:-1]
    assert all(isinstance(event["response"], str) and "tool_calls" not in event for event in found)
    assert not any(value is None for event in found for value in event.values())


def test_the_pieces_together_are_the_whole_answer(server: Scripted) -> None:
    server.will(answer(*TEXTS), answer(*TEXTS))
    streamed = "".join(event["response"] for event in events(server.ask(BODY).content)[:-1])
    assert streamed == server.ask({"prompt": "Hi"}).json()["result"]["response"] == "".join(TEXTS)


@pytest.mark.parametrize("path", ["/ai/run/tiny", "/v1/chat/completions", "/v1/completions", "/v1/responses"])
def test_whatever_the_pieces_are_they_are_together_the_whole_answer(server: Scripted, path: str) -> None:
    """On every surface; all that could end a line or an event for some reader comes in some piece."""
    dice = random.Random(path)
    for _ in range(20):
        pieces = ["".join(dice.choices(ALPHABET, k=dice.randrange(6))) for _ in range(dice.randrange(1, 30))]
        server.will(answer(*pieces), answer(*pieces))
        body = {"model": "tiny"} | ({"messages": [{"role": "user", "content": "Hi"}]} if "chat" in path else {})
        body |= {"input": "Hi"} if "responses" in path else {} if "chat" in path else {"prompt": "Hi"}
        streamed = server.ask(body | {"stream": True}, path).content.decode()
        assert set(streamed) & set("\x85\u2028\u2029\r\0") == set()
        assert text_of(streamed) == text_of_whole(server.ask(body, path).json()) == "".join(pieces)


ALPHABET = [
    *("\n\n", "\r", "\r\n", "\n", "data: ", "data: [DONE]\n\n", "event: x\n", ": ", "\u2028", "\x85", "\0", "\ufeff"),
    *(" ", "🦙", "e\u0301", "\u200d", '"', "\\", "a", "</s>", "{}"),
]


def text_of(stream: str) -> str:
    """What is written in a stream, whoever's."""
    lines = [line.removeprefix("data: ") for line in stream.split("\n") if line.startswith("data: {")]
    return "".join(piece_of(json.loads(line)) for line in lines)


def piece_of(event: Any) -> str:
    if "choices" in event:
        return "".join(one.get("text") or one.get("delta", {}).get("content") or "" for one in event["choices"])
    if "type" in event:
        return str(event["delta"]) if event["type"] == "response.output_text.delta" else ""
    return str(event["response"])


def text_of_whole(body: Any) -> str:
    if "result" in body:
        return str(body["result"]["response"])
    if "output" in body:
        return "".join(part["text"] for item in body["output"] for part in item["content"])
    (choice,) = body["choices"]
    return str(choice["text"] if "text" in choice else choice["message"]["content"])


def test_readers_line_by_line_find_the_same(server: Scripted) -> None:
    server.will(answer(*TEXTS))
    with server.http.stream("POST", "/ai/run/tiny", json=BODY) as reply:
        lines = [line for line in reply.iter_lines() if line]
    assert [json.loads(line[6:])["response"] for line in lines[:-1]] == [*TEXTS, ""]


def test_an_answer_without_text_is_its_end(server: Scripted) -> None:
    (last, done) = events(server.will(answer()).ask(BODY).content)
    assert (last["finish_reason"], done) == ("stop", "[DONE]")


def test_all_that_is_there_is_written_at_once(model: str) -> None:
    """What arrives while the loop is busy, here held up until all has come."""
    written: list[Any] = []

    class Holding(FakeEngine):
        def submit(self, request: Request, emit: Emit) -> None:
            busy = threading.Event()
            loops[0].call_soon_threadsafe(busy.wait, PATIENCE)
            super().submit(request, emit)
            busy.set()

    async def receive() -> dict[str, Any]:
        if asked:
            return asked.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        written.append(message)

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        ai = AsyncRuntime(files=[model], make_engine=lambda *_: Holding([answer("a", "b", "c")]))
        await application(ai)(scope, receive, send)
        await ai.close()

    loops: list[asyncio.AbstractEventLoop] = []
    asked = [{"type": "http.request", "body": SENT, "more_body": False}]
    headers = [(b"host", b"localhost")]
    scope = {"type": "http", "method": "POST", "path": "/ai/run/one.gguf", "headers": headers, "query_string": b""}
    asyncio.run(asyncio.wait_for(main(), PATIENCE))
    start, body = written
    assert (start["status"], body["more_body"]) == (200, False)
    assert [event["response"] for event in events(body["body"])[:-1]] == ["a", "b", "c", ""]


# -- as it comes, and signs of life ----------------------------------------------------------------------------------


def test_each_piece_is_sent_when_it_is_there(slow_server: Scripted, slow: Slow) -> None:
    with slow_server.connection() as connection:
        connection.sendall(request(SENT))
        assert slow.submitted.wait(PATIENCE)
        for piece in ("one", "two", "three"):
            slow.emit(Text(piece))
            seen = b""
            while piece.encode() not in seen:
                seen += connection.recv(65536)


def test_a_silent_engine_is_covered_by_signs_of_life(slow_server: Scripted, slow: Slow, lively: None) -> None:
    with slow_server.http.stream("POST", "/ai/run/tiny", json=BODY) as reply:
        lines = (line for line in reply.iter_lines() if line)
        before = [json.loads(next(lines)[6:]) for _ in range(3)]
        assert slow.submitted.wait(PATIENCE)
        slow.emit(Text("Hi"))
        while (piece := json.loads(next(lines)[6:])) == EMPTY:
            pass
        after = json.loads(next(lines)[6:])
    assert (before, piece, after) == ([EMPTY] * 3, {"response": "Hi"}, EMPTY)


def test_reading_a_long_prompt_is_covered_too(slow_server: Scripted, slow: Slow, lively: None) -> None:
    with slow_server.http.stream("POST", "/ai/run/tiny", json=BODY) as reply:
        lines = (line for line in reply.iter_lines() if line)
        for done in range(3):
            assert json.loads(next(lines)[6:]) == EMPTY
            assert slow.submitted.wait(PATIENCE)
            slow.emit(Progress(done, 3))


def test_a_byte_comes_while_the_model_loads(tmp_path: Path, lively: None) -> None:
    go = threading.Event()

    def make(*_: object) -> FakeEngine:
        assert go.wait(PATIENCE)
        return FakeEngine([answer("Hi")])

    with (
        scripted(tmp_path, make_engine=make) as server,
        server.http.stream("POST", "/ai/run/tiny", json=BODY) as reply,
    ):
        lines = (line for line in reply.iter_lines() if line)
        first = json.loads(next(lines)[6:])
        go.set()
        rest = [line[6:] for line in lines]
    assert (reply.status_code, first, rest[-1]) == (200, EMPTY, "[DONE]")
    assert "".join(json.loads(line)["response"] for line in rest[:-1]) == "Hi"


# -- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_failure_midway_is_the_last_event_and_nothing_is_done(server: Scripted) -> None:
    reply = server.will([Text("Hi"), Failed(EngineError("broken"))]).ask(BODY)
    first, last = events(reply.content)
    assert (reply.status_code, first) == (200, {"response": "Hi"})
    said = f"AiError: broken ({reply.headers['cf-ai-req-id']})"
    assert last["errors"] == [{"message": said, "code": 5000}]
    assert (last["response"], last["success"], last["error"]["message"]) == ("", False, said)


def test_a_fault_of_ours_midway_is_an_event_too(server: Scripted) -> None:
    _, last = events(server.will([Text("Hi"), Failed(ValueError("oops"))]).ask(BODY).content)
    assert last["errors"][0]["code"] == 5000


def test_a_model_that_cannot_be_loaded_ends_a_stream_that_has_begun(tmp_path: Path, lively: None) -> None:
    go = threading.Event()

    def make(*_: object) -> FakeEngine:
        assert go.wait(PATIENCE)
        raise EngineError("broken")

    with (
        scripted(tmp_path, make_engine=make) as server,
        server.http.stream("POST", "/ai/run/tiny", json=BODY) as reply,
    ):
        lines = (line for line in reply.iter_lines() if line)
        assert json.loads(next(lines)[6:]) == EMPTY
        go.set()
        *_, last = lines
    assert json.loads(last[6:])["errors"][0]["message"].startswith("AiError: broken (")


def test_a_connection_goes_on_after_a_stream_that_failed(server: Scripted) -> None:
    server.will([Text("Hi"), Failed(EngineError("broken"))], answer("next"))
    replies = server.raw(request(SENT), request(SENT, "Connection: close"))
    assert replies.count(b"HTTP/1.1 200 ") == 2
    assert replies.index(b"broken") < replies.index(b"next") < replies.index(b"[DONE]")


def test_a_client_that_does_not_read_is_stopped(
    slow_server: Scripted, slow: Slow, lively: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("runtime.server.connection.STALLED", 0.05)
    with slow_server.connection() as connection:
        connection.sendall(request(SENT))
        assert slow.submitted.wait(PATIENCE)
        slow.emit(Text("Q" * 20_000_000))  # more than any socket's buffers
        assert slow.cancelled.wait(PATIENCE)
        rest = read_all(connection)
    assert (slow.running, len(rest) < 20_000_000) == ({}, True)  # nothing is kept for it
    assert "a client did not read for 0.05 seconds; its connection was ended" in caplog.text


def test_a_client_that_reads_gets_all_however_much(server: Scripted) -> None:
    text = "Q" * 20_000_000
    with server.will(answer(text, "end")).connection() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
        connection.sendall(request(SENT, "Connection: close"))
        reply = read_all(connection)
    assert (reply.count(b"Q"), reply.count(b"[DONE]")) == (len(text), 1)


# -- connections -----------------------------------------------------------------------------------------------------


def test_http_1_0_gets_the_events_to_the_end_of_the_connection(server: Scripted) -> None:
    head, _, body = server.will(answer("Hi")).raw(request(SENT, version="1.0")).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert [event for event in events(body) if event == "[DONE]"] == ["[DONE]"]


def test_a_connection_serves_streams_and_answers_in_turn(server: Scripted) -> None:
    server.will(answer("one"), answer("two"), answer("three"))
    replies = server.raw(request(SENT), request(), request(SENT, "Connection: close"))
    assert [replies.count(word) for word in (b"HTTP/1.1 200 ", b"[DONE]")] == [3, 2]
    assert replies.index(b"one") < replies.index(b"two") < replies.index(b"three")


def test_a_fault_of_ours_in_the_middle_is_the_last_event_of_its_stream(
    server: Scripted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, gate = streams.Native.lines, threading.Event()

    def lines(self: streams.Native, at: int, event: Any) -> bytes:
        if event["response"] == "b":
            gate.set()
            raise ValueError("a secret of ours")
        return real(self, at, event)

    monkeypatch.setattr(streams.Native, "lines", lines)
    monkeypatch.setattr(streams, "FIRST_BYTE", 0.0)  # so that something was written before
    *_, last = events(server.will(answer("a", "b", "c")).ask(BODY).text)
    assert gate.is_set()
    assert (last["success"], last["errors"][0]["code"]) == (False, 5000)
    assert "secret" not in json.dumps(last)
    assert "ValueError: a secret of ours" in caplog.text
    monkeypatch.undo()
    assert server.ask().is_success
