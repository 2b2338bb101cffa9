"""Several models in memory under one limit: which are there, which goes, and who waits for whom."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import pytest

from runtime import AsyncRuntime, Runtime, machine
from runtime.errors import DoesNotFit, TimedOut, UnknownModel
from runtime.values import Text
from tests.fake_engine import FakeEngine, planned, room_for
from tests.gate import comes_true
from tests.rawgguf import model_bytes
from tests.test_aio import run as run_async

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runtime.engine import EngineConfig

PATIENCE = 30  # seconds until a test that waits for an event gives up
NOT_LONG = 0.2  # seconds in which what should not happen would happen
NAMES = ("a", "b", "c", "d")
GIB = 1 << 30


class Engines:
    """Makes an engine for each model anew, which follows the next of the `scripts` of that name; `now` has those that
    are open, by name, and `most` how many there ever were."""

    def __init__(self) -> None:
        self.scripts: dict[str, list[Any]] = {}
        self.made: list[tuple[str, FakeEngine]] = []
        self.most = 0

    def __call__(self, config: EngineConfig, progress: Callable[[float], None]) -> FakeEngine:
        progress(0.5)
        name = config.model.stem
        self.made.append((name, FakeEngine(self.scripts.pop(name, ()))))
        self.most = max(self.most, len(self.now))
        return self.made[-1][1]

    @property
    def now(self) -> list[str]:
        return [name for name, engine in self.made if not engine.closed.is_set()]

    @property
    def loads(self) -> str:
        """The names, in the order in which they were loaded."""
        return "".join(name for name, _ in self.made)


@pytest.fixture
def engines() -> Engines:
    return Engines()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Models of one size."""
    paths = [tmp_path / f"{name}.gguf" for name in NAMES]
    for path in paths:
        path.write_bytes(model_bytes())
    (tmp_path / "models.toml").write_text("".join(f'[[model]]\nid = "{p.stem}"\npath = "{p.name}"\n' for p in paths))
    return paths


@pytest.fixture
def open_for(runtimes: Callable[..., Runtime], files: list[Path], engines: Engines) -> Callable[..., Runtime]:
    """`open_for(n)`: with room for n of the models."""

    def make(count: int, **options: Any) -> Runtime:
        return runtimes(engines, models=files[0].with_name("models.toml"), memory=room_for(count, files[0]), **options)

    return make


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def ask(ai: Runtime, *names: str, **options: Any) -> None:
    for name in names:
        assert ai.run(name, prompt="Hi", **options)["response"] == "ok"


def test_models_stay_beside_each_other_while_there_is_room(open_for: Callable[..., Runtime], engines: Engines) -> None:
    ai = open_for(3)
    ask(ai, *"abcabc")
    assert (engines.loads, engines.now) == ("abc", ["a", "b", "c"])


def test_the_least_recently_used_goes_and_no_more_than_needed(
    open_for: Callable[..., Runtime], engines: Engines
) -> None:
    ai = open_for(3)
    ask(ai, *"abc", "a", "d")  # b was loaded second, and used least recently
    assert engines.now == ["a", "c", "d"]
    ask(ai, "b")
    assert engines.now == ["a", "d", "b"]


def enlarge(path: Path, more: int) -> None:
    """Make a model take so many bytes more."""
    rows = more // 32
    tensors = (("output_norm.weight", (8,), 0, 0), ("output.weight", (8, 4 + rows), 0, 32))
    path.write_bytes(model_bytes(tensors=tensors, data=160 + 32 * rows))


def test_two_go_where_one_is_not_enough(files: list[Path], open_for: Callable[..., Runtime], engines: Engines) -> None:
    ai = open_for(3)
    ask(ai, *"abc")
    enlarge(files[3], ai.loaded()[0].memory // 2)
    ask(ai, "d")
    assert engines.now == ["c", "d"]


def test_one_that_answers_stays_though_it_was_used_least_recently(
    open_for: Callable[..., Runtime], engines: Engines
) -> None:
    engines.scripts["a"] = [[Text("on")]]
    ai = open_for(2)
    with ai.run("a", prompt="Hi", stream=True) as stream:
        ask(ai, *"bcd")
        assert (engines.loads, engines.now) == ("abcd", ["a", "d"])
        assert next(stream) == {"response": "on"}


def test_where_all_answer_a_request_waits_and_unloads_nothing_meanwhile(
    open_for: Callable[..., Runtime], engines: Engines, pool: ThreadPoolExecutor
) -> None:
    engines.scripts = {"a": [[Text("on")]], "b": [[Text("on")]]}
    ai = open_for(2)
    first, second = (ai.run(name, prompt="Hi", stream=True) for name in "ab")
    waiting = pool.submit(ask, ai, "c")
    assert not engines.made[0][1].closed.wait(NOT_LONG)
    second.close()  # it is the one that is idle now, though used last
    waiting.result(PATIENCE)
    assert engines.now == ["a", "c"]
    first.close()


def test_a_request_waits_for_room_no_longer_than_its_time(open_for: Callable[..., Runtime], engines: Engines) -> None:
    engines.scripts["a"] = [[Text("on")]]
    ai = open_for(1)
    with ai.run("a", prompt="Hi", stream=True):
        with pytest.raises(TimedOut, match=r"0\.05 seconds passed before its model was loaded"):
            ai.run("b", prompt="Hi", timeout=0.05)
        ask(ai, "a")  # which is no longer waited for
    assert engines.loads == "a"


def test_a_model_that_is_always_asked_does_not_keep_another_out(
    open_for: Callable[..., Runtime], engines: Engines, pool: ThreadPoolExecutor
) -> None:
    engines.scripts["a"] = [[Text("on")]]
    ai = open_for(1)
    stream = ai.run("a", prompt="Hi", stream=True)
    other = pool.submit(ask, ai, "b")
    assert comes_true(lambda: not ai._residence.is_ready(ai.catalog.find("a")))
    again = pool.submit(ask, ai, "a")  # comes after the one that wants its place
    assert not wait([again], NOT_LONG).done
    stream.close()
    for one in (other, again):
        one.result(PATIENCE)
    assert engines.loads == "aba"


@pytest.fixture
def slow(engines: Engines) -> Iterator[tuple[Any, threading.Event, threading.Event]]:
    """Makes engines, of which "b" waits; what tells that it has begun, and what ends it."""
    begun, go = threading.Event(), threading.Event()

    def make(config: EngineConfig, progress: Callable[[float], None]) -> FakeEngine:
        if config.model.stem == "b":
            begun.set()
            assert go.wait(PATIENCE)
        return engines(config, progress)

    yield make, begun, go
    go.set()


def test_a_request_to_a_loaded_model_does_not_wait_while_another_loads(
    slow: tuple[Any, threading.Event, threading.Event], files: list[Path], pool: ThreadPoolExecutor
) -> None:
    make, begun, go = slow
    with Runtime(models=files[0].with_name("models.toml"), make_engine=make) as ai:
        ask(ai, "a")
        pool.submit(ask, ai, "b")
        assert begun.wait(PATIENCE)
        ask(ai, "a", timeout=1)
        ai.load("a")
        with pytest.raises(TimedOut):  # one load at a time
            ask(ai, "c", timeout=0.05)
        go.set()


def test_nor_does_it_with_asyncio_however_many_wait_for_the_load(
    slow: tuple[Any, threading.Event, threading.Event], files: list[Path]
) -> None:
    make, begun, go = slow

    async def main() -> None:
        async with AsyncRuntime(models=files[0].with_name("models.toml"), make_engine=make) as ai:
            await ai.run("a", prompt="Hi")
            waiting = [asyncio.create_task(ai.run("b", prompt="Hi")) for _ in range(20)]
            assert await asyncio.to_thread(begun.wait, PATIENCE)
            assert (await ai.run("a", prompt="Hi", timeout=2))["response"] == "ok"
            assert [one.name for one in ai.loaded()] == ["a"]
            go.set()
            await asyncio.gather(*waiting)

    run_async(main())


def test_a_model_that_can_never_fit_is_refused_and_nothing_is_unloaded(
    open_for: Callable[..., Runtime], engines: Engines, files: list[Path]
) -> None:
    ai = open_for(2)
    ask(ai, *"ab")
    enlarge(files[2], ai.loaded()[0].memory + 64)
    with pytest.raises(DoesNotFit, match=r"c:GGUF with 64 tokens needs"):
        ai.load("c")
    assert engines.now == ["a", "b"]


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch, files: list[Path], engines: Engines) -> None:
    """A machine with room for two of the models, which take a part of that as soon as they are loaded, and no more."""
    total, at_once = room_for(2, files[0]), planned(files[0]).at_once
    monkeypatch.setattr(machine, "memory", lambda: machine.Memory(GIB, total - at_once * len(engines.now)))


@pytest.mark.usefixtures("small_machine")
def test_without_a_limit_it_is_what_the_machine_has_and_what_the_models_hold(
    runtimes: Callable[..., Runtime], files: list[Path], engines: Engines
) -> None:
    """What they have not taken yet looks free, and is promised: so there are never three."""
    ai = runtimes(engines, models=files[0].with_name("models.toml"))
    ask(ai, *"abcab")
    assert (engines.loads, engines.most, engines.now) == ("abcab", 2, ["a", "b"])


def test_with_layers_on_a_gpu_there_is_one_at_a_time(
    runtimes: Callable[..., Runtime], files: list[Path], engines: Engines
) -> None:
    ai = runtimes(engines, models=files[0].with_name("models.toml"), gpu_layers=-1)
    ask(ai, *"aba")
    assert (engines.loads, engines.most) == ("aba", 1)


def test_two_entries_of_one_file_are_one_model_in_memory(
    runtimes: Callable[..., Runtime], files: list[Path], engines: Engines
) -> None:
    ai = runtimes(engines, models=files[0].with_name("models.toml"), files=[files[0]])
    ask(ai, "a", str(files[0]), "a")
    assert engines.loads == "a"
    ai.unload(str(files[0]))
    assert (engines.now, ai.loaded()) == ([], ())


def test_one_model_is_unloaded_and_the_others_stay(open_for: Callable[..., Runtime], engines: Engines) -> None:
    ai = open_for(3)
    ask(ai, *"abc")
    ai.unload("b")
    assert engines.now == ["a", "c"]
    ai.unload("b")
    with pytest.raises(UnknownModel):
        ai.unload("nothing")
    ai.unload()
    assert engines.now == []


def test_unloading_one_does_not_wait_for_another(open_for: Callable[..., Runtime], engines: Engines) -> None:
    engines.scripts["a"] = [[Text("on")]]
    ai = open_for(2)
    with ai.run("a", prompt="Hi", stream=True):
        ask(ai, "b")
        ai.unload("b")
        assert engines.now == ["a"]


def test_what_is_in_memory_can_be_listed(open_for: Callable[..., Runtime], engines: Engines, files: list[Path]) -> None:
    engines.scripts["b"] = [[Text("on")]]
    ai = open_for(2, keep_alive=60)
    assert ai.loaded() == ()
    ask(ai, "a")
    with ai.run("b", prompt="Hi", stream=True, keep_alive=-1):
        idle, running = ai.loaded()
    assert (idle.name, idle.quant, idle.context, idle.running, idle.keep_alive) == ("a", "GGUF", 64, 0, 60)
    assert idle.memory == room_for(1, files[0]) - room_for(0, files[0])
    assert idle.unloads_in == pytest.approx(60 - idle.idle)
    assert (running.name, running.running, running.idle, running.unloads_in) == ("b", 1, 0, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        idle.running = 2  # type: ignore[misc]


def test_each_model_has_a_time_of_its_own(open_for: Callable[..., Runtime], engines: Engines) -> None:
    ai = open_for(3, keep_alive=-1)
    ask(ai, "a")
    ask(ai, "b", keep_alive=0)
    ask(ai, "c", keep_alive=60)
    assert engines.made[1][1].closed.wait(PATIENCE)
    assert engines.now == ["a", "c"]


def test_to_ask_what_is_loaded_prolongs_nothing(open_for: Callable[..., Runtime], engines: Engines) -> None:
    ai = open_for(1, keep_alive=0.3)
    ask(ai, "a")
    assert comes_true(lambda: not ai.loaded())
    assert engines.made[0][1].closed.wait(PATIENCE)


@pytest.mark.parametrize("seed", range(3))
def test_under_load_every_request_is_answered_and_the_limit_holds(
    open_for: Callable[..., Runtime], engines: Engines, pool: ThreadPoolExecutor, seed: int
) -> None:
    ai, dice = open_for(2, keep_alive=0.001), random.Random(seed)
    plans = [[(dice.choice(NAMES), dice.choice((None, 0, "1ms", -1))) for _ in range(25)] for _ in range(8)]

    def client(plan: list[tuple[str, Any]]) -> None:
        for name, keep_alive in plan:
            ask(ai, name, keep_alive=keep_alive)

    for done in [pool.submit(client, plan) for plan in plans]:
        done.result(PATIENCE)
    assert engines.most <= 2
    assert [one.running for one in ai.loaded()] == [0] * len(ai.loaded())
