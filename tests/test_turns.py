"""No caller from elsewhere fills the queue that all stand in, and nobody waits for ever."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from runtime.errors import QueueFull, TimedOut
from runtime.observer import Observer
from runtime.server import logs, turns
from runtime.server.tokens import Token, Tokens
from runtime.server.turns import WAITING, Turns, caller
from runtime.values import Done, Failed, Text, Usage
from tests.engines import ask, engine, submit
from tests.fake_engine import TIMINGS, answer
from tests.models import canary_model, expected
from tests.servers import Scripted, code_of, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runtime.engine import Emit

SLOTS = 2
ONE, TWO = Token("ann", b"a" * 16), Token("ben", b"b" * 16)
JOB: Any = SimpleNamespace(choice=SimpleNamespace(spec=SimpleNamespace(id="m")))
END = Done("stop", Usage(1, 1), TIMINGS)


def scope(client: str | None, *, by_file: bool = False) -> dict[str, Any]:
    server = ("/run/socket", None) if by_file else ("0.0.0.0", 8788)
    return {"type": "http", "client": (client, 40000) if client else None, "server": server}


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("127.0.0.1", None),
        ("127.8.8.8", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        (None, None),
        ("192.168.0.7", "192.168.0.7"),
        ("::ffff:192.168.0.7", "192.168.0.7"),
        ("2001:db8::5", "2001:db8::/64"),
        ("2001:db8::6:5", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_without_several_tokens_a_caller_is_another_machine(client: str | None, expected: str | None) -> None:
    for tokens in (None, Tokens((ONE,))):
        assert caller(scope(client), "", tokens) == expected


def test_of_several_tokens_each_is_a_caller_wherever_it_comes_from() -> None:
    for client in ("127.0.0.1", "192.168.0.7"):
        assert caller(scope(client), "ann", Tokens((ONE, TWO))) == "token ann"


def test_who_comes_by_the_socket_file_is_held_to_nothing() -> None:
    assert caller(scope(None, by_file=True), "", Tokens((ONE, TWO))) is None


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """`traces["now"]` is that of the request that is answered, whose caller is its scope."""
    known: dict[str, Any] = {"now": None}
    monkeypatch.setattr(logs, "current", lambda: known["now"])
    monkeypatch.setattr(turns, "caller", lambda scope, user, tokens: scope)
    return known


@dataclass(eq=False)
class Trace:
    """What is known of a request, as far as it counts here."""

    scope: str | None
    user: str = ""


class Asked:
    """Requests to one model, of which so many run at once."""

    def __init__(self, traces: dict[str, Any]) -> None:
        self.traces, self.turns = traces, Turns(Observer(), None, SLOTS)

    def run(self, who: str | None, trace: Any = None) -> Emit:
        """A run of a request by this caller; its events go to what is given."""
        self.traces["now"] = trace or Trace(who)
        with self.turns.run(JOB, lambda event: None) as emit:
            return emit


@pytest.fixture
def asked(traces: dict[str, Any]) -> Asked:
    return Asked(traces)


def test_so_many_of_one_caller_may_wait_and_no_more(asked: Asked) -> None:
    for _ in range(SLOTS + WAITING):
        asked.run("ann")
    with pytest.raises(QueueFull, match=r"4 of your requests wait already; of one caller 4 may\. Try again"):
        asked.run("ann")


def test_others_are_not_held_up_by_one_who_has_too_many(asked: Asked) -> None:
    for _ in range(SLOTS + WAITING):
        asked.run("ann")
    for _ in range(WAITING):
        asked.run("ben")
    with pytest.raises(QueueFull):
        asked.run("ben")


def test_who_is_held_to_nothing_may_wait_as_the_queue_allows(asked: Asked) -> None:
    for _ in range(50):
        asked.run(None)
    for _ in range(WAITING):
        asked.run("ann")
    with pytest.raises(QueueFull):
        asked.run("ann")


@pytest.mark.parametrize("end", [END, Failed(TimedOut("late"))])
def test_as_soon_as_one_has_ended_another_may_wait(asked: Asked, end: Any) -> None:
    first = asked.run("ann")
    for _ in range(SLOTS + WAITING - 1):
        asked.run("ann")
    first(Text("a"))
    with pytest.raises(QueueFull):
        asked.run("ann")
    first(end)
    asked.run("ann")
    with pytest.raises(QueueFull):
        asked.run("ann")


def test_one_that_could_not_begin_is_forgotten(asked: Asked) -> None:
    for _ in range(50):
        asked.traces["now"] = Trace("ann")
        with contextlib.suppress(KeyError), asked.turns.run(JOB, lambda event: None):
            raise KeyError("no engine")
    assert asked.turns._order == {}


def test_a_request_of_many_answers_counts_once(asked: Asked) -> None:
    for _ in range(SLOTS):
        asked.run("ann")
    for _ in range(WAITING):
        trace = Trace("ann")
        for _ in range(16):
            asked.run("ann", trace)
    with pytest.raises(QueueFull):
        asked.run("ann")


# Over HTTP, where all clients of a test are on loopback.


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    monkeypatch.setattr(turns, "caller", lambda scope, user, tokens: "192.168.0.7")
    with scripted(tmp_path, slots=1) as one:
        yield one


@pytest.mark.parametrize("path", ["/ai/run/tiny", "/v1/completions"])
def test_one_too_many_is_told_to_come_back(server: Scripted, path: str) -> None:
    waiting: list[Any] = [[Text("a")]] * (1 + WAITING)
    pieces: list[Iterator[bytes]] = []
    server.will(*waiting)
    with contextlib.ExitStack() as stack:
        for _ in waiting:
            body = {"prompt": "Hi", "stream": True}
            stream = stack.enter_context(server.http.stream("POST", "/ai/run/tiny", json=body))
            pieces.append(stream.iter_bytes())  # dropped, it closes the connection
            next(pieces[-1])  # so it has begun
        reply = server.ask({"model": "tiny", "prompt": "Hi"}, path)
        assert reply.status_code == 429
        assert reply.headers["retry-after"] == "2"
        assert "of your requests wait already" in reply.text or "3040" in reply.text
        if path.startswith("/ai"):
            assert code_of(reply) == (429, 3040)


def test_without_the_queue_nobody_is_refused(server: Scripted) -> None:
    for _ in range(10):
        assert server.will(answer("ok")).ask().is_success


def test_the_engine_is_told_how_long_a_request_may_wait(tmp_path: Path) -> None:
    with scripted(tmp_path, wait=7) as server:
        for path in ("/ai/run/tiny", "/v1/completions"):
            assert server.will(answer("ok")).ask({"model": "tiny", "prompt": "Hi"}, path).is_success
        assert [request.max_wait for request in server.engine.requests] == [7, 7]


@pytest.mark.parametrize("max_wait", [0.0, 3600.0, None])
def test_one_that_has_waited_too_long_is_ended_and_those_who_run_are_not(
    tmp_path: Path, max_wait: float | None
) -> None:
    canary_model(tmp_path / "canary.gguf")
    running = engine(tmp_path / "canary.gguf", slots=1)
    first = submit(running, ask(1, 300, name="first"))
    first.until(Text)
    second = submit(running, ask(2, 10, name="second", max_wait=max_wait))
    if max_wait == 0.0:
        error = second.failure()
        assert isinstance(error, TimedOut)
        assert str(error) == "The request waited for a place for 0 seconds. Try again later."
    else:
        assert second.whole() == expected(2, 10)
    assert first.whole() == expected(1, 300)
    running.close()
