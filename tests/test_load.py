"""Nothing lost, cut or mixed up: many threads on one `Runtime`, with a model whose every answer is known."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from runtime import Runtime
from tests.engines import cells_in_use, engine_in
from tests.invariants import callers, resident
from tests.load import CELLS, HOMES, Asked, at, comes_true, drawn, everything_is_free

if TYPE_CHECKING:
    from pathlib import Path

REQUESTS, THREADS, SLOTS = 200, 16, 8


class Load:
    """One request after the other, each of a kind and size that its number decides."""

    def __init__(self, ai: Runtime) -> None:
        self.ai, self.model = ai, ai.catalog.models[-1].id
        self.outcomes: list[str] = []

    def run(self, numbers: range) -> None:
        self.outcomes.clear()
        with ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(self.request, number) for number in numbers]:
                done.result(timeout=300)

    def request(self, number: int) -> None:
        dice = random.Random(number)
        asked = drawn(dice)
        kind = ("whole", "streamed", "cancelled")[number % 3]
        if kind == "whole":
            result = self.ai.run(self.model, asked.body)
            assert (result["response"], result["finish_reason"]) == (asked.text, "length")
        else:
            written, reason = self._stream(asked, dice.randint(0, asked.tokens) if kind == "cancelled" else None)
            assert reason in ("length", "cancelled" if kind == "cancelled" else "length")
            assert asked.text.startswith(written)
            assert written == asked.text or reason == "cancelled"
        self.outcomes.append(kind)

    def _stream(self, asked: Asked, cancel_at: int | None) -> tuple[str, str]:
        stream = self.ai.run(self.model, asked.body, stream=True)
        if cancel_at == 0:
            stream.cancel()
        events = []
        for event in stream:
            events.append(event)
            if len(events) == cancel_at:
                stream.cancel()
        return "".join(event["response"] for event in events), events[-1]["finish_reason"]


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("home", HOMES)
def test_every_answer_under_load_is_exact_and_nothing_is_left_behind(
    home: str, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calling = callers(monkeypatch)
    with Runtime(files=[canary], slots=SLOTS, threads=1, context=CELLS, **at(home)) as ai:
        load = Load(ai)
        load.run(range(-100, 0))  # the allocator's pools, and all code paths, are warm after this
        memory = resident()
        load.run(range(REQUESTS))
        assert comes_true(lambda: ai.loaded()[0].running == 0)
        if home == "none":
            assert comes_true(lambda: is_empty(engine_in(ai)))
        assert resident() < 1.05 * memory
        assert everything_is_free(ai, load.model, SLOTS)
    counts = {kind: load.outcomes.count(kind) for kind in set(load.outcomes)}
    assert counts == {"whole": 67, "streamed": 67, "cancelled": 66}
    assert all(len(threads) == 1 for threads in calling.values())
    assert len(calling) == (home == "none")


def is_empty(engine: Any) -> bool:
    """Whether no request is in it, and every slot and every cell is free."""
    scheduler = engine._scheduler
    slots, cells = sorted(scheduler._free_slots), scheduler._free_cells
    return (
        not engine._inbox._open
        and cells_in_use(engine) == 0
        and cells == scheduler.cells
        and slots == list(range(SLOTS))
    )
