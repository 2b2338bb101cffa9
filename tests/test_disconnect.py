"""A client that leaves is gone from the engine one step later, wherever its request was, and no other notices."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.engines import engine_in
from tests.gate import PATIENCE, Client, GatedEngine, accounts_agree, comes_true, is_empty
from tests.invariants import descriptors
from tests.models import expected
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runtime.engine import EngineConfig
    from tests.servers import Running

WAYS = ("close", "reset", "half-close")
OTHERS = (11, 12, 13)  # keys of those who stay
VICTIM, NEXT = 50, 60  # keys
ANSWER = 200  # tokens of who leaves
LONG = 300  # tokens; more steps than any of these tests takes while it holds the engine
SLOTS = 4
FILLER = "~" * 2000  # a prompt of several batches
STEPS: Counter[int] = Counter()  # that it took to free what a client held


class Scene:
    """A server whose engine is held, with three streams that have begun."""

    def __init__(self, running: Running, model: str) -> None:
        self.running, self.model = running, model
        engine: Any = engine_in(running.ai._runtime)
        self.engine: GatedEngine = engine
        self.engine.hold()
        self.others = [self.client().ask(model, key, LONG, stream=True) for key in OTHERS]
        sequences = [self.engine.sequence(key) for key in OTHERS]
        self.engine.step_until(lambda: all(written(one) for one in sequences))

    def client(self, **options: Any) -> Client:
        return Client(self.running.port, **options)

    def ask(self, key: int = VICTIM, tokens: int = ANSWER, **how: Any) -> Client:
        return self.client().ask(self.model, key, tokens, **how)

    def close(self) -> None:
        self.engine.release()
        for one in self.others:
            one.close()
        assert comes_true(lambda: not self.engine.n_open())

    def noticed(self, *sequences: Any) -> None:
        """Wait until the server has seen that the clients of these have left, with the engine standing still."""
        ids = {one.request.id for one in sequences}
        self.engine.wait_for(lambda: ids <= self.engine.cancelled.keys())

    def steps_to_free(self, sequence: Any) -> int:
        """From when the server saw that its client had left."""
        name = sequence.request.id
        steps: int = self.engine.ended[name] - self.engine.cancelled[name]
        STEPS[steps] += 1
        return steps

    def assert_others_are_exact(self) -> None:
        self.engine.release()
        assert [one.streamed() for one in self.others] == [expected(key, LONG) for key in OTHERS]


def written(sequence: Any) -> int:
    """Tokens of its answer."""
    return len(sequence.tokens) - int(sequence.n_prompt)


@pytest.fixture(scope="module")
def running(canary: Path) -> Iterator[Running]:
    with serving(files=[canary], make_engine=GatedEngine, slots=SLOTS, context=8192, keep_alive=-1) as running:
        running.ai._runtime.load(str(canary))
        yield running
    sys.stdout.write(f"\nsteps to free what a client held: {dict(STEPS)}\n")  # for whoever runs this with -s


@pytest.fixture
def scene(running: Running) -> Iterator[Scene]:
    scene = Scene(running, model_of(running))
    yield scene
    scene.close()


@pytest.fixture(autouse=True)
def quiet(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """That a client leaves is nothing to complain of; that one does not read is."""
    yield
    records = [one for when in ("setup", "call") for one in caplog.get_records(when)]
    assert "impatient" in request.fixturenames or not [one for one in records if one.levelno > logging.INFO]


def model_of(running: Running) -> str:
    return running.ai.catalog.models[-1].id


def left_in(phase: str, scene: Scene, *, stream: bool) -> tuple[Client, list[Client]]:
    """A client whose request is there, and who else had to come for that."""
    if phase == "queued":
        fourth = [scene.ask(40, LONG, stream=True)]
        scene.engine.sequence(40)
        client = scene.ask(stream=stream)
        sequence = scene.engine.sequence(VICTIM)
        scene.engine.step_until(lambda: sequence in scene.engine._scheduler.waiting)
        return client, fourth
    client = scene.ask(stream=stream, before=FILLER if phase == "prompt" else "")
    sequence = scene.engine.sequence(VICTIM)
    if phase == "prompt":
        scene.engine.step_until(lambda: sequence.n_past > 0)
        assert sequence.is_reading
        return client, []
    tokens = {"first token": 1, "middle": 20, "last token": ANSWER - 1}[phase]
    scene.engine.step_until(lambda: written(sequence) == tokens)
    if stream:
        client.read(expected(VICTIM, tokens))
    return client, []


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("phase", ["queued", "prompt", "first token", "middle", "last token"])
@pytest.mark.parametrize("way", WAYS)
def test_who_leaves_is_gone_within_a_step_and_the_others_are_exact(
    way: str, phase: str, stream: bool, scene: Scene
) -> None:
    client, more = left_in(phase, scene, stream=stream)
    sequence = scene.engine.sequence(VICTIM)
    client.leave(way)
    scene.noticed(sequence)
    scene.engine.steps(1)
    assert not scene.engine.has(sequence)
    assert accounts_agree(scene.engine)
    assert scene.steps_to_free(sequence) <= 1
    assert all(scene.engine.sequence(key).slot >= 0 for key in OTHERS)
    following = scene.ask(NEXT, 40, stream=stream)
    scene.assert_others_are_exact()
    assert [one.streamed() for one in more] == [expected(40, LONG) for _ in more]
    assert following.text(stream=stream) == expected(NEXT, 40)
    for one in (client, following, *more):
        one.close()


STALL = 1.0  # seconds, in the place of 30
FLOOD, ENOUGH = 2000, 1000  # tokens of an answer, and those of them whose events fill small buffers
FEW = 4096  # bytes that a socket buffers, or the least that its system allows


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.server.connection.STALLED", STALL)


def small_buffers(server: Running) -> contextlib.ExitStack:
    """For the connections that come meanwhile."""
    (listening,) = server.server.servers[0].sockets
    before = listening.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, FEW)
    stack = contextlib.ExitStack()
    stack.callback(listening.setsockopt, socket.SOL_SOCKET, socket.SO_SNDBUF, before // 2)  # the system doubles it
    return stack


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("phase", ["queued", "prompt", "first token", "middle", "last token"])
def test_who_stops_reading_holds_no_slot_for_long_and_the_others_are_exact(
    phase: str, stream: bool, scene: Scene, impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    """It reads what there is in its phase, and nothing from then on."""
    fourth = [scene.ask(40, LONG, stream=True)] if phase == "queued" else []
    for _ in fourth:
        scene.engine.sequence(40)
    with small_buffers(scene.running):
        client = scene.client(buffer=FEW)
        client.ask(scene.model, VICTIM, FLOOD, stream=stream, before=FILLER if phase == "prompt" else "")
        sequence = scene.engine.sequence(VICTIM)
    with client:
        stall_in(phase, scene, client, sequence, stream=stream)
        assert not scene.engine.has(sequence)
        assert accounts_agree(scene.engine)
        scene.assert_others_are_exact()
        assert [one.streamed() for one in fourth] == [expected(40, LONG) for _ in fourth]
        with scene.ask(NEXT, 40, stream=stream) as following:
            assert following.text(stream=stream) == expected(NEXT, 40)
    assert ("did not read" in caplog.text) == (stream and phase != "last token")
    for one in fourth:
        one.close()


def stall_in(phase: str, scene: Scene, client: Client, sequence: Any, *, stream: bool) -> None:
    """Leave the engine held, with nothing more to do for the client."""
    name = sequence.request.id
    tokens = {"first token": 1, "middle": 20}.get(phase, 0)
    if not stream or phase == "last token":  # nothing is written before the end, or all is read
        scene.engine.release()
        if stream:
            client.read(expected(VICTIM, FLOOD))
        assert comes_true(lambda: name in scene.engine.ended)
        scene.engine.hold()
        return
    if tokens:
        scene.engine.step_until(lambda: written(sequence) >= tokens)
        client.read(expected(VICTIM, tokens))
    scene.engine.step_until(lambda: written(sequence) >= ENOUGH or name in scene.engine.cancelled)
    scene.noticed(sequence)
    if name not in scene.engine.ended:
        scene.engine.steps(1)
    assert scene.steps_to_free(sequence) <= 1
    assert written(sequence) < FLOOD


def test_who_waits_for_cells_and_leaves_lets_the_next_in(scene: Scene) -> None:
    """The first in the queue does not fit beside the others; who comes after it would."""
    client = scene.ask(tokens=8000)
    sequence = scene.engine.sequence(VICTIM)
    following = scene.ask(NEXT, 40)
    after = scene.engine.sequence(NEXT)
    scene.engine.step_until(lambda: after in scene.engine._scheduler.waiting)
    client.leave("close")
    scene.noticed(sequence)
    scene.engine.steps(1)
    assert (scene.engine.has(sequence), after.slot >= 0) == (False, True)
    scene.assert_others_are_exact()
    assert following.answer() == expected(NEXT, 40)
    following.close()


def test_who_leaves_before_the_engine_has_looked_never_gets_a_slot(scene: Scene) -> None:
    client = scene.ask()
    sequence = scene.engine.sequence(VICTIM)
    client.leave("close")
    scene.noticed(sequence)
    scene.engine.steps(1)
    assert (scene.engine.has(sequence), sequence.times.admitted, sequence.n_past) == (False, 0.0, 0)
    scene.assert_others_are_exact()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_who_has_half_closed_gets_the_end_of_the_connection_and_nothing_that_looks_whole(
    stream: bool, scene: Scene
) -> None:
    client = scene.ask(stream=stream)
    sequence = scene.engine.sequence(VICTIM)
    scene.engine.step_until(lambda: written(sequence) == 3)
    if stream:
        client.read(expected(VICTIM, 3))
    client.leave("half-close")
    assert client.is_dropped()
    client.close()
    scene.assert_others_are_exact()


def test_an_engine_that_runs_on_frees_what_a_client_held_one_step_later(running: Running) -> None:
    """Not held between steps: so it may notice in the middle of one."""
    model, engine = model_of(running), engine_in(running.ai._runtime)
    assert isinstance(engine, GatedEngine)
    for number in range(12):
        with Client(running.port).ask(model, VICTIM, 4000, stream=True) as client:
            client.read(expected(VICTIM, 1 + number))
            name = engine.sequence(VICTIM).request.id
            client.leave(WAYS[number % 3])
            assert comes_true(lambda name=name: name in engine.ended)  # type: ignore[misc]
        assert engine.ended[name] - engine.cancelled[name] <= 1
    assert comes_true(lambda: is_empty(engine))


def test_fifty_who_leave_at_once_are_all_gone_one_step_later(scene: Scene) -> None:
    clients, gone = fifty(scene)
    for number, client in enumerate(clients):
        client.leave(WAYS[number % 3])
    scene.noticed(*gone)
    scene.engine.steps(1)
    assert [one for one in gone if scene.engine.has(one)] == []
    assert accounts_agree(scene.engine)
    assert {scene.steps_to_free(one) for one in gone} == {1}
    scene.assert_others_are_exact()
    for client in clients:
        client.close()


def fifty(scene: Scene) -> tuple[list[Client], list[Any]]:
    """Clients of which one has a slot and the others wait, and their requests."""
    here = set(scene.engine.requests())
    clients = [scene.ask(20 + number % 40, stream=bool(number % 2)) for number in range(50)]
    scene.engine.wait_for(lambda: scene.engine.n_open() == len(here) + 50)
    scene.engine.steps(1)
    return clients, [one for one in scene.engine.requests() if one not in here]


class SlowLoad:
    """Makes engines, each of which is being loaded until `go`, and is held then."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, config: EngineConfig, progress: Callable[[float], None]) -> GatedEngine:
        self.begun.set()
        assert self.go.wait(PATIENCE)
        engine = GatedEngine(config, progress)
        engine.hold()
        return engine


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("way", WAYS)
def test_who_leaves_while_the_model_loads_never_gets_a_slot_and_who_stays_is_answered(
    way: str, stream: bool, canary: Path
) -> None:
    load = SlowLoad()
    with serving(files=[canary], make_engine=load) as running, Client(running.port) as client:
        model, at_work = model_of(running), running.server.server_state.tasks
        client.ask(model, VICTIM, 2000, stream=stream)
        assert load.begun.wait(PATIENCE)
        with Client(running.port).ask(model, NEXT, 40) as staying:
            assert comes_true(lambda: len(at_work) == 2)
            client.leave(way)
            assert comes_true(lambda: len(at_work) == 1)
            load.go.set()
            assert comes_true(lambda: engine_in(running.ai._runtime) is not None)
            engine: Any = engine_in(running.ai._runtime)
            engine.release()
            assert staying.answer() == expected(NEXT, 40)
            assert (len(engine.ended), engine.cancelled) == (1, {})


@pytest.mark.parametrize("way", WAYS)
def test_who_leaves_while_sending_the_body_asks_for_nothing(way: str, running: Running) -> None:
    engine: Any = engine_in(running.ai._runtime)
    at_work, ended = running.server.server_state.tasks, len(engine.ended)
    with Client(running.port).ask(model_of(running), VICTIM, 200, sent=0.5) as client:
        assert comes_true(lambda: len(at_work) == 1)
        client.leave(way)
        assert comes_true(lambda: not at_work)
    with Client(running.port).ask(model_of(running), NEXT, 40) as following:
        assert following.answer() == expected(NEXT, 40)
    assert (engine.n_open(), len(engine.ended)) == (0, ended + 1)


def tasks_of(running: Running) -> int:
    """How many there are in the server's loop."""

    async def count() -> int:
        return len(asyncio.all_tasks()) - 1

    return asyncio.run_coroutine_threadsafe(count(), running.server.servers[0].get_loop()).result(PATIENCE)


def test_those_who_left_leave_no_task_and_no_socket(running: Running) -> None:
    assert comes_true(lambda: not running.server.server_state.connections)
    before = tasks_of(running), descriptors()
    scene = Scene(running, model_of(running))
    clients, gone = fifty(scene)
    for number, client in enumerate(clients):
        client.leave(WAYS[number % 3])
    scene.noticed(*gone)
    for client in clients:
        client.close()
    scene.close()
    assert comes_true(lambda: (tasks_of(running), descriptors()) == before)


def test_a_server_that_has_ended_leaves_no_thread_and_no_socket(canary: Path) -> None:
    before = set(threading.enumerate()), descriptors()
    with serving(files=[canary], make_engine=GatedEngine, context=8192) as running:
        running.ai._runtime.load(str(canary))
        scene = Scene(running, model_of(running))
        clients, gone = fifty(scene)
        for client in clients:
            client.leave("close")
        scene.noticed(*gone)
        scene.close()
    assert comes_true(lambda: set(threading.enumerate()) == before[0])
    assert comes_true(lambda: descriptors() == before[1])
