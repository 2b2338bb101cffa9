"""What a grammar may compute is bounded, for a token and for an answer; only its own request ends."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from runtime.engine.meter import REQUEST_SECONDS, TOKEN_SECONDS, Meter
from runtime.errors import EngineError
from runtime.grammar import compile_schema
from runtime.values import Request, Sampling
from tests.engines import cells_in_use, engine, plain, submit
from tests.models import random_model

if TYPE_CHECKING:
    from pathlib import Path

GRAMMAR = compile_schema({"type": "string", "minLength": 80, "maxLength": 100}, closed=True)


class Clock:
    """What a thread has computed, as a test says: each look at it takes so long."""

    def __init__(self, step: float = 0.0) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def spend(meter: Meter, clock: Clock, seconds: float) -> None:
    with meter:
        clock.now += seconds


def test_a_token_may_take_its_time_and_no_more() -> None:
    clock = Clock()
    meter = Meter(clock)
    spend(meter, clock, TOKEN_SECONDS)
    spend(meter, clock, 0.01)
    with pytest.raises(EngineError, match=r"took 1\.0 s of computing for one token; it may take 1 s\. Simplify"):
        spend(meter, clock, 0)


def test_each_token_has_its_own_time_and_the_answer_all_of_theirs() -> None:
    clock = Clock()
    meter = Meter(clock)
    for _ in range(int(REQUEST_SECONDS / TOKEN_SECONDS)):
        spend(meter, clock, TOKEN_SECONDS)
        meter.next_token()
    spend(meter, clock, 0.1)
    with pytest.raises(EngineError, match=r"took 10\.1 s of computing for one answer; it may take 10 s\."):
        spend(meter, clock, 0)


def test_time_between_the_blocks_is_not_the_grammars() -> None:
    clock = Clock()
    meter = Meter(clock)
    spend(meter, clock, 0.5)
    clock.now += 100
    spend(meter, clock, 0.4)
    spend(meter, clock, 0)


def test_a_block_in_a_block_counts_once() -> None:
    clock = Clock()
    meter = Meter(clock)
    with meter:
        spend(meter, clock, 0.9)
    spend(meter, clock, 0)


def test_a_long_block_is_broken_off_where_it_looks_at_the_time() -> None:
    clock = Clock()
    with Meter(clock) as meter:
        clock.now += 1.1
        with pytest.raises(EngineError, match="one token"):
            meter.check()


def test_the_time_is_the_threads_on_a_processor() -> None:
    with Meter() as meter:
        began = time.monotonic()
        while time.monotonic() < began + 0.05:
            time.sleep(0.01)
    assert meter._all < 0.04


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "random.gguf"
    random_model(path)
    return path


@pytest.mark.parametrize("step", [TOKEN_SECONDS / 3, TOKEN_SECONDS / 20], ids=["a token", "all tokens"])
def test_a_grammar_that_takes_too_long_ends_its_request_and_no_other(model: Path, step: float) -> None:
    running = engine(model, cpu_clock=Clock(step))
    free = submit(running, Request("free", plain("Write."), max_tokens=100, sampling=Sampling(seed=1)))
    held = submit(running, Request("held", plain("Write."), max_tokens=100, sampling=Sampling(seed=1), grammar=GRAMMAR))
    error = held.failure()
    assert isinstance(error, EngineError)
    assert re.search(r"s of computing.* Simplify the schema", str(error))
    assert free.done().usage.completion_tokens > 0
    again = submit(running, Request("again", plain("Write."), max_tokens=5))
    assert again.done()
    assert cells_in_use(running) == 0
    running.close()
