"""Responses, OpenAI's newer endpoint: the body, as far as text, JSON and functions go, and the object that answers it.

Nothing is stored here, so a conversation is sent as its items.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runtime.errors import InvalidRequest, Unsupported
from runtime.messages import as_call, as_message, expected
from runtime.values import Message, Sampling
from runtime.wire.body import cut
from runtime.wire.openai.body import COMMON, COUNT, FLAG, NO_PYTHON, Asked, Refused, check_tools, given_in, runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.wire.openai.head import Head

_FORMAT = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"enum": ["text", "json_object", "json_schema"]},
        "schema": {"type": "object"},
    },
}
OPTIONS: dict[str, Any] = {
    **COMMON,
    "include": {"type": "array", "items": {"type": "string"}},
    "instructions": {"type": "string"},
    "max_output_tokens": COUNT,
    "parallel_tool_calls": FLAG,
    "text": {"type": "object", "properties": {"format": _FORMAT, "verbosity": {"enum": ["medium"]}}},
    "tools": {"type": "array", "items": {"type": "object"}},
    "top_logprobs": {"type": "integer", "minimum": 0, "maximum": 20},
}
_STATELESS = "nothing is stored here, send the items as input"
REFUSED: Refused = {
    "background": ("answers come at once",),
    "context_management": ("nothing is left out of an input",),
    "conversation": (_STATELESS,),
    "grammar": (NO_PYTHON,),
    "messages": ("here it is input",),
    "moderation": ("no model for it is here",),
    "previous_response_id": (_STATELESS,),
    "prompt": ("no prompts are stored here, send the text as input",),
    "reasoning": ("these models do not reason before they answer", {"effort": "none"}, {}),
    "truncation": ("nothing is left out of an input", "disabled"),
}
LOGPROBS = "message.output_text.logprobs"  # of `include`; of what else may be included there is nothing here
# Read here, or without a bearing on what there is.
_OWN = {"input", "instructions", "text", "include", "max_output_tokens"}
_OWN |= {"max_tool_calls", "background_options", "access_programs"}
_DEFAULT = Sampling()


def read(body: Any) -> Asked:
    """What a body asks for. Raises `InvalidRequest` or `Unsupported` with the option's name; most options are checked
    when the inputs are parsed."""
    given = given_in(body, OPTIONS, ("model", "input"), REFUSED)
    inputs = {key: value for key, value in given.items() if key not in _OWN and key not in REFUSED}
    inputs["messages"] = _messages(given)
    if "max_output_tokens" in given:
        inputs["max_tokens"] = given["max_output_tokens"]
    inputs |= _format(given.get("text", {}).get("format", {}))
    if "tools" in given:
        inputs["tools"] = _tools(given["tools"])
    wanted = LOGPROBS in given.get("include", ()) or given.get("top_logprobs", 0) > 0
    inputs |= {"logprobs": wanted, "top_logprobs": given.get("top_logprobs", 0)}
    return Asked(given["model"], runs(inputs, (), 1, parity=False), 1, given)


def _format(asked: dict[str, Any]) -> dict[str, Any]:
    if asked.get("type") != "json_schema":
        return {"response_format": asked} if asked else {}
    if asked.get("schema") is None:
        raise InvalidRequest("text.format.schema: must be given, found nothing.")
    named = {"name": asked.get("name"), "schema": asked["schema"]}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _tools(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tools as chat completions have them, and so as the model has learnt to read them."""
    check_tools(tools)
    wanted = ("name", "description", "parameters")
    return [
        {"type": "function", "function": {key: tool[key] for key in wanted if tool.get(key) is not None}}
        for tool in tools
    ]


def _messages(given: Mapping[str, Any]) -> list[Message]:
    said = given["input"]
    messages = [Message("system", given["instructions"])] if given.get("instructions") else []
    if isinstance(said, str):
        return [*messages, Message("user", said)]
    if not isinstance(said, list):
        expected("input", "text or an array of items", said)
    if not said:
        raise InvalidRequest("input: expected at least one item, found none.")
    names: dict[str | None, str] = {}  # of functions, by the ids of their calls
    for at, item in enumerate(said):
        _add(messages, item, names, f"input[{at}]")
    return messages


def _add(messages: list[Message], item: Any, names: dict[str | None, str], path: str) -> None:
    """One item more of a conversation. What an assistant says, and the calls behind that, are one message."""
    if not isinstance(item, dict):
        expected(path, "an object", item)
    named = item.get("type") or "message"
    if named == "message":
        messages.append(as_message(item, path))
    elif named == "function_call":
        call = as_call({"id": item.get("call_id"), "name": item.get("name"), "arguments": item.get("arguments")}, path)
        names[call.id] = call.name
        last = messages.pop() if messages and messages[-1].role == "assistant" else Message("assistant")
        messages.append(replace(last, tool_calls=(*last.tool_calls, call)))
    elif named == "function_call_output":
        result = {"role": "tool", "content": item.get("output"), "tool_call_id": item.get("call_id")}
        answered = as_message(result, path)
        messages.append(replace(answered, name=names.get(answered.tool_call_id)))
    else:
        raise Unsupported(
            f'{path}.type: must be message, function_call or function_call_output, found "{cut(str(named))}".',
            "Leave the item out.",
        )


def answer(given: Mapping[str, Any], head: Head, output: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """The object that answers a request, which says again what was asked for."""
    return {
        "id": f"resp_{head.id}",
        "object": "response",
        "created_at": head.created,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": given.get("instructions"),
        "max_output_tokens": given.get("max_output_tokens"),
        "metadata": given.get("metadata", {}),
        "model": head.model,
        "output": output,
        "parallel_tool_calls": given.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": given.get("temperature", _DEFAULT.temperature),
        "text": {"format": {"type": "text"}, **given.get("text", {})},
        "tool_choice": given.get("tool_choice", "auto"),
        "tools": given.get("tools", []),
        "top_p": given.get("top_p", _DEFAULT.top_p),
        "truncation": "disabled",
        "usage": None,
        **more,
    }


def ended(result: Mapping[str, Any]) -> dict[str, Any]:
    """How an answer ended, and what it took."""
    usage = result["usage"]
    is_whole = result["finish_reason"] != "length"
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return {
        "status": "completed" if is_whole else "incomplete",
        "incomplete_details": None if is_whole else {"reason": "max_output_tokens"},
        "usage": {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},  # of what is billed: nothing
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage["total_tokens"],
        },
    }
