"""How one request's tokens are chosen: `Sampling` -> sampler chain, and log probabilities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.engine.filters import kept
from runtime.engine.llama import Chain
from runtime.engine.llama.sampler import MAX_PENALTY_WINDOW
from runtime.engine.widening import likeliest_allowed
from runtime.errors import EngineError, InvalidRequest
from runtime.values import TokenLogprob

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runtime.engine.constraint import Constraint
    from runtime.engine.llama import Candidates, Model
    from runtime.engine.llama.sampler import Stage
    from runtime.values import Sampling

GREEDY_BELOW = 1e-5  # clients send 1e-8 for 0 (langchain-cloudflare); dividing by much less overflows float32
TRIES = 16  # draws; each takes at most a millisecond, where a look at the whole vocabulary takes 7 to 35
FEW = 8192  # tokens; to sort and filter 128,256 takes 1 to 10 ms, to ask the grammar about so many less than 2
BEYOND = 1e30  # a logit; far from float32's own bound, so that differences stay finite
RANDOM_SEED = 0xFFFFFFFF  # llama.cpp takes this one for "draw a seed yourself"


# What a `Sampling` may hold, as its docstring says. On what is not finite, or far out, samplers choose wrongly.
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 5),
    "top_k": (1, 50),
    "top_p": (0, 2),
    "min_p": (0, 1),
    "repetition_penalty": (0, 2),
    "frequency_penalty": (0, 2),
    "presence_penalty": (0, 2),
    "logprobs": (0, 20),
}
MAX_BIAS = 100.0
MAX_BIASES = 300


def check(sampling: Sampling, n_vocab: int) -> None:
    """Raises `InvalidRequest` for numbers that are not finite or out of bounds, and tokens that there are none of."""
    for name, (low, high) in _RANGES.items():
        value = getattr(sampling, name)
        if value is not None and not low <= value <= high:  # NaN neither
            raise InvalidRequest(f"{name} is {value}; it must be from {low} to {high}.")
    if len(sampling.logit_bias) > MAX_BIASES:
        raise InvalidRequest(f"logit_bias has {len(sampling.logit_bias)} tokens; it may have {MAX_BIASES}.")
    for token, bias in sampling.logit_bias:
        if not 0 <= token < n_vocab:
            raise InvalidRequest(f"logit_bias names token {token}; this model has 0 to {n_vocab - 1}.")
        if not -MAX_BIAS <= bias <= MAX_BIAS:
            raise InvalidRequest(f"logit_bias of token {token} is {bias}; it must be from -100 to 100.")


def fold_seed(seed: int) -> int:
    """Workers AI's seeds go to 9,999,999,999, llama.cpp's have 32 bits: the high bits are XORed onto the low ones, so
    seeds that fit stay what they are."""
    folded = (seed ^ (seed >> 32)) & 0xFFFFFFFF
    return 0 if folded == RANDOM_SEED else folded


def stages(sampling: Sampling, seed: int) -> list[Stage]:
    """The chain in llama.cpp's own order, but for top_k and top_p, which `runtime.engine.filters` applies in between:
    bias, penalties; (top_k, top_p;) min_p, temperature, draw.

    A filter that filters nothing is left out. Stage "penalties" of repetition comes before that of the other two,
    since only repetition counts the prompt's tokens (as in vLLM and in OpenAI's definition). Both look back as far as
    they can: vLLM, as Workers AI seems to, looks at all.
    """
    chain: list[Stage] = []
    if sampling.logit_bias:
        chain.append(("logit_bias", sampling.logit_bias))
    if sampling.repetition_penalty not in (0.0, 1.0):
        chain.append(("penalties", MAX_PENALTY_WINDOW, float(sampling.repetition_penalty), 0.0, 0.0))
    if sampling.frequency_penalty or sampling.presence_penalty:
        penalties = float(sampling.frequency_penalty), float(sampling.presence_penalty)
        chain.append(("penalties", MAX_PENALTY_WINDOW, 1.0, *penalties))
    if sampling.temperature < GREEDY_BELOW:
        return [*chain, ("greedy",)]
    if sampling.min_p > 0:
        chain.append(("min_p", float(sampling.min_p)))
    return [*chain, ("temperature", float(sampling.temperature)), ("distribution", seed)]


class Sampler:
    """Chooses the tokens of one sequence. Lives on the engine's thread, and must be freed there."""

    def __init__(self, sampling: Sampling, *, seed: int, prompt: Sequence[int], n_vocab: int) -> None:
        chain = stages(sampling, fold_seed(seed if sampling.seed is None else sampling.seed))
        self._chain = Chain(n_vocab, chain)
        self._sampling, self._greedy = sampling, chain[-1] == ("greedy",)
        repetition = next((i for i, stage in enumerate(chain) if stage[0] == "penalties" and stage[2] != 1.0), None)
        if repetition is not None:
            self._chain.remember(repetition, prompt[-MAX_PENALTY_WINDOW:])

    def sample(self, logits: NDArray[np.float32], candidates: Candidates, constraint: Constraint | None = None) -> int:
        """The next token after logits (n_vocab,). Raises `EngineError` when they are not finite.

        The constraint is asked about the token that would come without it. Where it refuses that one, it is drawn again
        among the others; so what comes is what would come without, given that it is allowed. Where few tokens are
        possible at all, or too many were refused, the candidates are restricted to what is allowed, and then filtered.
        """
        if constraint is None or constraint.n_possible > FEW:
            token = self._draw_allowed(self._shaped(None, logits, candidates), candidates, constraint)
            if token is not None:
                return token
        assert constraint is not None  # noqa: S101 - else the first is taken
        possible = constraint.possible()
        if not len(possible):
            raise EngineError("The grammar has come to an end at which no token may follow.")
        shaped = self._shaped(possible, logits[possible], candidates)
        found = likeliest_allowed(possible, shaped, constraint.allowed, self._sampling, greedy=self._greedy)
        return self._draw(*self._filtered(*found), candidates)

    def _draw_allowed(
        self, logits: NDArray[np.float32], candidates: Candidates, constraint: Constraint | None
    ) -> int | None:
        """The first token that the constraint allows of those drawn without putting back; None after some tries."""
        tokens, logits = self._filtered(None, logits)
        for _ in range(TRIES):
            token = self._draw(tokens, logits, candidates)
            if constraint is None or constraint.allows(token):
                return token
            others = tokens != token
            tokens, logits = tokens[others], logits[others]
            if not len(tokens):
                break
        return None

    def _filtered(
        self, tokens: NDArray[np.integer[Any]] | None, logits: NDArray[np.float32]
    ) -> tuple[NDArray[np.integer[Any]], NDArray[np.float32]]:
        """Of the tokens (n,), None for the whole vocabulary, those that top_k and top_p keep, or the likeliest."""
        places = np.array([logits.argmax()]) if self._greedy else kept(logits, self._sampling)
        return (places if tokens is None else tokens[places]), logits[places]

    def _shaped(
        self, tokens: NDArray[np.integer[Any]] | None, logits: NDArray[np.float32], candidates: Candidates
    ) -> NDArray[np.float32]:
        """The logits (n,) of these tokens, None for the whole vocabulary, with bias and penalties."""
        highest = float(logits.max())  # NaN if any is
        if not math.isfinite(highest):
            raise EngineError(
                f"The model's logits are not finite ({highest}).", "Its file may be damaged: fetch it again."
            )
        if not self._chain.shapes:
            return logits
        candidates.fill(tokens, logits)
        self._chain.shape(candidates)
        # A penalty next to 0 divides beyond float32: what is beyond counts as the highest, or the lowest, there is.
        return np.nan_to_num(candidates.logits, nan=-BEYOND, posinf=BEYOND, neginf=-BEYOND)

    def _draw(self, tokens: NDArray[np.integer[Any]], logits: NDArray[np.float32], candidates: Candidates) -> int:
        if len(tokens) == 1:
            if not math.isfinite(logits[0]):
                raise EngineError(f"The only token that is left has the logit {logits[0]}.")
            return int(tokens[0])
        candidates.fill(tokens, logits)
        return self._chain.select(candidates)

    def accept(self, token: int) -> None:
        """The token was written, sampled or not: the penalties count it."""
        self._chain.accept(token)

    def logprob(self, token: int, logits: NDArray[np.float32], model: Model) -> tuple[TokenLogprob, ...]:
        """The token's log probability and those of the likeliest, if the request asked for them."""
        if self._sampling.logprobs is None:
            return ()
        logprobs = log_softmax(logits)
        top = tuple((i, model.piece(i), float(logprobs[i])) for i in likeliest(logprobs, self._sampling.logprobs))
        return (TokenLogprob(token, model.piece(token), float(logprobs[token]), top),)

    def free(self) -> None:
        self._chain.free()


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Natural logarithms of the probabilities that the logits (n_vocab,) stand for."""
    shifted = logits.astype(np.float64) - float(logits.max())
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return result


def likeliest(logprobs: NDArray[np.float64], count: int) -> list[int]:
    """The ids of the `count` highest, highest first."""
    if count == 0:
        return []
    top = np.argpartition(logprobs, -count)[-count:]
    return [int(i) for i in top[np.argsort(-logprobs[top], kind="stable")]]
