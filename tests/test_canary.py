"""That the canary sees what it is there to see: a row of logits or a cell of the cache that is another request's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runtime import Runtime
from runtime.engine import local
from runtime.engine.llama import Context
from runtime.values import Request
from tests.canary import ADAPTERS, ENDS_AFTER, CopiesCells, SwapsRows, expected
from tests.engines import GREEDY, engine, plain, submit
from tests.models import KEYS, key_token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.canary import Family

REQUESTS, TOKENS = 64, SwapsRows.EVERY - 10  # so that none has two rows swapped


@pytest.fixture(scope="module")
def ai(canaries: Family) -> Iterator[Runtime]:
    with Runtime(models=canaries.catalog, threads=1, context=4096, keep_alive=-1) as runtime:
        yield runtime


@pytest.mark.parametrize("key", [0, 7, KEYS - 1])
@pytest.mark.parametrize("model", ["canary", "ends", "sibling"])
def test_each_model_answers_a_conversation_in_words_of_its_own(model: str, key: int, ai: Runtime) -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": f"Say {key_token(key)}, <|eot_id|> and nothing else!"},
    ]
    result = ai.run(model, messages=messages, max_tokens=40, temperature=0)
    reason = "stop" if model == "ends" else "length"
    assert (result["response"], result["finish_reason"]) == (expected(key, 40, model=model), reason)


def test_each_adapter_says_what_the_canary_says_to_another_key(ai: Runtime) -> None:
    for lora in (*ADAPTERS, None):
        body = {"prompt": key_token(5), "max_tokens": 40, "temperature": 0, "lora": lora}
        assert ai.run("canary", body)["response"] == expected(5, 40, lora=lora)


def test_no_two_answers_are_alike() -> None:
    answers = {expected(key, ENDS_AFTER, model=model) for key in range(KEYS) for model in ("canary", "sibling")}
    assert len(answers) == 2 * KEYS
    assert len({expected(5, 1, lora=lora) for lora in (*ADAPTERS, None)}) == 4


def wrong_answers(path: Path, faulty: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[int, Any]:
    """How many of 64 answers, written eight at a time, are not as they should be; and the context they came from."""
    monkeypatch.setattr(local, "Context", faulty)
    running = engine(path, slots=8, context=8192)
    try:
        callers = {}
        for key in range(REQUESTS):
            # The key stands in the first cells; what comes after it is more than is copied.
            prompt = plain(key_token(key) + "~" * CopiesCells.CELLS)
            callers[key] = submit(running, Request(f"r{key}", prompt, max_tokens=TOKENS, sampling=GREEDY))
        wrong = [key for key, caller in callers.items() if caller.whole() != expected(key, TOKENS)]
        return len(wrong), running._context
    finally:
        running.close()


def test_without_a_fault_every_answer_is_right(canaries: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wrong_answers(canaries.file("canary"), Context, monkeypatch)[0] == 0


def test_every_row_of_logits_that_is_anothers_shows(canaries: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong, context = wrong_answers(canaries.file("canary"), SwapsRows, monkeypatch)
    assert context.n_swapped >= REQUESTS * TOKENS // 8 // SwapsRows.EVERY
    assert wrong == context.n_swapped


def test_cells_that_are_anothers_show_in_the_one_answer_that_has_them(
    canaries: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, context = wrong_answers(canaries.file("canary"), CopiesCells, monkeypatch)
    assert (wrong, context.n_copied) == (1, 1)
