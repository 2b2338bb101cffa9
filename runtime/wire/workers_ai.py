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
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from runtime.errors import InvalidRequest, Unsupported
from runtime.messages import check_text, is_array, kind, normalise
from runtime.settings import LONGEST
from runtime.values import Done, Failed, Inputs, Message, Sampling, Text, TokenLogprob

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

    from runtime.values import Event, Timings, Usage

log = logging.getLogger("llamalet.wire")

MAX_DEPTH = 64  # nested arrays and objects; Python's own recursion ends not far above
MAX_BITS = 1024  # of a whole number, as in a float; Python itself does not print those of 4300 digits
MAX_TOKENS = 2**31 - 1  # llama.cpp counts tokens in 32 bits; what the context leaves is the engine's to say
SHOWN = 60  # characters of a wrong value that a message repeats

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
    "timeout": {**_NUMBER, "exclusiveMinimum": 0, "maximum": int(LONGEST)},
    # What the published schemas leave open: fewer than one token is no answer, and messages take an adapter as well.
    "max_tokens": {"minimum": 1, "maximum": MAX_TOKENS},
    "lora": {"type": "string"},
}

# Known, and not honoured yet: refused by name when they ask for something.
NOT_YET = ("tools", "functions", "response_format", "image")


def parse(body: Mapping[str, Any]) -> Inputs:
    """The inputs of a run. Raises `InvalidRequest` with path, expected and found, or `Unsupported` with the name."""
    given = {key: value for key, value in merged(body, {}).items() if value is not None}
    _check_values(given, "")
    branch = _branch(given)
    for name in NOT_YET:
        if given.get(name):
            raise Unsupported(f"{name} is not supported yet.", "Leave it out.")
    messages = normalise(given["messages"]) if branch == "Messages" else ()
    given = {key: _plain(value) for key, value in given.items() if key not in NOT_YET}
    _validate(branch, {key: value for key, value in given.items() if key != "messages"})
    _note_unknown(branch, given)
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


def merged(inputs: Mapping[str, Any] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """A new body of the inputs and the keywords, which win. Raises `InvalidRequest` for what is no object."""
    if inputs is not None and not isinstance(inputs, Mapping):
        raise InvalidRequest(f"The inputs must be an object with prompt or messages, not {kind(inputs)}.")
    return {**(inputs or {}), **options}


def _check_values(value: Any, path: str, depth: int = 0) -> None:
    """JSON only, finite numbers, text that is Unicode, and no deep nesting: a caller may hand in anything."""
    if depth > MAX_DEPTH:
        raise InvalidRequest(f"The inputs are nested deeper than {MAX_DEPTH} levels, at {_cut(path)}.")
    if isinstance(value, str):
        check_text(value, _cut(path))
    elif isinstance(value, int | float):
        _check_number(value, _cut(path))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidRequest(f"A key of {_cut(path) or 'the inputs'} is {kind(key)}; it must be a string.")
            check_text(key, f"a key of {_cut(path) or 'the inputs'}")
            _check_values(item, f"{path}.{key}" if path else key, depth + 1)
    elif is_array(value):
        for index, item in enumerate(value):
            _check_values(item, f"{path}[{index}]", depth + 1)
    elif value is not None and not isinstance(value, Message):
        raise InvalidRequest(f"{_cut(path)} is {kind(value)}; it must be what JSON can hold.")


def _check_number(number: float, path: str) -> None:
    if isinstance(number, float) and not math.isfinite(number):
        raise InvalidRequest(f"{path} is {number}; it must be a finite number.")
    if isinstance(number, int) and number.bit_length() > MAX_BITS:
        raise InvalidRequest(
            f"{path} is a whole number of {number.bit_length()} bits; it must have at most {MAX_BITS}."
        )


def _plain(value: Any) -> Any:
    """Tuples and read-only mappings as what jsonschema knows."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if is_array(value) else value


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _branch(given: Mapping[str, Any]) -> str:
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
def _validator(title: str) -> Validator:
    from jsonschema import Draft202012Validator

    branch = next(branch for branch in _schema()["oneOf"] if branch["title"] == title)
    required = [name for name in branch["required"] if name != "messages"]  # normalised and checked before
    return Draft202012Validator({"allOf": [{**branch, "required": required}, {"properties": EXTENSIONS}]})


def _validate(branch: str, given: dict[str, Any]) -> None:
    errors = list(_validator(branch).iter_errors(given))
    if errors:
        error = min(errors, key=lambda error: list(map(str, error.absolute_path)))
        path = error.json_path.removeprefix("$").removeprefix(".") or "The inputs"
        expected = _expected(str(error.validator), error.validator_value)
        raise InvalidRequest(f"{_cut(path)}: must {expected}, found {_found(error)}.")


def _expected(rule: str, bound: Any) -> str:
    """What a rule of the schemas asks for. jsonschema's own words quote the whole value, however long."""
    return {
        "minimum": f"be at least {bound}",
        "maximum": f"be at most {bound}",
        "exclusiveMinimum": f"be more than {bound}",
        "type": f"be of type {bound}",
        "minLength": "not be empty",
        "maxLength": f"have at most {bound} characters",
        "maxProperties": f"have at most {bound} keys",
        "pattern": "have ids of tokens, in digits, as its keys",  # logit_bias is the only one with a pattern
        "anyOf": "be a string or an array of at most 16 strings, none of them empty",  # and stop with a choice
    }.get(rule, f"satisfy {rule}")


def _found(error: ValidationError) -> str:
    """The value, or how many things it holds where that is what is wrong."""
    found: Any = error.instance
    if error.validator in ("maxLength", "maxProperties"):
        return str(len(found))
    return _cut(json.dumps(found, ensure_ascii=False, default=kind))


def _note_unknown(title: str, given: Mapping[str, Any]) -> None:
    branch = next(branch for branch in _schema()["oneOf"] if branch["title"] == title)
    unknown = sorted(given.keys() - branch["properties"].keys() - EXTENSIONS.keys())
    if unknown:
        log.info("ignored options that nobody knows: %s", ", ".join(_cut(name) for name in unknown[:20]))


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
