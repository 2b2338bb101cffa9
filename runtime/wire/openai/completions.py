"""Completions, OpenAI's older endpoint: a text goes to the model as it is, and the answer is what follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.errors import InvalidRequest, Unsupported
from runtime.messages import kind
from runtime.wire import envelope
from runtime.wire.openai.body import COMMON, MAX_CHOICES, NO_PYTHON, Asked, Refused, given_in, runs
from runtime.wire.openai.head import usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtime.wire.openai.head import Head

OPTIONS: dict[str, Any] = {**COMMON, "logprobs": {"type": "integer", "minimum": 0, "maximum": 20}}
REFUSED: Refused = {
    "best_of": ("every choice is given, and none is judged: say n", 1),
    "echo": ("the prompt is not given back",),
    "grammar": (NO_PYTHON,),
    "suffix": ("these models only go on from a prompt",),
}


def read(body: Any) -> Asked:
    """What a body asks for: so many choices for each prompt. Raises `InvalidRequest` or `Unsupported` with the
    option's name; most options are checked when the inputs are parsed."""
    given = given_in(body, OPTIONS, ("model", "prompt"), REFUSED)
    prompts = _prompts(given["prompt"])
    if len(prompts) * given.get("n", 1) > MAX_CHOICES:
        raise InvalidRequest(
            f"n: must leave at most {MAX_CHOICES} answers in all, found {given.get('n', 1)} for each of {len(prompts)} "
            "prompts.",
            "Send several requests.",
        )
    inputs = {**given, "raw": True}
    if "logprobs" in given:  # a number here: how many of the likeliest tokens
        inputs |= {"logprobs": True, "top_logprobs": given["logprobs"]}
    of_each = [runs({**inputs, "prompt": prompt}, REFUSED, given.get("n", 1), parity=False) for prompt in prompts]
    return Asked(given["model"], tuple(body for bodies in of_each for body in bodies), len(of_each[0]), given)


def _prompts(prompt: Any) -> list[Any]:
    """The prompts, of which the inputs' own schema says whether each is text."""
    if not isinstance(prompt, list):
        return [prompt]
    if not prompt:
        raise InvalidRequest("prompt: must be a string, or some of them, found none.")
    if any(isinstance(item, int | list) for item in prompt):
        raise Unsupported("prompt is not supported as tokens: a client's need not be this model's.", "Send text.")
    for at, item in enumerate(prompt):
        if not isinstance(item, str):
            raise InvalidRequest(f"prompt[{at}]: must be a string, found {kind(item)}.")
    return prompt


class Completions:
    """Shapes the answers to one request."""

    heartbeat = envelope.COMMENT

    def __init__(self, asked: Asked, head: Head) -> None:
        self._asked, self._head = asked, head
        self._written = [0] * len(asked.bodies)  # characters of each answer, for the offsets of tokens
        self._ended: dict[int, Mapping[str, Any]] = {}

    def whole(self, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The answer of the runs together."""
        choices = [self._choice(at, result) for at, result in enumerate(results)]
        return self._object(choices, usage=usage(results, self._asked.choices))

    def lines(self, at: int, event: Mapping[str, Any]) -> bytes:
        """The chunk for an event of a run, as `workers_ai.Answer.stream` shows it."""
        if "finish_reason" in event:
            self._ended[at] = event
        return envelope.line(self._object([self._choice(at, event)]))

    def end(self) -> bytes:
        """What stands behind the last run's end."""
        if not self._asked.include_usage:
            return envelope.END
        counted = usage([self._ended[at] for at in sorted(self._ended)], self._asked.choices)
        return envelope.line(self._object([], usage=counted)) + envelope.END

    def failure(self, told: Mapping[str, Any]) -> bytes:
        """What tells of an error in the middle."""
        return envelope.line(told)

    def _object(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {**self._head.of("text_completion"), "choices": choices, **more}

    def _choice(self, at: int, shown: Mapping[str, Any]) -> dict[str, Any]:
        logprobs = self._logprobs(at, shown["logprobs"]) if "logprobs" in shown else None
        return {
            "index": at,
            "text": shown["response"],
            "logprobs": logprobs,
            "finish_reason": shown.get("finish_reason"),
        }

    def _logprobs(self, at: int, tokens: list[dict[str, Any]]) -> dict[str, Any]:
        """In the shape of this endpoint, with where in the answer each token begins."""
        offsets = []
        for token in tokens:
            offsets.append(self._written[at])
            self._written[at] += len(token["token"])
        return {
            "tokens": [token["token"] for token in tokens],
            "token_logprobs": [token["logprob"] for token in tokens],
            "top_logprobs": [{one["token"]: one["logprob"] for one in token["top_logprobs"]} for token in tokens],
            "text_offset": offsets,
        }
