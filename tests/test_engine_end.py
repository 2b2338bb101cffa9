"""How an engine ends, closed or failed, and what its callers then hear."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from runtime.errors import EngineClosed, EngineError
from runtime.values import Done, Event, Failed, Progress, Text
from tests.engines import PATIENCE, Caller, ask, cells_in_use, engine, submit
from tests.models import canary_model, expected

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    canary_model(path / "canary.gguf")
    return path


def test_closing_ends_running_and_waiting_requests_with_an_error(folder: Path) -> None:
    running = engine(folder / "canary.gguf", slots=2)
    callers = [submit(running, ask(key, 3000, name=f"r{key}")) for key in range(4)]
    callers[0].until(Text)
    running.close()
    assert all(isinstance(caller.failure(), EngineClosed) for caller in callers)


def test_a_closed_engine_takes_nothing_in_and_closes_again(folder: Path) -> None:
    running = engine(folder / "canary.gguf")
    running.close()
    running.close()
    with pytest.raises(EngineClosed):
        submit(running, ask())


def test_a_failure_of_the_engine_ends_every_request_with_an_error(folder: Path) -> None:
    running = engine(folder / "canary.gguf")
    stop = threading.Event()

    def fail() -> bool:
        stop.wait()
        raise EngineError("llama_decode returned -3")

    running._context.decode = fail  # type: ignore[method-assign]
    callers = [submit(running, ask(key, name=f"r{key}")) for key in range(6)]
    stop.set()
    assert all("returned -3" in str(caller.failure()) for caller in callers)
    with pytest.raises(EngineClosed):
        submit(running, ask())
    running.close()


def test_logits_that_are_not_finite_end_only_the_request_that_has_them(folder: Path) -> None:
    running = engine(folder / "canary.gguf")
    real = running._context.logits

    def poisoned(row: int) -> NDArray[np.float32]:
        slot = running._context.batch.sequences[row]
        mine = next(sequence for sequence in running._scheduler.live if sequence.slot == slot)
        is_bad = mine.request.id == "r1" and len(mine.tokens) > 20
        return real(row) * np.float32("nan") if is_bad else real(row)

    running._context.logits = poisoned  # type: ignore[method-assign]
    callers = [submit(running, ask(key, 200, name=f"r{key}")) for key in range(3)]
    assert "not finite" in str(callers[1].failure())
    assert all(callers[key].whole() == expected(key, 200) for key in (0, 2))
    running.close()


def test_a_bug_in_one_requests_sampling_ends_that_one(folder: Path) -> None:
    running = engine(folder / "canary.gguf")
    real = running._advance

    def wrong(sequence: Any, rows: list[int]) -> None:
        if sequence.request.id == "r1" and len(sequence.tokens) > 20:
            sequence.output.feed = None
        real(sequence, rows)

    running._advance = wrong  # type: ignore[method-assign]
    callers = [submit(running, ask(key, 200, name=f"r{key}")) for key in range(3)]
    error = callers[1].failure()
    assert isinstance(error, EngineError)
    assert error.message == "The engine failed: TypeError."
    assert all(callers[key].whole() == expected(key, 200) for key in (0, 2))
    assert submit(running, ask(9, 50)).whole() == expected(9, 50)
    assert cells_in_use(running) == 0
    running.close()


def test_a_bug_at_the_very_end_of_a_request_ends_it_once(folder: Path) -> None:
    running = engine(folder / "canary.gguf")
    real = running._finish

    def wrong(sequence: Any, reason: Any) -> None:
        if sequence.request.id == "r1":
            sequence.output.finish = None
        real(sequence, reason)

    running._finish = wrong  # type: ignore[method-assign]
    callers = [submit(running, ask(key, 20, name=f"r{key}")) for key in range(3)]
    assert str(callers[1].failure()).startswith("The engine failed: TypeError.")
    assert all(callers[key].whole() == expected(key, 20) for key in (0, 2))
    running.close()
    assert [sum(isinstance(one, Done | Failed) for one in caller.events) for caller in callers] == [1, 1, 1]


def test_logits_that_are_missing_end_the_request_that_has_none(folder: Path) -> None:
    running = engine(folder / "canary.gguf")
    real = running._fill

    def wrong(work: Any) -> Any:
        return [(one, [99] if one.request.id == "r1" else rows) for one, rows in real(work)]

    running._fill = wrong  # type: ignore[method-assign]
    callers = [submit(running, ask(key, 20, name=f"r{key}")) for key in range(3)]
    assert "Row 99" in str(callers[1].failure())
    assert all(callers[key].whole() == expected(key, 20) for key in (0, 2))
    running.close()


@pytest.mark.parametrize("kind", [Progress, Text, Done])
def test_a_caller_who_takes_no_events_loses_its_own_request_only(
    folder: Path, kind: type, caplog: pytest.LogCaptureFixture
) -> None:
    running = engine(folder / "canary.gguf", slots=2)
    taken: list[Event] = []
    ended = threading.Event()

    def refuse(event: Event) -> None:
        taken.append(event)
        if isinstance(event, Done | Failed):
            ended.set()
        if isinstance(event, kind):
            raise ValueError("no more")

    running.submit(ask(1, 3000 if kind is not Done else 5, name="r1"), refuse)
    other = submit(running, ask(2, 300, name="r2"))
    assert ended.wait(PATIENCE)
    assert other.whole() == expected(2, 300)
    assert cells_in_use(running) == 0
    running.close()
    assert sum(isinstance(one, Done | Failed) for one in taken) == 1
    assert taken[-1].finish_reason == ("length" if kind is Done else "cancelled")  # type: ignore[union-attr]
    assert "nobody takes the events of request r1" in caplog.text


def test_a_cancel_that_comes_with_the_end_does_not_meet_the_next_of_that_name(folder: Path) -> None:
    running = engine(folder / "canary.gguf")
    caller = Caller()

    def cancel_in_the_end(event: Event) -> None:
        if isinstance(event, Text) and event.text.endswith("i04"):  # while the last step runs
            running.cancel("one")
        caller.emit(event)

    running.submit(ask(7, 5), cancel_in_the_end)
    assert caller.done().finish_reason == "length"
    again = submit(running, ask(7, 50))
    assert (again.done().finish_reason, again.text) == ("length", expected(7, 50))
    running.close()


def test_callers_hear_of_the_end_though_nothing_can_be_freed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    running = engine(folder / "canary.gguf")
    caller = submit(running, ask(1, 3000))
    caller.until(Text)
    free = running._context.free

    def fail() -> None:
        free()
        raise OSError("not to be freed")

    running._context.free = fail  # type: ignore[method-assign]
    running.close()
    assert isinstance(caller.failure(), EngineClosed)
    assert "could not be freed" in caplog.text
    running._model.free()


def test_threads_and_memory_of_a_closed_engine_are_given_back(folder: Path) -> None:
    before = threading.active_count()
    running = engine(folder / "canary.gguf")
    assert threading.active_count() == before + 1
    running.close()
    assert threading.active_count() == before


def test_each_caller_of_a_failed_engine_gets_an_error_of_its_own(folder: Path) -> None:
    running = engine(folder / "canary.gguf", slots=2)
    callers = [submit(running, ask(key, 3000, name=f"r{key}")) for key in range(2)]
    running.close()
    assert callers[0].failure() is not callers[1].failure()
