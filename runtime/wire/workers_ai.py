"""Workers AI's JSON <-> values.

`parse` takes what `env.AI.run(model, inputs)` takes, as real clients send it (`runtime.wire.lenient`) or as the service
itself reads it (`runtime.wire.parity`). `Answer` and `stream_event` give what it gives.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtime.errors import InvalidRequest, Unsupported
from runtime.messages import kind
from runtime.values import Done, Failed, Inputs, Sampling, Text, TokenLogprob
from runtime.wire import lenient
from runtime.wire import parity as strict
from runtime.wire.body import cut, plain
from runtime.wire.lenient import EXTENSIONS

if TYPE_CHECKING:
    from runtime.values import Event, Timings, Usage

__all__ = ["EXTENSIONS", "NOT_YET", "Answer", "merged", "parse", "stream_event"]

log = logging.getLogger("llamalet.wire")

# Known, and not honoured: refused by name when they are valid and ask for something.
NOT_YET = ("tools", "functions", "tool_choice", "response_format")
NEVER = {"image": "these models read text only"}

MAX_IGNORED = 20  # names of options that nobody knows, as many as are worth reading


def parse(body: Mapping[str, Any], model: str = "", *, parity: bool = False) -> Inputs:
    """The inputs of a run of the model with this id; a model without a published schema of its own has the newest.

    Parity is the service's own reading: the published schema, no leniency, none of our options. Raises `InvalidRequest`
    with path, expected and found (in parity in the service's words), or `Unsupported` with the option's name.
    """
    if parity and not isinstance(body, Mapping):
        body = {}  # what the service's validator makes of it
    read = strict.read if parity else lenient.read
    given, unknown = read(plain(merged(body, {})), model)
    _refuse(given)
    ignored = tuple(cut(name) for name in unknown[:MAX_IGNORED])
    if ignored:
        log.info("ignored options that nobody knows: %s", ", ".join(ignored))
    stop = given.get("stop", ())
    return Inputs(
        messages=given.get("messages", ()),
        prompt=given.get("prompt"),
        raw=given.get("raw", False),
        stream=given.get("stream", False),
        max_tokens=int(given.get("max_tokens", 256)),
        sampling=_sampling(given),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        lora=given.get("lora"),
        date=given.get("date"),
        timeout=given.get("timeout"),
        reject_if_busy=given.get("options", {}).get("rejectIfBusy", False),
        ignored=ignored,
    )


def merged(inputs: Mapping[str, Any] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """A new body of the inputs and the keywords, which win. Raises `InvalidRequest` for what is no object."""
    if inputs is not None and not isinstance(inputs, Mapping):
        raise InvalidRequest(f"The inputs must be an object with prompt or messages, not {kind(inputs)}.")
    return {**(inputs or {}), **options}


def _refuse(given: Mapping[str, Any]) -> None:
    for name, why in NEVER.items():
        if given.get(name):
            raise Unsupported(f"{name} is not supported: {why}.", "Leave it out.")
    for name in NOT_YET:
        if given.get(name):
            raise Unsupported(f"{name} is not supported yet.", "Leave it out.")


def _sampling(given: Mapping[str, Any]) -> Sampling:
    names = ("temperature", "top_p", "min_p", "repetition_penalty", "frequency_penalty", "presence_penalty")
    numbers: dict[str, Any] = {name: float(given[name]) for name in names if name in given}
    counts: dict[str, Any] = {name: int(given[name]) for name in ("top_k", "seed") if name in given}
    wanted = given.get("logprobs", "top_logprobs" in given)
    return Sampling(
        **numbers,
        **counts,
        logit_bias=tuple((int(token), float(bias)) for token, bias in given.get("logit_bias", {}).items()),
        logprobs=int(given.get("top_logprobs", 0)) if wanted else None,
    )


class Answer:
    """Folds the events of one run into the JSON that `run` gives; in parity, only what is published of it."""

    def __init__(self, parity: bool = False) -> None:
        self._parity = parity
        self._text: list[str] = []
        self._logprobs: list[TokenLogprob] = []

    def add(self, event: Event) -> dict[str, Any] | None:
        """Take the next event in; the whole answer, if that was the last. Raises what a failed request failed with."""
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Text):
            self._text.append(event.text)
            self._logprobs += event.logprobs
        if not isinstance(event, Done):
            return None
        result = {"response": "".join(self._text), "tool_calls": [], **_end(event, self._parity)}
        return result | ({"logprobs": _logprobs(self._logprobs)} if self._logprobs and not self._parity else {})


def stream_event(event: Event, parity: bool = False) -> dict[str, Any] | None:
    """The stream's JSON for one event, if it has any. Raises what a failed request failed with.

    `response` is always text, and no `tool_calls` stand beside it: clients drop the text, or break, where it is not so.
    """
    if isinstance(event, Failed):
        raise event.error
    if isinstance(event, Text):
        logprobs = {"logprobs": _logprobs(event.logprobs)} if event.logprobs and not parity else {}
        return {"response": event.text, **logprobs}
    if isinstance(event, Done):
        return {"response": "", **_end(event, parity)}
    return None


def _end(done: Done, parity: bool) -> dict[str, Any]:
    if parity:
        return {"usage": _counts(done.usage)}
    return {
        "finish_reason": done.finish_reason,
        "usage": {**_counts(done.usage), "prompt_tokens_details": {"cached_tokens": done.usage.cached_tokens}},
        "timings": _timings(done.timings, done.usage),
    }


def _counts(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _timings(timings: Timings, usage: Usage) -> dict[str, float]:
    """Milliseconds, and tokens a second. The first token comes with the prompt, so it is not counted as decoded."""
    read, written = usage.prompt_tokens - usage.cached_tokens, usage.completion_tokens - 1
    return {
        "queue_ms": round(timings.queue * 1e3, 3),
        "prompt_ms": round(timings.prompt * 1e3, 3),
        "decode_ms": round(timings.decode * 1e3, 3),
        "prompt_tokens_per_second": round(read / timings.prompt, 2) if timings.prompt > 0 else 0.0,
        "decode_tokens_per_second": round(written / timings.decode, 2) if timings.decode > 0 and written > 0 else 0.0,
    }


def _logprobs(tokens: list[TokenLogprob] | tuple[TokenLogprob, ...]) -> list[dict[str, Any]]:
    """OpenAI's shape of one token's log probability (chat completions, logprobs.content)."""
    return [
        {
            **_token(token.text, token.logprob),
            "top_logprobs": [_token(text, logprob) for _, text, logprob in token.top],
        }
        for token in tokens
    ]


def _token(text: bytes, logprob: float) -> dict[str, Any]:
    return {"token": text.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(text)}
