"""`AsyncRuntime`: the same as `Runtime`, awaited, and a task that is cancelled takes its run with it."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runtime import AsyncRuntime
from runtime.errors import EngineClosed, EngineError, InvalidRequest, QueueFull, TimedOut, UnknownModel
from runtime.values import Failed, Text
from tests.fake_engine import FakeEngine, FakeEngines, answer, room_for
from tests.gate import comes_true
from tests.models import expected, key_token

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from runtime.engine import Emit, EngineConfig
    from runtime.values import Event, Request

PATIENCE = 30  # seconds until a test that waits gives up
BODY = {"prompt": "Hi"}


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main, PATIENCE))


def with_runtime(model: str, make: Any, use: Callable[[AsyncRuntime], Coroutine[Any, Any, Any]]) -> Any:
    """What `use` gives, for a runtime with these engines."""

    async def main() -> Any:
        async with AsyncRuntime(files=[model], make_engine=make) as ai:
            return await use(ai)

    return run(main())


def one_engine(*scripts: list[Event] | Exception) -> FakeEngines:
    return FakeEngines(list(scripts))


class Telling(FakeEngine):
    """Says on the loop when a request has come and when it was cancelled."""

    def __init__(self, *scripts: list[Event]) -> None:
        super().__init__(scripts)
        self.submitted, self.cancelled = threading.Event(), threading.Event()

    def submit(self, request: Request, emit: Emit) -> None:
        super().submit(request, emit)
        self.submitted.set()

    def cancel(self, request_id: str) -> None:
        super().cancel(request_id)
        self.cancelled.set()


async def happens(event: threading.Event) -> bool:
    return await asyncio.to_thread(event.wait, PATIENCE)


def test_a_run_gives_the_whole_answer(model: str) -> None:
    async def use(ai: AsyncRuntime) -> Any:
        return await ai.run(model, BODY)

    result = with_runtime(model, one_engine(answer("Hi", " there")), use)
    assert (result["response"], result["usage"]["total_tokens"]) == ("Hi there", 7)


def test_a_stream_gives_the_parts_and_at_the_end_the_usage(model: str) -> None:
    async def use(ai: AsyncRuntime) -> Any:
        return [part async for part in await ai.run(model, BODY, stream=True)]

    parts = with_runtime(model, one_engine(answer("Hi", " there")), use)
    assert [part["response"] for part in parts] == ["Hi", " there", ""]
    assert parts[-1]["usage"]["total_tokens"] == 7


def test_keywords_win_over_the_inputs_which_stay_as_they_were(model: str) -> None:
    engines, inputs = one_engine(), {"prompt": "Hi", "max_tokens": 3}

    async def use(ai: AsyncRuntime) -> None:
        await ai.run(model, inputs, max_tokens=7)

    with_runtime(model, engines, use)
    assert (engines.made[0].requests[0].max_tokens, inputs) == (7, {"prompt": "Hi", "max_tokens": 3})


@pytest.mark.parametrize(
    ("name", "inputs", "error"),
    [(None, {"prompt": ""}, InvalidRequest), (None, ["Hi"], InvalidRequest), ("nothing", BODY, UnknownModel)],
)
def test_a_wrong_request_is_refused(model: str, name: str | None, inputs: Any, error: type[Exception]) -> None:
    async def use(ai: AsyncRuntime) -> None:
        await ai.run(name or model, inputs)

    with pytest.raises(error):
        with_runtime(model, FakeEngines(), use)


@pytest.mark.parametrize("stream", [True, False])
def test_what_the_engine_refuses_is_raised(model: str, stream: bool) -> None:
    async def use(ai: AsyncRuntime) -> None:
        await ai.run(model, BODY, stream=stream)

    with pytest.raises(QueueFull):
        with_runtime(model, one_engine(QueueFull("full")), use)


def test_a_failure_in_a_stream_is_raised_after_what_was_written(model: str) -> None:
    async def use(ai: AsyncRuntime) -> str:
        stream = await ai.run(model, BODY, stream=True)
        first: str = (await anext(stream))["response"]
        with pytest.raises(EngineError, match="broken"):
            await anext(stream)
        return first

    assert with_runtime(model, one_engine([Text("a"), Failed(EngineError("broken"))]), use) == "a"


def test_a_cancelled_stream_gives_what_was_written_and_the_end(model: str) -> None:
    async def use(ai: AsyncRuntime) -> Any:
        stream = await ai.run(model, BODY, stream=True)
        await anext(stream)
        stream.cancel()
        return [(part["response"], part.get("finish_reason")) async for part in stream]

    assert with_runtime(model, one_engine([Text("a"), Text("b")]), use) == [("b", None), ("", "cancelled")]


def test_leaving_the_block_of_a_stream_cancels_it(model: str) -> None:
    engines = one_engine([Text("a")])

    async def use(ai: AsyncRuntime) -> tuple[int, int]:
        async with await ai.run(model, BODY, stream=True) as stream:
            await anext(stream)
            before = len(engines.made[0].running)
        assert [part async for part in stream] == []
        return before, len(engines.made[0].running)

    assert with_runtime(model, engines, use) == (1, 0)


def test_leaving_a_loop_early_cancels_the_stream(model: str) -> None:
    engines = one_engine([Text("a")])

    async def use(ai: AsyncRuntime) -> int:
        async for _ in await ai.run(model, BODY, stream=True):
            break
        gc.collect()
        return len(engines.made[0].running)

    assert with_runtime(model, engines, use) == 0


@pytest.mark.parametrize("stream", [True, False])
def test_a_cancelled_task_cancels_its_run(model: str, stream: bool) -> None:
    engine = Telling([Text("a")])

    async def consume(ai: AsyncRuntime) -> None:
        result = await ai.run(model, BODY, stream=stream)
        if stream:
            async for _ in result:
                pass

    async def use(ai: AsyncRuntime) -> None:
        task = asyncio.create_task(consume(ai))
        assert await happens(engine.submitted)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await happens(engine.cancelled)

    with_runtime(model, lambda *_: engine, use)
    assert engine.running == {}


class SlowLoad:
    """Makes an engine when `go` is set; `loading` is set once it is asked for."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.loading, self.go = threading.Event(), threading.Event()

    def __call__(self, *_: object) -> FakeEngine:
        self.loading.set()
        assert self.go.wait(PATIENCE)
        return self.engine


def test_a_task_cancelled_while_the_model_loads_ends_at_once_and_its_run_never_begins(model: str) -> None:
    load = SlowLoad()

    async def use(ai: AsyncRuntime) -> None:
        task = asyncio.create_task(ai.run(model, BODY))
        assert await happens(load.loading)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        load.go.set()

    with_runtime(model, load, use)  # which waits for the load before it closes
    assert load.engine.requests == []


def test_while_a_model_loads_no_more_runs_wait_than_may_wait_in_an_engine(model: str) -> None:
    load = SlowLoad()

    async def use(ai: AsyncRuntime) -> list[Any]:
        runs = [asyncio.create_task(ai.run(model, BODY)) for _ in range(3)]
        assert await happens(load.loading)
        with pytest.raises(QueueFull):
            await ai.run(model, BODY)
        with pytest.raises(QueueFull):
            await ai.run(model, BODY, options={"rejectIfBusy": True})
        load.go.set()
        return await asyncio.gather(*runs)

    async def main() -> list[Any]:
        async with AsyncRuntime(files=[model], make_engine=load, slots=1, queue=2) as ai:
            return await use(ai)

    assert [result["response"] for result in run(main())] == ["ok"] * 3


def test_while_a_model_loads_every_run_ends_at_its_own_time(model: str) -> None:
    load = SlowLoad()

    async def use(ai: AsyncRuntime) -> None:
        waiting = asyncio.create_task(ai.run(model, BODY))
        assert await happens(load.loading)
        late = [ai.run(model, BODY, timeout=0.05) for _ in range(10)]  # more than there are threads
        ended = await asyncio.gather(*late, return_exceptions=True)
        assert [type(error) for error in ended] == [TimedOut] * 10
        load.go.set()
        await waiting

    with_runtime(model, load, use)


def test_a_run_that_is_taken_back_does_not_put_its_model_in_the_place_of_another(model: str, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(Path(model).read_bytes())
    engines = one_engine([Text("a")])

    async def main() -> None:
        async with AsyncRuntime(files=[model, other], make_engine=engines, memory=room_for(1, model)) as ai:
            running = await ai.run(model, BODY, stream=True)
            swapping = asyncio.create_task(ai.run(other, BODY))
            await asyncio.sleep(0)  # it has begun to wait when the next run has its turn
            assert await asyncio.to_thread(lambda: comes_true(lambda: ai._starting == 1))
            swapping.cancel()
            await asyncio.gather(swapping, return_exceptions=True)
            assert (await ai.run(model, BODY, timeout=PATIENCE))["response"] == "ok"
            await running.close()

    run(main())
    assert len(engines.made) == 1


def test_closing_while_the_model_loads_stops_the_load(model: str) -> None:
    loading = threading.Event()

    def make(_: EngineConfig, progress: Callable[[float], None]) -> FakeEngine:
        loading.set()
        end = time.monotonic() + PATIENCE / 2
        while time.monotonic() < end:
            progress(0.5)
        raise AssertionError("progress never raised")

    async def use(ai: AsyncRuntime) -> Any:
        tasks = [asyncio.create_task(ai.run(model, BODY)) for _ in range(10)]  # more than there are threads
        assert await happens(loading)
        await ai.close()
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(one) for one in with_runtime(model, make, use)] == [EngineClosed] * 10


def test_closing_ends_what_runs(model: str) -> None:
    async def use(ai: AsyncRuntime) -> None:
        stream = await ai.run(model, BODY, stream=True)
        await ai.close()
        assert await anext(stream) == {"response": "a"}
        with pytest.raises(EngineClosed):
            await anext(stream)

    with_runtime(model, one_engine([Text("a")]), use)


def test_after_closing_every_run_is_refused(model: str) -> None:
    async def use(ai: AsyncRuntime) -> None:
        await ai.close()
        await ai.close()
        await ai.unload()
        with pytest.raises(EngineClosed, match="This runtime is closed"):
            await ai.run(model, BODY)

    with_runtime(model, FakeEngines(), use)


def test_unloading_frees_the_model_and_the_next_run_loads_it_again(model: str) -> None:
    engines = FakeEngines()

    async def use(ai: AsyncRuntime) -> None:
        await ai.run(model, BODY)
        await ai.unload()
        assert engines.made[0].closed.is_set()
        await ai.run(model, BODY)

    with_runtime(model, engines, use)
    assert len(engines.made) == 2


def test_a_job_is_prepared_and_answered(model: str) -> None:
    async def use(ai: AsyncRuntime) -> Any:
        job = await ai.prepare(model, {"prompt": "Hi", "max_tokens": 7})
        return job.request.max_tokens, (await ai.answer(job))["response"]

    assert with_runtime(model, one_engine(answer("a", "b")), use) == (7, "ab")


def test_what_is_wrong_is_found_in_preparing(model: str) -> None:
    engines = FakeEngines()

    async def use(ai: AsyncRuntime) -> None:
        with pytest.raises(InvalidRequest):
            await ai.prepare(model, {"prompt": ""})

    with_runtime(model, engines, use)
    assert engines.made == []


def test_jobs_are_prepared_while_others_wait_for_a_model(model: str) -> None:
    go = threading.Event()

    def make(*_: object) -> FakeEngine:
        assert go.wait(PATIENCE)
        return FakeEngine()

    async def use(ai: AsyncRuntime) -> Any:
        tasks = [asyncio.create_task(ai.run(model, BODY)) for _ in range(10)]  # more than there are threads
        await asyncio.sleep(0)
        job = await ai.prepare(model, BODY)
        go.set()
        await asyncio.gather(*tasks)
        return job.inputs.prompt

    assert with_runtime(model, make, use) == "Hi"


def test_the_events_of_a_job_go_where_they_are_wanted(model: str) -> None:
    async def use(ai: AsyncRuntime) -> list[Event]:
        found: list[Event] = []
        await ai.start(await ai.prepare(model, BODY), found.append)
        return found

    assert with_runtime(model, one_engine(answer("a")), use) == answer("a")


def test_a_model_is_loaded_before_its_first_run(model: str) -> None:
    engines = FakeEngines()

    async def use(ai: AsyncRuntime) -> None:
        await ai.load(model)
        assert len(engines.made) == 1
        await ai.run(model, BODY)

    with_runtime(model, engines, use)
    assert len(engines.made) == 1


def test_loading_a_model_that_there_is_not_is_refused(model: str) -> None:
    async def use(ai: AsyncRuntime) -> None:
        await ai.load("nothing")

    with pytest.raises(UnknownModel):
        with_runtime(model, FakeEngines(), use)


def test_in_parity_streams_have_only_what_is_published(model: str) -> None:
    async def main() -> Any:
        async with AsyncRuntime(files=[model], make_engine=one_engine(answer("a")), parity=True) as ai:
            return [part async for part in await ai.run(model, BODY, stream=True)]

    assert [list(part) for part in run(main())] == [["response"], ["response", "usage"]]


def test_settings_and_catalogue_are_at_hand(model: str) -> None:
    async def use(ai: AsyncRuntime) -> tuple[int, str]:
        return ai.settings.slots, ai.catalog.find(model).spec.id

    assert with_runtime(model, FakeEngines(), use) == (4, model)


def test_the_loop_goes_on_while_a_model_loads(model: str) -> None:
    go = threading.Event()

    def make(*_: object) -> FakeEngine:
        assert go.wait(PATIENCE)
        return FakeEngine()

    async def use(ai: AsyncRuntime) -> Any:
        task = asyncio.create_task(ai.run(model, BODY))
        for _ in range(10):
            await asyncio.sleep(0)
        go.set()  # which only a loop that is not blocked comes to
        return (await task)["response"]

    assert with_runtime(model, make, use) == "ok"


def test_64_runs_on_one_loop_get_their_own_answers(canary: Path) -> None:
    async def main() -> list[str]:
        async with AsyncRuntime(files=[canary], threads=1, slots=8) as ai:
            bodies = [{"prompt": key_token(key), "max_tokens": 6, "temperature": 0} for key in range(64)]
            results = await asyncio.gather(*(ai.run(str(canary), body) for body in bodies))
        return [result["response"] for result in results]

    assert run(main()) == [expected(key, 6) for key in range(64)]
