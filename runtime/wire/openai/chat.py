"""Chat completions: the body, the whole answer, and the chunks of a stream.

In the shape that clients were seen to need: the role in the first delta, no `usage` in a chunk but the last one, which
comes if it is asked for, and no `tool_calls` where there are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.errors import InvalidRequest
from runtime.wire import envelope
from runtime.wire.openai.body import COMMON, COUNT, NO_PYTHON, Asked, Refused, check_tools, given_in, runs
from runtime.wire.openai.head import usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runtime.wire.openai.head import Head

OPTIONS = {**COMMON, "max_completion_tokens": COUNT}
REFUSED: Refused = {
    "audio": ("these models write text only",),
    "function_call": ("it is deprecated, say tool_choice", "none", "auto"),
    "functions": ("it is deprecated, say tools",),
    "grammar": (NO_PYTHON,),
    "modalities": ("these models write text only", ["text"]),
    "moderation": ("no model for it is here",),
    "reasoning_effort": ("these models do not reason before they answer", "none"),
    "verbosity": ("these models know no such setting", "medium"),
    "web_search_options": ("nothing is searched from here",),
}


def read(body: Any, *, parity: bool = False) -> Asked:
    """What a body asks for. Raises `InvalidRequest` or `Unsupported` with the option's name; most options are checked
    when the inputs are parsed."""
    given = given_in(body, OPTIONS, ("model", "messages"), REFUSED)
    _check_format(given.get("response_format"))
    check_tools(given.get("tools"))
    inputs = dict(given)
    if "tools" in inputs:
        inputs["tools"] = _shown(inputs["tools"])
    if "max_completion_tokens" in inputs:  # the name since 2024; the other one is Workers AI's too
        inputs["max_tokens"] = inputs.pop("max_completion_tokens")
    bodies = runs(inputs, REFUSED, given.get("n", 1), parity=parity)
    return Asked(given["model"], bodies, len(bodies), given)


def _check_format(asked: Any) -> None:
    """Raises `InvalidRequest` for OpenAI's form of a schema, of which the schema itself is missing: without it, its
    name would be read as a schema."""
    named = asked.get("json_schema") if isinstance(asked, dict) else None
    if isinstance(named, dict) and isinstance(named.get("name"), str) and named.get("schema") is None:
        raise InvalidRequest("response_format.json_schema.schema: must be given, found nothing.")


def _shown(tools: Any) -> Any:
    """The tools without `strict`, which is no part of what the model shall read: all are held to their schemas."""
    if not isinstance(tools, list):
        return tools
    return [{**tool, "function": _without_strict(tool["function"])} if _is_wrapped(tool) else tool for tool in tools]


def _is_wrapped(tool: Any) -> bool:
    return isinstance(tool, dict) and isinstance(tool.get("function"), dict)


def _without_strict(function: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in function.items() if key != "strict"}


class Chat:
    """Shapes the answers to one request."""

    heartbeat = envelope.COMMENT

    def __init__(self, asked: Asked, head: Head) -> None:
        self._asked, self._head = asked, head
        self._begun: set[int] = set()
        self._ended: dict[int, Mapping[str, Any]] = {}

    def whole(self, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The answer of the runs together."""
        choices = [_choice(at, result) for at, result in enumerate(results)]
        counted = usage(results, self._asked.choices)
        return {**self._head.of("chat.completion"), "choices": choices, "usage": counted}

    def lines(self, at: int, event: Mapping[str, Any]) -> bytes:
        """The chunks for an event of a run, as `workers_ai.Answer.stream` shows it."""
        return b"".join(envelope.line(chunk) for chunk in self._chunks(at, event))

    def end(self) -> bytes:
        """What stands behind the last run's end."""
        if not self._asked.include_usage:
            return envelope.END
        counted = usage([self._ended[at] for at in sorted(self._ended)], self._asked.choices)
        return envelope.line({**self._chunk(), "usage": counted}) + envelope.END

    def failure(self, told: Mapping[str, Any]) -> bytes:
        """What tells of an error in the middle."""
        return envelope.line(told)

    def _chunks(self, at: int, event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        if at not in self._begun:
            self._begun.add(at)
            yield self._chunk(_delta(at, {"role": "assistant", "content": ""}))
        if "finish_reason" in event:
            self._ended[at] = event
            yield self._chunk(_delta(at, {}, event["finish_reason"]))
        elif "tool_calls" in event:
            yield self._chunk(_delta(at, {"tool_calls": event["tool_calls"]}))
        else:
            said = _delta(at, {"content": event["response"]})
            yield self._chunk(said | ({"logprobs": _logprobs(event)} if "logprobs" in event else {}))

    def _chunk(self, *choices: dict[str, Any]) -> dict[str, Any]:
        return {**self._head.of("chat.completion.chunk"), "choices": list(choices)}


def _choice(index: int, result: Mapping[str, Any]) -> dict[str, Any]:
    calls = [{key: call[key] for key in ("id", "type", "function")} for call in result["tool_calls"]]
    content = None if calls and not result["response"] else result["response"]
    message = {"role": "assistant", "content": content, "refusal": None, **({"tool_calls": calls} if calls else {})}
    logprobs, reason = _logprobs(result), result["finish_reason"]
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": reason}


def _delta(index: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": reason}


def _logprobs(shown: Mapping[str, Any]) -> dict[str, Any] | None:
    return {"content": shown["logprobs"], "refusal": None} if "logprobs" in shown else None
