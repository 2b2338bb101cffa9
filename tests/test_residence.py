"""Which model `Runtime` loads and when, with scripted engines in the place of real ones."""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from runtime.errors import EngineClosed, ModelBroken, ModelMissing, ModelUnsupported, TimedOut
from runtime.values import Text
from tests.fake_engine import FakeEngine, FakeEngines, room_for
from tests.rawgguf import STRING, model_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runtime import Runtime
    from runtime.engine import EngineConfig

PATIENCE = 30  # seconds until a test that waits for an event gives up
NOT_LONG = 0.2  # seconds in which what should not happen would happen
REVISION = "0123456789abcdef0123456789abcdef01234567"
MODELS = f"""
[[model]]
id = "one"
path = "one.gguf"

[[model]]
id = "two"
path = "two.gguf"

[[model]]
id = "gone"
path = "gone.gguf"

[[model]]
id = "hub"
repo = "owner/name"
revision = "{REVISION}"
default_quant = "Q4_K_M"
[model.quants]
Q4_K_M = {{ file = "m-Q4_K_M.gguf" }}
Q8_0 = {{ file = "m-Q8_0.gguf" }}
"""


@pytest.fixture
def models(tmp_path: Path, home: Path) -> Path:
    """Two models by path, one whose file is not there, and one in the hub's cache in two quants."""
    cached = home / "hub" / "models--owner--name" / "snapshots" / REVISION
    cached.mkdir(parents=True)
    for path in (tmp_path / "one.gguf", tmp_path / "two.gguf", cached / "m-Q4_K_M.gguf", cached / "m-Q8_0.gguf"):
        path.write_bytes(model_bytes())
    path = tmp_path / "models.toml"
    path.write_text(MODELS)
    return path


@pytest.fixture
def open_runtime(runtimes: Callable[..., Runtime], models: Path) -> Callable[..., Runtime]:
    return functools.partial(runtimes, models=models)


@pytest.fixture
def open_narrow(open_runtime: Callable[..., Runtime], models: Path) -> Callable[..., Runtime]:
    """With memory for one model at a time."""
    return functools.partial(open_runtime, memory=room_for(1, models.with_name("one.gguf")))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as pool:
        yield pool


def names(engines: FakeEngines) -> list[str]:
    """The files that engines were made of."""
    return [engine.config.model.name for engine in engines.made if engine.config]


def test_nothing_is_loaded_before_the_first_run(open_runtime: Callable[..., Runtime]) -> None:
    engines = FakeEngines()
    open_runtime(engines)
    assert engines.made == []


def test_a_model_is_loaded_once(open_runtime: Callable[..., Runtime]) -> None:
    engines = FakeEngines()
    ai = open_runtime(engines)
    for _ in range(3):
        ai.run("one", prompt="Hi")
    assert names(engines) == ["one.gguf"]


def test_twenty_threads_at_once_load_once(open_runtime: Callable[..., Runtime], pool: ThreadPoolExecutor) -> None:
    engines, together = FakeEngines(), threading.Barrier(20)
    ai = open_runtime(engines)

    def run(_: int) -> str:
        together.wait(PATIENCE)
        return str(ai.run("one", prompt="Hi")["response"])

    assert list(pool.map(run, range(20), timeout=PATIENCE)) == ["ok"] * 20
    assert names(engines) == ["one.gguf"]


def test_the_settings_reach_the_engine(open_runtime: Callable[..., Runtime]) -> None:
    engines = FakeEngines()
    open_runtime(engines, context=512, slots=2, queue=3, threads=5, gpu_layers=1).run("one", prompt="Hi")
    config = engines.made[0].config
    assert config is not None
    assert (config.context, config.slots, config.queue, config.threads, config.gpu_layers) == (512, 2, 3, 5, 1)


def test_another_model_takes_the_place_of_the_first(open_narrow: Callable[..., Runtime]) -> None:
    engines = FakeEngines()
    ai = open_narrow(engines)
    for name in ("one", "two", "one"):
        ai.run(name, prompt="Hi")
    assert names(engines) == ["one.gguf", "two.gguf", "one.gguf"]
    assert engines.alive == [1, 1, 1]


def test_another_model_waits_for_the_requests_of_the_first(
    open_narrow: Callable[..., Runtime], pool: ThreadPoolExecutor
) -> None:
    engines = FakeEngines([[Text("a")]])
    ai = open_narrow(engines)
    first = ai.run("one", prompt="Hi", stream=True)
    second = pool.submit(lambda: ai.run("two", prompt="Hi"))
    assert not engines.made[0].closed.wait(NOT_LONG)
    first.cancel()
    assert list(first)[-1]["finish_reason"] == "cancelled"
    assert second.result(PATIENCE)["response"] == "ok"
    assert engines.alive == [1, 1]


def test_waiting_for_another_model_counts_as_the_requests_time(open_narrow: Callable[..., Runtime]) -> None:
    engines = FakeEngines([[Text("a")]])
    ai = open_narrow(engines)
    first = ai.run("one", prompt="Hi", stream=True)
    with pytest.raises(TimedOut, match=r"The request's 0\.05 seconds passed before its model was loaded"):
        ai.run("two", prompt="Hi", timeout=0.05)
    assert next(first) == {"response": "a"}
    assert names(engines) == ["one.gguf"]


def test_so_does_waiting_for_those_who_wait(open_runtime: Callable[..., Runtime], pool: ThreadPoolExecutor) -> None:
    loading, go = threading.Event(), threading.Event()

    def make(*_: object) -> FakeEngine:
        loading.set()
        assert go.wait(PATIENCE)
        return FakeEngine()

    ai = open_runtime(make)
    first = pool.submit(lambda: ai.run("one", prompt="Hi"))
    assert loading.wait(PATIENCE)
    with pytest.raises(TimedOut, match=r"0\.05 seconds"):
        ai.run("one", prompt="Hi", timeout=0.05)
    go.set()
    assert first.result(PATIENCE)["response"] == "ok"


@pytest.mark.parametrize(
    ("name", "options", "file"),
    [
        ("hub", {}, "m-Q4_K_M.gguf"),
        ("hub:q8_0", {}, "m-Q8_0.gguf"),
        ("hub", {"quant": "Q8_0"}, "m-Q8_0.gguf"),
        ("hub", {"quant": "q8_0"}, "m-Q8_0.gguf"),
        ("hub:Q4_K_M", {"quant": "Q8_0"}, "m-Q4_K_M.gguf"),
        ("hub", {"quant": "Q2_K"}, "m-Q4_K_M.gguf"),
    ],
)
def test_the_quant_is_the_one_named_or_preferred_or_the_models_own(
    open_runtime: Callable[..., Runtime], name: str, options: dict[str, Any], file: str
) -> None:
    engines = FakeEngines()
    open_runtime(engines, **options).run(name, prompt="Hi")
    assert names(engines) == [file]


def test_each_quant_is_a_model_of_its_own(open_runtime: Callable[..., Runtime]) -> None:
    engines = FakeEngines()
    ai = open_runtime(engines)
    for name in ("hub:Q4_K_M", "hub:Q8_0"):
        ai.run(name, prompt="Hi")
    assert (names(engines), engines.alive) == (["m-Q4_K_M.gguf", "m-Q8_0.gguf"], [1, 2])


def test_two_names_of_one_file_load_it_once(open_runtime: Callable[..., Runtime]) -> None:
    engines = FakeEngines()
    ai = open_runtime(engines)
    for name in ("hub", "hub:Q4_K_M", "hub"):
        ai.run(name, prompt="Hi")
    assert names(engines) == ["m-Q4_K_M.gguf"]


def test_an_unknown_quant_leaves_the_model_loaded(open_runtime: Callable[..., Runtime]) -> None:
    engines = FakeEngines()
    ai = open_runtime(engines)
    ai.run("hub", prompt="Hi")
    with pytest.raises(Exception, match=r"hub has no quant .Q9.\. There are Q4_K_M, Q8_0\."):
        ai.run("hub:Q9", prompt="Hi")
    assert not engines.made[0].closed.is_set()


def test_a_file_that_is_not_there_leaves_the_loaded_model_loaded(open_runtime: Callable[..., Runtime]) -> None:
    engines = FakeEngines()
    ai = open_runtime(engines)
    ai.run("one", prompt="Hi")
    with pytest.raises(ModelMissing, match=r"gone: there is no file .*gone\.gguf"):
        ai.run("gone", prompt="Hi")
    ai.run("one", prompt="Hi")
    assert (names(engines), engines.made[0].closed.is_set()) == (["one.gguf"], False)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", ModelBroken, "is empty"),
        (b"Once upon a time", ModelBroken, "starts with b'Once"),
        (model_bytes()[:-200], ModelBroken, "cut short"),
        (model_bytes({"general.architecture": (STRING, "qwen3")}), ModelUnsupported, "architecture is 'qwen3'"),
        (model_bytes({"tokenizer.ggml.model": (STRING, "llama")}), ModelUnsupported, "tokenizer is 'llama'"),
    ],
    ids=["empty", "no GGUF", "truncated", "architecture", "tokenizer"],
)
def test_a_file_that_cannot_be_run_never_reaches_the_engine(
    open_runtime: Callable[..., Runtime], models: Path, content: bytes, error: type[Exception], message: str
) -> None:
    models.with_name("two.gguf").write_bytes(content)
    engines = FakeEngines()
    ai = open_runtime(engines)
    ai.run("one", prompt="Hi")
    with pytest.raises(error, match=message):
        ai.run("two", prompt="Hi")
    assert (names(engines), engines.made[0].closed.is_set()) == (["one.gguf"], False)


def test_progress_of_the_load_is_told(open_runtime: Callable[..., Runtime]) -> None:
    told: list[float] = []
    open_runtime(FakeEngines(), on_load=told.append).run("one", prompt="Hi")
    assert told == [0.5]


def test_an_exception_in_on_load_is_raised_and_the_next_run_loads_again(open_runtime: Callable[..., Runtime]) -> None:
    errors = [ZeroDivisionError("mine")]

    def on_load(_: float) -> None:
        if errors:
            raise errors.pop()

    engines = FakeEngines()
    ai = open_runtime(engines, on_load=on_load)
    with pytest.raises(ZeroDivisionError, match="mine"):
        ai.run("one", prompt="Hi")
    assert ai.run("one", prompt="Hi")["response"] == "ok"
    assert names(engines) == ["one.gguf"]


def test_an_engine_that_has_died_is_replaced_by_the_next_run(open_runtime: Callable[..., Runtime]) -> None:
    engines = FakeEngines()
    ai = open_runtime(engines)
    ai.run("one", prompt="Hi")
    engines.made[0].closed.set()
    assert ai.run("one", prompt="Hi")["response"] == "ok"
    assert names(engines) == ["one.gguf", "one.gguf"]


def test_an_engine_that_is_dead_from_the_start_is_not_replaced_for_ever(open_runtime: Callable[..., Runtime]) -> None:
    made: list[FakeEngine] = []

    def make(_: EngineConfig, __: object) -> FakeEngine:
        made.append(FakeEngine())
        made[-1].closed.set()
        return made[-1]

    with pytest.raises(EngineClosed):
        open_runtime(make).run("one", prompt="Hi")
    assert len(made) == 2
