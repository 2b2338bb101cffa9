"""What an observer is told of, by `Runtime` and by `AsyncRuntime`."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from runtime import AsyncRuntime, Runtime
from runtime.errors import ModelBroken, QueueFull
from runtime.observer import Observer
from tests.fake_engine import FakeEngines, answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.catalog import ModelSpec
    from runtime.engine import Emit
    from runtime.pipeline import Job
    from runtime.values import Event


class Notes(Observer):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.seconds: list[float] = []

    def has_loaded(self, spec: ModelSpec, seconds: float) -> None:
        self.told.append("loaded")
        self.seconds.append(seconds)

    def has_unloaded(self, spec: ModelSpec) -> None:
        self.told.append("unloaded")

    @contextlib.contextmanager
    def run(self, job: Job, emit: Emit) -> Iterator[Emit]:
        def told(event: Event) -> None:
            self.told.append(type(event).__name__)
            emit(event)

        self.told.append("asked")
        try:
            yield told
        except Exception as error:
            self.told.append(type(error).__name__)
            raise


def test_a_run_is_told_with_the_load_that_it_waits_for_and_its_events(model: str) -> None:
    notes = Notes()
    with Runtime(files=[model], make_engine=FakeEngines([answer("Hi")])) as ai:
        ai.observe(notes)
        assert ai.run(model, prompt="Hi")["response"] == "Hi"
        assert notes.told == ["asked", "loaded", "Text", "Done"]
    assert notes.told[4:] == ["unloaded"]
    assert 0 <= notes.seconds[0] < 60


def test_the_asynchronous_runtime_tells_each_run_once(model: str) -> None:
    notes = Notes()

    async def run() -> None:
        async with AsyncRuntime(files=[model], make_engine=FakeEngines([answer("Hi")])) as ai:
            ai.observe(notes)
            await ai.run(model, prompt="Hi")

    asyncio.run(run())
    assert notes.told == ["asked", "loaded", "Text", "Done", "unloaded"]


def test_a_run_that_cannot_begin_is_told_why(model: str) -> None:
    notes = Notes()
    with Runtime(files=[model], make_engine=FakeEngines([QueueFull("full")])) as ai:
        ai.observe(notes)
        with pytest.raises(QueueFull):
            ai.run(model, prompt="Hi")
    assert notes.told == ["asked", "loaded", "QueueFull", "unloaded"]


def test_a_model_that_cannot_be_loaded_has_not_been(model: str) -> None:
    def make(*_: object) -> FakeEngines:
        raise ModelBroken("broken")

    notes = Notes()
    with Runtime(files=[model], make_engine=make) as ai:  # type: ignore[arg-type]
        ai.observe(notes)
        with pytest.raises(ModelBroken):
            ai.load(model)
    assert notes.told == []


def test_a_stream_is_told_as_a_whole_answer_is(model: str) -> None:
    notes = Notes()
    with Runtime(files=[model], make_engine=FakeEngines([answer("Hi")])) as ai:
        ai.observe(notes)
        list(ai.run(model, prompt="Hi", stream=True))
    assert notes.told == ["asked", "loaded", "Text", "Done", "unloaded"]
