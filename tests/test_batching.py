"""Batching changes the logits by rounding only, our engine against llama.cpp one token at a time; and no text where
the choice is clear."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from runtime import Runtime
from runtime.engine import EngineConfig, local
from runtime.engine.llama import Context, Model
from runtime.engine.local import LocalEngine
from runtime.values import Request
from tests.engines import GREEDY, plain, submit
from tests.load import HOMES, at, drawn
from tests.models import random_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from runtime.engine.sequence import Sequence
    from tests.canary import Family

PROMPTS, TOKENS = 50, 16
TOLERANCE = 2e-3  # of logits whose standard deviation is 4
LETTERS = "abcdefghijklmnopqrstuvwxyz ,.!?\n"


class Recording(LocalEngine):
    """Keeps each sequence's tokens, and the logits that it sampled from."""

    def _advance(self, sequence: Sequence, rows: list[int]) -> None:
        logits.setdefault(sequence.request.id, []).append(self._context.logits(rows[-1]).copy())
        tokens[sequence.request.id] = sequence.tokens
        super()._advance(sequence, rows)


logits: dict[str, list[NDArray[np.float32]]] = {}
tokens: dict[str, list[int]] = {}


def one_by_one(context: Context, sequence: list[int], n_prompt: int) -> list[NDArray[np.float32]]:
    """The logits of every position from the prompt's last on."""
    found = []
    for position, token in enumerate(sequence[:-1]):
        context.batch.clear()
        (row,) = context.batch.add(0, [token], position, outputs=1)
        context.decode()
        if position >= n_prompt - 1:
            found.append(context.logits(row).copy())
    context.forget(0)
    return found


def test_batched_logits_and_tokens_are_those_of_one_token_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "random.gguf"
    random_model(path, gain=1.0)
    engine = Recording(EngineConfig(path, slots=8, threads=1, context=8192))
    dice = random.Random(0)
    callers = {}
    for number in range(PROMPTS):
        text = "".join(dice.choices(LETTERS, k=dice.randint(1, 300)))
        request = Request(f"r{number}", plain(text), max_tokens=TOKENS, sampling=GREEDY)
        callers[request.id] = submit(engine, request)
    prompts = {name: caller.done().usage.prompt_tokens for name, caller in callers.items()}
    engine.close()

    model = Model(path)
    context = Context(model, n_ctx=512, n_batch=8, n_seq_max=1, threads=1)
    worst, chosen, different = 0.0, 0, 0
    for name, n_prompt in prompts.items():
        for ours, alone in zip(logits[name], one_by_one(context, tokens[name], n_prompt), strict=True):
            worst = max(worst, float(np.abs(ours - alone).max()))
            chosen += 1
            if ours.argmax() != alone.argmax():
                second, first = np.sort(alone)[-2:]
                assert first - second < 2 * TOLERANCE
                different += 1
    context.free()
    model.free()
    print(f"{chosen} tokens: logits differ by at most {worst:.2e}, {different} chosen differently")  # noqa: T201
    assert worst <= TOLERANCE
    assert different <= chosen / 100


REQUESTS = 64
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}}, "required": ["a", "b"]}


def bodies() -> list[tuple[str, dict[str, Any], str | None]]:
    """Requests of every kind: the model, the body, and the text where it is known."""
    made = []
    for number in range(REQUESTS):
        asked = drawn(random.Random(number), tokens=40, several=True)
        body = asked.body
        text: str | None = asked.text
        if number % 4 == 1:  # sampled, by a seed
            body |= {"temperature": 0.8, "top_p": 0.9, "seed": 1 + number}
        if number % 8 == 2:  # held to a schema, which the model knows nothing of
            body |= {"max_tokens": 60, "response_format": {"type": "json_schema", "json_schema": SCHEMA}}
            text = None
        made.append((asked.model, body, text))
    return made


def answers(canaries: Family, at_once: int, **options: Any) -> list[Any]:
    config = {"models": canaries.catalog, "slots": 8, "threads": 1, "context": 8192, "keep_alive": -1, **options}
    with Runtime(**config) as ai, ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda one: ai.run(one[0], one[1])["response"], bodies()))


@pytest.fixture(scope="module")
def alone(canaries: Family) -> list[Any]:
    """The answers of an engine that has one request at a time."""
    return answers(canaries, 1)


def test_the_answers_of_one_request_at_a_time_are_those_that_the_weights_say(alone: list[Any]) -> None:
    for answer, (_, _, text) in zip(alone, bodies(), strict=True):
        if text is None:
            assert answer["b"] in ("x", "y")
        else:
            assert answer == text


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("slots", [1, 2, 8])
def test_the_same_requests_get_the_same_text_beside_others(
    slots: int, home: str, alone: list[Any], canaries: Family
) -> None:
    assert answers(canaries, 8, slots=slots, **at(home)) == alone


@pytest.mark.parametrize("n_batch", [32, 64, 512])
def test_the_same_requests_get_the_same_text_in_batches_of_another_size(
    n_batch: int, alone: list[Any], canaries: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "BATCH", n_batch)
    assert answers(canaries, 8) == alone


def test_the_same_requests_get_the_same_text_with_another_number_of_threads(alone: list[Any], canaries: Family) -> None:
    assert answers(canaries, 8, threads=2) == alone
