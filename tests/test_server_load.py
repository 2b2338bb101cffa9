"""Nothing lost, cut, mixed up or kept: many clients of one server, with a model whose every answer is known.

LOAD_SECONDS, a variable of the environment, is how long the longest run takes.
"""

from __future__ import annotations

import logging
import os
import random
import selectors
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.engines import engine_in
from tests.gate import PATIENCE, Client, GatedEngine, comes_true, is_empty
from tests.invariants import turns_of
from tests.load import CELLS, HOMES, at, everything_is_free
from tests.models import KEYS, expected
from tests.servers import serving
from tests.test_disconnect import tasks_of
from tests.test_server_process import process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Running

SECONDS = float(os.environ.get("LOAD_SECONDS", "8"))
WARM_SECONDS = max(2.0, SECONDS / 10)
CLIENTS, SLOTS, CONTEXT = 64, 8, 8192
LAG = 0.1  # seconds that nothing may hold up the loop
WAYS = ("close", "reset", "half-close")


@dataclass
class Load:
    """What clients ask of a server, one request after the other, each as a dice of its own says."""

    port: int
    model: str
    started: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, clients: int, seconds: float, *, seed: int = 0) -> None:
        end = time.monotonic() + seconds
        with ThreadPoolExecutor(clients) as pool:
            for done in [pool.submit(self._client, random.Random(f"{seed}.{n}"), end) for n in range(clients)]:
                done.result(timeout=seconds + PATIENCE)

    def _client(self, dice: random.Random, end: float) -> None:
        """One that asks again as soon as it is answered, on the same connection as long as that is open."""
        with Client(self.port) as client:
            while time.monotonic() < end:
                key, tokens, stream = dice.randrange(KEYS), dice.randint(1, 100), dice.random() < 0.5
                self.count(None)
                client.ask(self.model, key, tokens, stream=stream, before="~" * dice.randint(0, 200))
                if client.response.status != 200:
                    self.count(f"refused with {client.response.status}")
                    client.response.read()
                    return
                self.count("exact" if client.text(stream=stream) == expected(key, tokens) else "wrong")

    def leave(self, number: int) -> None:
        """One request on a connection of its own, whose client leaves at some point if the dice says so."""
        dice = random.Random(number)
        key, tokens, stream = dice.randrange(KEYS), dice.randint(1, 100), dice.random() < 0.5
        self.count(None)
        with Client(self.port) as client:
            client.ask(self.model, key, tokens, stream=stream, before="~" * dice.randint(0, 400))
            if dice.random() < 0.25:
                if stream and dice.random() < 0.5:
                    client.read(expected(key, dice.randint(1, tokens)))
                client.leave(dice.choice(WAYS))
                self.count("left")
            else:
                self.count("exact" if client.text(stream=stream) == expected(key, tokens) else "wrong")

    def count(self, outcome: str | None) -> None:
        """How a request ended, or that one began."""
        with self._lock:
            if outcome is None:
                self.started += 1
            else:
                self.outcomes[outcome] += 1


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing of this is to be complained of."""
    yield
    assert not [one for one in caplog.get_records("call") if one.levelno > logging.INFO]


def tell(report: str) -> None:
    """For whoever runs this with -s."""
    sys.stdout.write(f"\n{report}\n")


def engine_of(running: Running) -> Any:
    return engine_in(running.ai._runtime)


def model_of(running: Running) -> str:
    return running.ai.catalog.models[-1].id


def test_64_clients_on_8_slots_get_every_answer_exact_and_leave_nothing_behind(canary: Path) -> None:
    """In a process of its own, so that its memory is the server's alone."""
    args = ["--model", str(canary), "--slots", str(SLOTS), "--context", str(CONTEXT), "--threads", "1"]
    with process(*args, patience=SECONDS + WARM_SECONDS + 2 * PATIENCE) as server:
        server.has_loaded()
        Load(server.port, server.model).run(CLIENTS, WARM_SECONDS, seed=1)  # fills the allocator's pools
        before = server.resident_bytes()
        load = Load(server.port, server.model)
        load.run(CLIENTS, SECONDS)
        after = server.resident_bytes()
        tell(
            f"{SECONDS:g} s: {load.started} started, {dict(load.outcomes)}, {before >> 10} KiB, then {after >> 10} KiB"
        )
        assert load.outcomes == {"exact": load.started}
        assert load.started >= 2 * CLIENTS
        assert after < 1.05 * before
        with Client(server.port) as client:
            n_prompt = client.ask(server.model, 7, 1).json()["result"]["usage"]["prompt_tokens"]
            every_cell = CONTEXT - n_prompt
            assert client.ask(server.model, 7, every_cell).answer() == expected(7, every_cell)


@pytest.fixture
def running(canary: Path) -> Iterator[Running]:
    """A server in this process, whose engine counts its steps."""
    with serving(files=[canary], make_engine=GatedEngine, slots=SLOTS, context=CONTEXT, keep_alive=-1) as running:
        running.ai._runtime.load(str(canary))
        yield running


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("home", HOMES)
def test_of_200_requests_to_8_slots_each_is_accounted_for_and_no_task_and_no_file_is_left(
    home: str, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"slots": 8, "threads": 1, "context": CELLS, "keep_alive": -1}
    with serving(files=[canary], **options, **at(home)) as running:
        running.ai._runtime.load(str(canary))
        load, tasks = Load(running.port, model_of(running)), tasks_of(running)
        turns = turns_of(running.server.servers[0].get_loop(), monkeypatch)
        with ThreadPoolExecutor(16) as pool:
            for done in [pool.submit(load.leave, number) for number in range(200)]:
                done.result(timeout=PATIENCE)
        assert load.outcomes.total() == load.started == 200
        assert set(load.outcomes) == {"exact", "left"}
        assert comes_true(lambda: running.ai.loaded()[0].running == 0)
        assert everything_is_free(running.ai._runtime, load.model, 8)
        assert comes_true(lambda: tasks_of(running) == tasks)
        tell(f"{home}: {dict(load.outcomes)}, {turns}")
        assert turns.count > 200
        assert turns.longest <= LAG


def test_of_200_requests_whose_clients_leave_here_and_there_none_is_lost_and_none_is_kept(running: Running) -> None:
    engine, load = engine_of(running), Load(running.port, model_of(running))
    with ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(load.leave, number) for number in range(200)]:
            done.result(timeout=PATIENCE)
    assert set(load.outcomes) == {"exact", "left"}
    assert load.outcomes.total() == load.started == 200
    assert comes_true(lambda: not running.server.server_state.tasks)
    assert comes_true(lambda: is_empty(engine))
    steps = Counter(engine.ended[name] - begun for name, begun in engine.cancelled.items())
    tell(f"{dict(load.outcomes)}, taken back {steps.total()}, freed after steps {dict(steps)}")
    assert max(steps) <= 1


# -- more than there is room for ------------------------------------------------------------------------------------

ROOM = 1 + 16  # a slot and a queue


@pytest.fixture
def crowd(canary: Path) -> Iterator[Crowd]:
    with serving(files=[canary], make_engine=GatedEngine, slots=1, queue=16, keep_alive=-1) as running:
        running.ai._runtime.load(str(canary))
        crowd = Crowd(running)
        yield crowd
        crowd.close()


class Crowd:
    """64 clients at once, half of them for a stream, of an engine that stands still until all are in or refused."""

    def __init__(self, running: Running) -> None:
        self.engine, self.model = engine_of(running), model_of(running)
        self.engine.hold()
        self.clients = {key: Client(running.port) for key in range(CLIENTS)}
        self.asked: dict[int, float] = {}  # when each had
        self.took: dict[int, float] = {}  # seconds until each was refused
        for key, client in self.clients.items():
            client.ask(self.model, key, 10, stream=self.is_streamed(key))
            self.asked[key] = time.monotonic()
        self.refused = self._refused()
        self.engine.wait_for(lambda: self.engine.n_open() >= ROOM)  # the last may still be on their way to it

    @staticmethod
    def is_streamed(key: int) -> bool:
        return key % 2 == 1

    def _refused(self) -> list[int]:
        """Keys of those who are told so; the others wait, and read signs of life at most."""
        refused: list[int] = []
        end = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as selector:
            for key, client in self.clients.items():
                selector.register(client.socket, selectors.EVENT_READ, key)
            while len(refused) < CLIENTS - ROOM and time.monotonic() < end:
                for found, _ in selector.select(1):
                    selector.unregister(found.fileobj)
                    if self.clients[found.data].response.status != 200:
                        refused.append(found.data)
                        self.took[found.data] = time.monotonic() - self.asked[found.data]
        return refused

    def close(self) -> None:
        self.engine.release()
        for client in self.clients.values():
            client.close()


def test_of_64_at_once_those_with_room_are_served_and_all_others_told_to_come_again(crowd: Crowd) -> None:
    took = sorted(1e3 * seconds for seconds in crowd.took.values())
    tell(f"refused after ms: {took[len(took) // 2]:.0f} in the middle, {took[-1]:.0f} at most")
    assert len(crowd.refused) == CLIENTS - ROOM
    assert crowd.engine.n_open() == ROOM
    for key in crowd.refused:
        response = crowd.clients[key].response
        assert (response.status, response.headers["retry-after"]) == (429, "2")
        assert [error["code"] for error in crowd.clients[key].json()["errors"]] == [3040]


def test_those_with_room_are_answered_exactly_and_in_the_order_they_came(crowd: Crowd) -> None:
    came = [one.request.id for one in crowd.engine.requests()]
    crowd.engine.release()
    for key in crowd.clients.keys() - crowd.refused:
        assert crowd.clients[key].text(stream=crowd.is_streamed(key)) == expected(key, 10)
    assert list(crowd.engine.ended) == came


def test_who_was_refused_is_served_on_the_same_connection_once_there_is_room(crowd: Crowd) -> None:
    crowd.engine.release()
    assert comes_true(lambda: not crowd.engine.n_open())
    key = crowd.refused[0]
    client = crowd.clients[key]
    client.json()
    assert client.ask(crowd.model, key, 10).answer() == expected(key, 10)
