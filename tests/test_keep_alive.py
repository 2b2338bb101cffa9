"""How long a model stays in memory, and what closing a `Runtime` does."""

from __future__ import annotations

import functools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from runtime import Runtime
from runtime.errors import EngineClosed, InvalidRequest, ModelMissing, UnknownModel
from runtime.values import Text
from tests.fake_engine import FakeEngine, FakeEngines, answer, room_for
from tests.rawgguf import model_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runtime.engine import EngineConfig

PATIENCE = 30  # seconds until a test that waits for an event gives up
NOT_LONG = 0.3  # seconds in which what should not happen would happen


@pytest.fixture
def open_runtime(runtimes: Callable[..., Runtime], model: str) -> Callable[..., Runtime]:
    return functools.partial(runtimes, files=[model])


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_with_a_keep_alive_of_0_the_model_goes_after_the_last_request(
    open_runtime: Callable[..., Runtime], model: str
) -> None:
    engines = FakeEngines([[Text("a")], [Text("b")]])
    ai = open_runtime(engines, keep_alive=0)
    first, second = (ai.run(model, prompt="Hi", stream=True) for _ in range(2))
    first.close()
    assert not engines.made[0].closed.wait(NOT_LONG)
    second.close()
    assert engines.made[0].closed.wait(PATIENCE)


def test_a_model_that_went_is_loaded_again(open_runtime: Callable[..., Runtime], model: str) -> None:
    engines = FakeEngines()
    ai = open_runtime(engines, keep_alive=0)
    ai.run(model, prompt="Hi")
    assert engines.made[0].closed.wait(PATIENCE)
    assert ai.run(model, prompt="Hi")["response"] == "ok"


def test_a_request_in_time_keeps_the_model(open_runtime: Callable[..., Runtime], model: str) -> None:
    engines = FakeEngines([[Text("a")], [Text("b")]])
    ai = open_runtime(engines, keep_alive=0.1)
    ai.run(model, prompt="Hi", stream=True).close()
    stream = ai.run(model, prompt="Hi", stream=True)  # should this thread have slept for 0.1 s: on another engine
    assert not engines.made[-1].closed.wait(NOT_LONG)
    assert next(stream)["response"] in ("b", "ok")


@pytest.mark.parametrize("keep_alive", [-1, "-5m", 60])
def test_a_model_stays_for_long_or_for_ever(
    open_runtime: Callable[..., Runtime], model: str, keep_alive: float | str
) -> None:
    engines = FakeEngines()
    open_runtime(engines, keep_alive=keep_alive).run(model, prompt="Hi")
    assert not engines.made[0].closed.wait(NOT_LONG)


def test_a_request_may_say_how_long_the_model_stays_after_it(open_runtime: Callable[..., Runtime], model: str) -> None:
    engines = FakeEngines()
    open_runtime(engines, keep_alive=-1).run(model, prompt="Hi", keep_alive=0)
    assert engines.made[0].closed.wait(PATIENCE)


def test_the_last_request_that_says_it_counts(open_runtime: Callable[..., Runtime], model: str) -> None:
    engines = FakeEngines()
    ai = open_runtime(engines, keep_alive=0.2)
    for word in ({"keep_alive": "1h"}, {"keep_alive": -1}, {}):
        ai.run(model, {"prompt": "Hi", **word})
    assert not engines.made[0].closed.wait(2 * NOT_LONG)
    ai.run(model, prompt="Hi", keep_alive="1ms")
    assert engines.made[0].closed.wait(PATIENCE)


def test_a_model_that_is_loaded_anew_stays_as_the_setting_says(
    open_runtime: Callable[..., Runtime], model: str
) -> None:
    ai = open_runtime(FakeEngines(), keep_alive=60)
    ai.run(model, prompt="Hi", keep_alive=-1)
    ai.unload()
    ai.load(model)
    assert [one.keep_alive for one in ai.loaded()] == [60]


@pytest.mark.parametrize("word", ["soon", True, [5], "31d", 2592001, {}])
def test_what_is_no_duration_is_refused(open_runtime: Callable[..., Runtime], model: str, word: object) -> None:
    engines = FakeEngines()
    with pytest.raises(InvalidRequest, match=r"keep_alive: must be seconds or a duration such as \"5m\".*; found "):
        open_runtime(engines).run(model, prompt="Hi", keep_alive=word)
    assert engines.made == []


def test_a_time_that_passed_while_another_model_was_loaded_does_not_unload_that_one(
    tmp_path: Path, model: str, pool: ThreadPoolExecutor
) -> None:
    other = tmp_path / "two.gguf"
    other.write_bytes(model_bytes())
    engines, loading, go = FakeEngines([[Text("a")]], [[Text("b")]]), threading.Event(), threading.Event()

    def make(config: EngineConfig, progress: Callable[[float], None]) -> FakeEngine:
        if config.model == other:
            loading.set()
            assert go.wait(PATIENCE)
        return engines(config, progress)

    with Runtime(files=[model, other], make_engine=make, keep_alive=0, memory=room_for(1, model)) as ai:
        first = ai.run(model, prompt="Hi", stream=True)
        second = pool.submit(lambda: ai.run(other, prompt="Hi", stream=True))
        assert not engines.made[0].closed.wait(NOT_LONG)  # the second waits for the first, and
        first.cancel()  # the timer that starts here finds it loading
        assert loading.wait(PATIENCE)
        go.set()
        stream = second.result(PATIENCE)
        assert not engines.made[1].closed.wait(NOT_LONG)
        assert next(stream) == {"response": "b"}


def test_a_model_is_loaded_before_its_first_run(open_runtime: Callable[..., Runtime], model: str) -> None:
    engines = FakeEngines()
    ai = open_runtime(engines)
    ai.load(model)
    assert [engine.requests for engine in engines.made] == [[]]
    ai.run(model, prompt="Hi")
    assert [len(engine.requests) for engine in engines.made] == [1]


def test_loading_what_is_loaded_is_nothing(open_runtime: Callable[..., Runtime], model: str) -> None:
    engines = FakeEngines()
    ai = open_runtime(engines)
    ai.load(model)
    ai.load(model)
    assert len(engines.made) == 1


def test_a_model_that_nobody_asks_anything_goes_too(open_runtime: Callable[..., Runtime], model: str) -> None:
    engines = FakeEngines()
    open_runtime(engines, keep_alive=0).load(model)
    assert engines.made[0].closed.wait(PATIENCE)


def test_loading_while_a_request_runs_does_not_start_the_time(open_runtime: Callable[..., Runtime], model: str) -> None:
    engines = FakeEngines([[Text("a")]])
    ai = open_runtime(engines, keep_alive=0)
    with ai.run(model, prompt="Hi", stream=True):
        ai.load(model)
        assert not engines.made[0].closed.wait(NOT_LONG)


def test_loading_puts_one_model_in_the_place_of_another(
    open_runtime: Callable[..., Runtime], tmp_path: Path, model: str
) -> None:
    other = tmp_path / "two.gguf"
    other.write_bytes(model_bytes())
    engines = FakeEngines()
    with Runtime(files=[model, other], make_engine=engines, memory=room_for(1, model)) as ai:
        ai.load(model)
        ai.load(other)
    assert engines.alive == [1, 1]


def test_loading_again_leaves_one_timer(open_runtime: Callable[..., Runtime], model: str) -> None:
    ai = open_runtime(FakeEngines(), keep_alive=60)
    for _ in range(3):
        ai.load(model)
    timers = [one for one in threading.enumerate() if isinstance(one, threading.Timer) and not one.finished.is_set()]
    assert [one.function for one in timers].count(ai._residence._unload_idle) == 1


@pytest.mark.parametrize("name", ["nothing", "1b"])
def test_a_model_that_cannot_be_had_is_refused_and_the_loaded_one_stays(
    open_runtime: Callable[..., Runtime], model: str, name: str
) -> None:
    engines = FakeEngines()
    ai = open_runtime(engines)
    ai.load(model)
    with pytest.raises((UnknownModel, ModelMissing)):
        ai.load(name)
    assert not engines.made[0].closed.is_set()


def test_a_closed_runtime_loads_nothing(open_runtime: Callable[..., Runtime], model: str) -> None:
    ai = open_runtime(FakeEngines())
    ai.close()
    with pytest.raises(EngineClosed):
        ai.load(model)


def test_a_refused_request_starts_the_time_as_well(open_runtime: Callable[..., Runtime], model: str) -> None:
    engines = FakeEngines([ValueError("no")])
    with pytest.raises(ValueError, match="no"):
        open_runtime(engines, keep_alive=0).run(model, prompt="Hi")
    assert engines.made[0].closed.wait(PATIENCE)


def test_unloading_frees_the_model_and_the_next_run_loads_it_again(
    open_runtime: Callable[..., Runtime], model: str
) -> None:
    engines = FakeEngines([answer("a")], [answer("b")])
    ai = open_runtime(engines)
    ai.run(model, prompt="Hi")
    ai.unload()
    assert engines.made[0].closed.is_set()
    assert ai.run(model, prompt="Hi")["response"] == "b"


def test_unloading_waits_for_what_runs(
    open_runtime: Callable[..., Runtime], model: str, pool: ThreadPoolExecutor
) -> None:
    engines = FakeEngines([[Text("a")]])
    ai = open_runtime(engines)
    stream = ai.run(model, prompt="Hi", stream=True)
    unloaded = pool.submit(ai.unload)
    assert not engines.made[0].closed.wait(NOT_LONG)
    stream.cancel()
    unloaded.result(PATIENCE)
    assert (engines.made[0].closed.is_set(), list(stream)[-1]["finish_reason"]) == (True, "cancelled")


def test_unloading_without_a_model_is_nothing(open_runtime: Callable[..., Runtime]) -> None:
    engines = FakeEngines()
    open_runtime(engines).unload()
    assert engines.made == []


def test_closing_frees_the_model(open_runtime: Callable[..., Runtime], model: str) -> None:
    engines = FakeEngines()
    ai = open_runtime(engines)
    ai.run(model, prompt="Hi")
    ai.close()
    assert engines.made[0].closed.is_set()


def test_leaving_the_block_closes(model: str) -> None:
    engines = FakeEngines()
    with Runtime(files=[model], make_engine=engines) as ai:
        ai.run(model, prompt="Hi")
    assert engines.made[0].closed.is_set()


def test_closing_leaves_no_timer_behind(open_runtime: Callable[..., Runtime], model: str) -> None:
    before = {thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)}
    ai = open_runtime(FakeEngines(), keep_alive=60)
    ai.run(model, prompt="Hi")
    ours = {thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)} - before
    assert len(ours) == 1
    ai.close()
    for thread in ours:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_closing_ends_what_runs(open_runtime: Callable[..., Runtime], model: str) -> None:
    ai = open_runtime(FakeEngines([[Text("a")]]))
    stream = ai.run(model, prompt="Hi", stream=True)
    ai.close()
    assert next(stream) == {"response": "a"}
    with pytest.raises(EngineClosed):
        next(stream)


def test_after_closing_every_run_is_refused(open_runtime: Callable[..., Runtime], model: str) -> None:
    engines = FakeEngines()
    ai = open_runtime(engines)
    ai.close()
    with pytest.raises(EngineClosed, match="This runtime is closed"):
        ai.run(model, prompt="Hi")
    assert engines.made == []


def test_closing_and_unloading_again_is_nothing(open_runtime: Callable[..., Runtime], model: str) -> None:
    engines = FakeEngines()
    ai = open_runtime(engines)
    ai.run(model, prompt="Hi")
    ai.close()
    ai.close()
    ai.unload()
    assert len(engines.made) == 1


def test_closing_stops_a_load(open_runtime: Callable[..., Runtime], model: str, pool: ThreadPoolExecutor) -> None:
    loading = threading.Event()

    def make(_: EngineConfig, progress: Callable[[float], None]) -> FakeEngine:
        loading.set()
        end = time.monotonic() + PATIENCE / 2
        while time.monotonic() < end:
            progress(0.5)
        raise AssertionError("progress never raised")

    ai = open_runtime(make)
    run = pool.submit(lambda: ai.run(model, prompt="Hi"))
    assert loading.wait(PATIENCE)
    ai.close()
    assert isinstance(run.exception(PATIENCE), EngineClosed)


def test_an_engine_that_is_made_while_closing_is_closed(
    open_runtime: Callable[..., Runtime], model: str, pool: ThreadPoolExecutor
) -> None:
    engine, loading, go = FakeEngine(), threading.Event(), threading.Event()

    def make(*_: object) -> FakeEngine:
        loading.set()
        assert go.wait(PATIENCE)
        return engine

    ai = open_runtime(make)
    run = pool.submit(lambda: ai.run(model, prompt="Hi"))
    assert loading.wait(PATIENCE)
    closed = pool.submit(ai.close)
    assert not engine.closed.wait(NOT_LONG)
    go.set()
    closed.result(PATIENCE)
    assert isinstance(run.exception(PATIENCE), EngineClosed)
    assert engine.closed.is_set()


def test_closing_from_on_load_stops_the_load(open_runtime: Callable[..., Runtime], model: str) -> None:
    engines = FakeEngines()
    ai: Runtime = open_runtime(engines, on_load=lambda _: ai.close())
    with pytest.raises(EngineClosed):
        ai.run(model, prompt="Hi")
    with pytest.raises(EngineClosed, match="This runtime is closed"):
        ai.run(model, prompt="Hi")


def test_closing_ends_who_waits_for_another_model(tmp_path: Path, model: str, pool: ThreadPoolExecutor) -> None:
    other = tmp_path / "two.gguf"
    other.write_bytes(model_bytes())
    engines = FakeEngines([[Text("a")]])
    ai = Runtime(files=[model, other], make_engine=engines, memory=room_for(1, model))
    stream = ai.run(model, prompt="Hi", stream=True)
    waiting = pool.submit(lambda: ai.run(other, prompt="Hi"))
    assert not engines.made[0].closed.wait(NOT_LONG)
    ai.close()
    assert isinstance(waiting.exception(PATIENCE), EngineClosed)
    assert next(stream) == {"response": "a"}
    assert len(engines.made) == 1
