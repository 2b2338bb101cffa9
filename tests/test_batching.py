"""Batching changes the logits by rounding only: our engine against llama.cpp one token at a time."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np

from runtime.engine import EngineConfig
from runtime.engine.llama import Context, Model
from runtime.engine.local import LocalEngine
from runtime.values import Request
from tests.engines import GREEDY, plain, submit
from tests.models import random_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from runtime.engine.sequence import Sequence

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
