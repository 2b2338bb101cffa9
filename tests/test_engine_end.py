"""How an engine ends, closed or failed, and what its callers then hear."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from runtime.errors import EngineClosed, EngineError
from runtime.values import Text
from tests.engines import ask, engine, submit
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
