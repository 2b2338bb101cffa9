"""Workers AI's JSON <-> values.

`parse` takes what `env.AI.run(model, inputs)` takes, as real clients send it (`runtime.wire.lenient`) or as the service
itself reads it (`runtime.wire.parity`). `Answer` gives what it gives.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtime.errors import InvalidRequest, NoJsonStream, Unsupported
from runtime.messages import kind
from runtime.values import Document, Done, Failed, Inputs, Sampling, Text, TokenLogprob, ToolCall, ToolCallDelta
from runtime.wire import lenient, tools
from runtime.wire import parity as strict
from runtime.wire.body import bounded, cut, plain
from runtime.wire.lenient import EXTENSIONS

if TYPE_CHECKING:
    from runtime.values import Event, Timings, Usage

__all__ = ["EXTENSIONS", "NEVER", "Answer", "merged", "parse", "value"]

log = logging.getLogger("llamalet.wire")

# Known, and not honoured: refused by name when it asks for something.
NEVER = {"image": "these models read text only"}

_OPENAI = {"name", "description", "schema", "strict"}  # of response_format.json_schema; all schemas are strict here

MAX_IGNORED = 20  # names of options that nobody knows, as many as are worth reading


def parse(body: Mapping[str, Any], model: str = "", *, parity: bool = False) -> Inputs:
    """The inputs of a run of the model with this id; a model without a published schema of its own has the newest.

    Parity is the service's own reading: the published schema, no leniency, none of our options. Raises `InvalidRequest`
    with path, expected and found (in parity in the service's words), or `Unsupported` with the option's name.
    """
    if parity and not isinstance(body, Mapping):
        body = {}  # what the service's validator makes of it
    read = strict.read if parity else lenient.read
    given, unknown = read(bounded(plain(merged(body, {}))), model)
    _refuse(given)
    ignored = tuple(cut(name) for name in unknown[:MAX_IGNORED])
    if ignored:
        log.info("ignored options that nobody knows: %s", ", ".join(ignored))
    stop = given.get("stop", ())
    document = _document(given)
    if document and given.get("stream") and parity:
        raise NoJsonStream("JSON Schema mode is not supported with stream mode")
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
        keep_alive=given.get("keep_alive"),
        document=document,
        grammar=given.get("grammar"),
        reject_if_busy=given.get("options", {}).get("rejectIfBusy", False),
        ignored=ignored,
        **tools.read(given),
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


def _document(given: Mapping[str, Any]) -> Document | None:
    """What `response_format` asks for: a bare schema, as the service has it, OpenAI's `{name, schema, strict}`, or an
    array of the values that there are."""
    asked, approximate = given.get("response_format"), given.get("approximate", False)
    if not asked:
        return None
    for other in ("stop", "grammar", "tools", "functions"):
        if given.get(other):
            raise Unsupported(f"{other} cannot be combined with response_format.", "Leave one of them out.")
    if approximate and given.get("stream"):
        raise Unsupported(
            "approximate cannot be combined with stream: what was shown cannot be taken back.", "Leave one of them out."
        )
    if asked.get("type") == "json_object":
        return Document({"type": "object"}, approximate)
    schema = asked.get("json_schema")
    if isinstance(schema, dict) and "schema" in schema and schema.keys() <= _OPENAI:
        schema = schema["schema"]
    if isinstance(schema, list) and schema:
        schema = {"enum": schema}
    if not isinstance(schema, dict | bool):
        raise InvalidRequest(
            f"response_format.json_schema: must be a JSON Schema, found {kind(schema)}.",
            'Or ask for {"type": "json_object"}.',
        )
    return Document(schema, approximate)


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
    """Folds the events of one run into the JSON that `run` gives, whole or as a stream; in parity, only what is
    published of it."""

    def __init__(self, *, parity: bool = False, is_document: bool = False) -> None:
        self._parity, self._is_document = parity, is_document
        self._text: list[str] = []
        self._logprobs: list[TokenLogprob] = []

    def add(self, event: Event) -> dict[str, Any] | None:
        """Take the next event in; the whole answer, if that was the last. Raises what a failed request failed with."""
        self._take(event)
        if isinstance(event, Text):
            self._logprobs += event.logprobs
        if not isinstance(event, Done):
            return None
        response = self._response()
        result = {
            "response": None if self._parity and event.tool_calls and not response else response,  # as it was seen to
            "tool_calls": [_call(call, at, self._parity) for at, call in enumerate(event.tool_calls)],
            **_end(event, self._parity),
        }
        return result | ({"logprobs": _logprobs(self._logprobs)} if self._logprobs and not self._parity else {})

    def stream(self, event: Event) -> dict[str, Any] | None:
        """Take the next event in; the stream's JSON for it, if it has any. Raises what a failed request failed with.

        `response` is always text, and `tool_calls` stand beside it at the end only: clients drop the text, or break,
        where it is not so. Calls come twice: as they grow, in OpenAI's deltas, and whole at the end, for clients that
        add nothing up (langchain-cloudflare takes all from one event). Those that do have nothing to add there. What
        the text of a document says stands as `parsed` in the last event.
        """
        self._take(event)
        if isinstance(event, Text):
            logprobs = {"logprobs": _logprobs(event.logprobs)} if event.logprobs and not self._parity else {}
            return {"response": event.text, **logprobs}
        if isinstance(event, ToolCallDelta):
            return {"tool_calls": [_delta(event)]}
        if isinstance(event, Done):
            parsed = {"parsed": self._response()} if self._is_document else {}
            return {"response": "", **self._calls(event), **parsed, **_end(event, self._parity)}
        return None

    def _calls(self, done: Done) -> dict[str, Any]:
        """The whole calls of a stream; their arguments were in the deltas."""
        calls = [_call(call, at) for at, call in enumerate(done.tool_calls)]
        for call in calls:
            call["function"]["arguments"] = ""
        return {"tool_calls": calls} if calls and not self._parity else {}

    def _take(self, event: Event) -> None:
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Text):
            self._text.append(event.text)

    def _response(self) -> Any:
        text = "".join(self._text)
        return value(text) if self._is_document else text


def value(text: str) -> Any:
    """What the text of a document says; of one that was broken off by its caller there is only the text."""
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return text


def _call(call: ToolCall, index: int, parity: bool = False) -> dict[str, Any]:
    """A whole call, in the service's form and in OpenAI's at once; in parity in the first."""
    arguments = dict(call.arguments)
    if parity:
        return {"name": call.name, "arguments": arguments}
    function = {"name": call.name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    named = {"id": call.id, "type": "function", "index": index}
    return {**named, "name": call.name, "arguments": arguments, "function": function}


def _delta(delta: ToolCallDelta) -> dict[str, Any]:
    """OpenAI's shape of some more of a call (chat completions, delta.tool_calls)."""
    if delta.name is None:
        return {"index": delta.index, "function": {"arguments": delta.arguments}}
    function = {"name": delta.name, "arguments": delta.arguments}
    return {"id": delta.id, "type": "function", "index": delta.index, "function": function}


def _end(done: Done, parity: bool) -> dict[str, Any]:
    if parity:
        return {"usage": _counts(done.usage)}
    return {
        "finish_reason": done.finish_reason,
        "usage": {**_counts(done.usage), **_details(done.usage)},
        "timings": _timings(done.timings, done.usage),
    }


def _counts(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _details(usage: Usage) -> dict[str, Any]:
    """In OpenAI's shape; `forced_tokens` is ours."""
    forced = {"completion_tokens_details": {"forced_tokens": usage.forced_tokens}} if usage.forced_tokens else {}
    return {"prompt_tokens_details": {"cached_tokens": usage.cached_tokens}, **forced}


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
