"""Nothing lost, cut or mixed up: many threads on one `Runtime`, with a model whose every answer is known."""

from __future__ import annotations

import gc
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from runtime import Runtime, machine
from tests.engines import cells_in_use, engine_in
from tests.models import canary_model, expected, key_token

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUESTS, THREADS, KEYS = 400, 16, 64


@pytest.fixture(scope="module")
def ai(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    path = tmp_path_factory.mktemp("models") / "canary.gguf"
    canary_model(path)
    with Runtime(files=[path], slots=8, threads=1, context=8192) as runtime:
        yield runtime


class Load:
    """One request after the other, each of a kind and size that its number decides."""

    def __init__(self, ai: Runtime) -> None:
        self.ai, self.model = ai, ai.catalog.models[-1].id
        self.outcomes: list[str] = []

    def request(self, number: int) -> None:
        dice = random.Random(number)
        key, tokens = dice.randrange(KEYS), dice.randint(1, 100)
        body = self._body(dice, key, tokens)
        kind = ("whole", "streamed", "cancelled")[number % 3]
        if kind == "whole":
            result = self.ai.run(self.model, body)
            assert (result["response"], result["finish_reason"]) == (expected(key, tokens), "length")
        else:
            written, reason = self._stream(body, dice.randint(0, tokens) if kind == "cancelled" else None)
            assert reason in ("length", "cancelled" if kind == "cancelled" else "length")
            assert expected(key, tokens).startswith(written)
            assert written == expected(key, tokens) or reason == "cancelled"
        self.outcomes.append(kind)

    def _body(self, dice: random.Random, key: int, tokens: int) -> dict[str, Any]:
        filler = "~" * dice.randint(0, 200)
        return {"prompt": f"{filler}{key_token(key)}{filler}", "max_tokens": tokens, "temperature": 0}

    def _stream(self, body: dict[str, Any], cancel_at: int | None) -> tuple[str, str]:
        stream = self.ai.run(self.model, body, stream=True)
        if cancel_at == 0:
            stream.cancel()
        events = []
        for event in stream:
            events.append(event)
            if len(events) == cancel_at:
                stream.cancel()
        return "".join(event["response"] for event in events), events[-1]["finish_reason"]


def run_all(load: Load, numbers: range) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(load.request, number) for number in numbers]:
            done.result(timeout=300)


def settled(condition: Any, seconds: float = 1.0) -> bool:
    """Whether the condition comes true within the time the promise gives."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        threading.Event().wait(0.01)
    return bool(condition())


def test_every_answer_under_load_is_exact_and_nothing_is_left_behind(ai: Runtime) -> None:
    load = Load(ai)
    run_all(load, range(-100, 0))  # the allocator's pools, and all code paths, are warm after this
    gc.collect()
    memory = machine.resident_bytes()
    load.outcomes.clear()
    run_all(load, range(REQUESTS))
    engine: Any = engine_in(ai)
    assert settled(lambda: not engine._inbox._open and cells_in_use(engine) == 0)
    assert engine._scheduler._free_cells == engine._scheduler.cells
    assert sorted(engine._scheduler._free_slots) == list(range(8))
    gc.collect()
    assert machine.resident_bytes() < 1.05 * memory
    assert {kind: load.outcomes.count(kind) for kind in set(load.outcomes)} == {
        "whole": 134,
        "streamed": 133,
        "cancelled": 133,
    }
