"""Workers AI's JSON <-> values.

`parse` takes what `env.AI.run(model, inputs)` takes: the published input schema, kept verbatim in `schemas/`, what real
clients send besides (null for an option left alone, content that is null or an array), and our own options. `Answer`
gives what it gives.
"""

from __future__ import annotations

import functools
import json
import logging
import math
from importlib import resources
from typing import TYPE_CHECKING, Any

from runtime.errors import InvalidRequest, Unsupported
from runtime.messages import check_text, normalise
from runtime.values import Done, Failed, Inputs, Sampling, Text, TokenLogprob

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema.protocols import Validator

    from runtime.values import Event, Timings, Usage

log = logging.getLogger("llamalet.wire")

MAX_DEPTH = 64  # nested arrays and objects; Python's own recursion ends not far above

# Ours, beside the published options. Their names are OpenAI's, or llama.cpp's.
_NUMBER = {"type": "number"}
EXTENSIONS: dict[str, Any] = {
    "min_p": {**_NUMBER, "minimum": 0, "maximum": 1},
    "stop": {
        "anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 16},
        ]
    },
    "logit_bias": {
        "type": "object",
        "propertyNames": {"pattern": "^[0-9]{1,9}$"},
        "additionalProperties": {**_NUMBER, "minimum": -100, "maximum": 100},
        "maxProperties": 300,
    },
    "logprobs": {"type": "boolean"},
    "top_logprobs": {"type": "integer", "minimum": 0, "maximum": 20},
    "date": {"type": "string", "minLength": 1, "maxLength": 64},
    "timeout": {**_NUMBER, "exclusiveMinimum": 0},
    # A bound that the published schemas leave open: fewer than one token is no answer.
    "max_tokens": {"minimum": 1},
}

# Known, and not honoured yet: refused by name when they ask for something.
NOT_YET = ("tools", "functions", "response_format", "image")


def parse(body: Mapping[str, Any]) -> Inputs:
    """The inputs of a run. Raises `InvalidRequest` with path, expected and found, or `Unsupported` with the name."""
    if not hasattr(body, "items"):
        raise InvalidRequest(f"The inputs must be an object with prompt or messages, not {type(body).__name__}.")
    _check_values(body, "")
    given = {key: value for key, value in body.items() if value is not None}
    kind = _kind(given)
    for name in NOT_YET:
        if given.get(name):
            raise Unsupported(f"{name} is not supported yet.", "Leave it out.")
    messages = normalise(given["messages"]) if kind == "Messages" else ()
    _validate(kind, {key: value for key, value in given.items() if key not in ("messages", *NOT_YET)})
    _note_unknown(kind, given)
    return Inputs(
        messages=messages,
        prompt=given.get("prompt"),
        raw=given.get("raw", False),
        stream=given.get("stream", False),
        max_tokens=int(given.get("max_tokens", 256)),
        sampling=_sampling(given),
        stop=(given["stop"],) if isinstance(given.get("stop"), str) else tuple(given.get("stop", ())),
        lora=given.get("lora"),
        date=given.get("date"),
        timeout=given.get("timeout"),
    )


def _check_values(value: Any, path: str, depth: int = 0) -> None:
    """Numbers must be finite, text must be Unicode, and nothing nested too deeply: JSON from afar may hold any."""
    if depth > MAX_DEPTH:
        raise InvalidRequest(f"The inputs are nested deeper than {MAX_DEPTH} levels, at {path[:80]}.")
    if isinstance(value, str):
        check_text(value, path)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequest(f"{path} is {value}; it must be a finite number.")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidRequest(f"{path or 'The inputs'} has the key {key!r}, which is not a string.")
            check_text(key, f"a key of {path or 'the inputs'}")
            _check_values(item, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_values(item, f"{path}[{index}]", depth + 1)


def _kind(given: Mapping[str, Any]) -> str:
    """Which branch of the published schema's oneOf is meant."""
    if ("prompt" in given) == ("messages" in given):
        found = "both" if "prompt" in given else "neither"
        raise InvalidRequest(f"Give either prompt or messages: there is {found}.")
    return "Prompt" if "prompt" in given else "Messages"


@functools.cache
def _schema() -> dict[str, Any]:
    """The published input schema of Llama 3.2 1B, whose options are those of the other models too."""
    file = resources.files("runtime.wire") / "schemas" / "llama-3.2-1b-instruct.json"
    schema: dict[str, Any] = json.loads(file.read_text("utf-8"))["input"]
    return schema


@functools.cache
def _validator(kind: str) -> Validator:
    from jsonschema import Draft202012Validator

    branch = next(branch for branch in _schema()["oneOf"] if branch["title"] == kind)
    required = [name for name in branch["required"] if name != "messages"]  # normalised and checked before
    return Draft202012Validator({"allOf": [{**branch, "required": required}, {"properties": EXTENSIONS}]})


def _validate(kind: str, given: dict[str, Any]) -> None:
    errors = list(_validator(kind).iter_errors(given))
    if errors:
        error = min(errors, key=lambda error: list(map(str, error.absolute_path)))
        path = error.json_path.removeprefix("$").removeprefix(".") or "The inputs"
        raise InvalidRequest(f"{path}: {_explain(error.validator, error.validator_value, error.instance, error.message)}.")


def _explain(rule: str, bound: Any, found: Any, message: str) -> str:
    """What was expected and what was found. jsonschema's own words may quote the whole value, however long."""
    shown = json.dumps(found, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    expected = {
        "minimum": f"at least {bound}",
        "maximum": f"at most {bound}",
        "exclusiveMinimum": f"more than {bound}",
        "type": f"of type {bound}",
        "minLength": f"at least {bound} characters long",
        "maxLength": f"at most {bound} characters long",
        "maxItems": f"at most {bound} items",
        "anyOf": "a string, or an array of at most 16 strings, none of them empty",
        "enum": f"one of {bound}",
    }.get(rule)
    return f"must be {expected}, found {shown}" if expected else message[:200]


def _note_unknown(kind: str, given: Mapping[str, Any]) -> None:
    branch = next(branch for branch in _schema()["oneOf"] if branch["title"] == kind)
    unknown = sorted(given.keys() - branch["properties"].keys() - EXTENSIONS.keys() - set(NOT_YET))
    if unknown:
        log.info("ignored options that nobody knows: %s", ", ".join(unknown))


def _sampling(given: Mapping[str, Any]) -> Sampling:
    names = ("temperature", "top_p", "min_p", "repetition_penalty", "frequency_penalty", "presence_penalty")
    numbers: dict[str, Any] = {name: float(given[name]) for name in names if name in given}
    counts: dict[str, Any] = {name: int(given[name]) for name in ("top_k", "seed") if name in given}
    wanted = given.get("logprobs") or "top_logprobs" in given
    return Sampling(
        **numbers,
        **counts,
        logit_bias=tuple((int(token), float(bias)) for token, bias in given.get("logit_bias", {}).items()),
        logprobs=int(given.get("top_logprobs", 0)) if wanted else None,
    )


class Answer:
    """Folds the events of one run into the JSON that `run` gives."""

    def __init__(self) -> None:
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
        result = {"response": "".join(self._text), "tool_calls": [], **_end(event)}
        return result | ({"logprobs": _logprobs(self._logprobs)} if self._logprobs else {})


def stream_event(event: Event) -> dict[str, Any] | None:
    """The stream's JSON for one event, if it has any. Raises what a failed request failed with."""
    if isinstance(event, Failed):
        raise event.error
    if isinstance(event, Text):
        logprobs = {"logprobs": _logprobs(event.logprobs)} if event.logprobs else {}
        return {"response": event.text, **logprobs}
    if isinstance(event, Done):
        return {"response": "", **_end(event)}
    return None


def _end(done: Done) -> dict[str, Any]:
    return {
        "finish_reason": done.finish_reason,
        "usage": _usage(done.usage),
        "timings": _timings(done.timings, done.usage),
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
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
