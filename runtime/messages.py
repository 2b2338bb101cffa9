"""Messages as real clients send them -> `values.Message`.

The one place that knows the dialects: OpenAI's (parts, null content, `tool_calls` with arguments as a JSON string,
`function_call`), Workers AI's own (flat tool calls with arguments as an object), and what sits between the two. The
rest of the package sees one form.

Every error is an `InvalidRequest` that begins with the path of the value, as in `messages[1].content[0]`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from runtime.errors import InvalidRequest, Unsupported
from runtime.values import Message, ToolCall

# Other names for the roles that the chat format has: OpenAI's newer "system", the format's own "tool", OpenAI's older.
ROLES = {"developer": "system", "ipython": "tool", "function": "tool"}

TEXT_PARTS = ("text", "input_text", "output_text")  # Chat Completions, and both directions of the Responses API

_NAMES = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string"}


def normalise(messages: Sequence[Mapping[str, Any] | Message]) -> tuple[Message, ...]:
    """The conversation in one form. `Message`s pass through, after the check that their text is text.

    Raises `InvalidRequest` for what is no message, `Unsupported` for parts that are not text.
    """
    if not is_array(messages):
        expected("messages", "an array of messages", messages)
    if not messages:
        raise InvalidRequest("messages: expected at least one message, found none.")
    return tuple(_with_spoken_calls([as_message(message, f"messages[{at}]") for at, message in enumerate(messages)]))


def check_text(text: str, path: str) -> str:
    """`text`, if it can be written as UTF-8. `InvalidRequest` for a lone surrogate, with its position in characters.

    Such strings come out of JSON escapes like `"\\ud83d"`, and no tokenizer can read them. All other characters are the
    caller's business, control characters and NUL too.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = f"U+{ord(text[error.start]):04X}"
        raise InvalidRequest(
            f"{path}: expected text, found the lone surrogate {found} at character {error.start}.",
            "It is half of a pair, and cannot be written as UTF-8.",
        ) from None
    return text


def json_text(value: Any, path: str, indent: int | None = None) -> str:
    """`value` as the chat templates of transformers print it: Unicode as it is, keys in the order given.

    Raises `InvalidRequest` for what JSON cannot hold: NaN, other Python objects, nesting without end, lone surrogates.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"{path}: expected JSON, found what cannot be written as JSON ({error}).") from None
    return check_text(text, path)


def kind(value: Any) -> str:
    """What a JSON value is, for messages: "null", "a number", "an array"; other objects by the name of their type."""
    if is_array(value):
        return "an array"
    if isinstance(value, Mapping):
        return "an object"
    return _NAMES.get(type(value), f"a Python {type(value).__name__}")


def is_array(value: Any) -> bool:
    """Whether `value` is a JSON array: any sequence that is not text or bytes."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview)


def expected(path: str, what: str, found: Any) -> NoReturn:
    """Raises `InvalidRequest`: at `path` stands `found`, where `what` should be."""
    raise InvalidRequest(f"{path}: expected {what}, found {kind(found)}.")


def as_message(message: Mapping[str, Any] | Message, path: str) -> Message:
    """One message, which stands at `path`. Raises as `normalise`."""
    if isinstance(message, Message):
        return _checked(message, path)
    if not isinstance(message, Mapping):
        expected(path, "an object with role and content", message)
    role = _role(message, path)
    content, is_json = _content(message.get("content"), role, f"{path}.content")
    calls = _calls(message, path)
    if calls and role != "assistant":
        raise InvalidRequest(f"{path}: expected tool calls in an assistant's message only, found role {role!r}.")
    name, call_id = (_optional_text(message, key, path) for key in ("name", "tool_call_id"))
    return Message(role, content, calls, name, call_id, is_json)


def _checked(message: Message, path: str) -> Message:
    for key in ("role", "content", "name", "tool_call_id"):
        check_text(getattr(message, key) or "", f"{path}.{key}")
    for at, call in enumerate(message.tool_calls):
        check_text(call.name, f"{path}.tool_calls[{at}].name")
        json_text(dict(call.arguments), f"{path}.tool_calls[{at}].arguments")
    return message


def _role(message: Mapping[str, Any], path: str) -> str:
    if "role" not in message:
        raise InvalidRequest(f"{path}.role: expected a string such as 'user', found no role.")
    role = _text(message["role"], f"{path}.role")
    if not role:
        raise InvalidRequest(f"{path}.role: expected a string such as 'user', found an empty one.")
    return ROLES.get(role, role)


def _content(content: Any, role: str, path: str) -> tuple[str, bool]:
    """The text, and whether it is the JSON of a tool's result."""
    if content is None:  # OpenAI's form for a turn that only calls tools
        return "", False
    if isinstance(content, str):
        return check_text(content, path), False
    if role == "tool" and (isinstance(content, Mapping) or (is_array(content) and not _are_parts(content))):
        return json_text(content, path), True
    if not is_array(content):
        expected(path, "text or an array of text parts", content)
    return "".join(_part(part, f"{path}[{at}]") for at, part in enumerate(content)), False


def _are_parts(content: Sequence[Any]) -> bool:
    """Whether a tool's result is in parts. If not it is data, and so are strings alone: `["Rome", "Oslo"]`."""
    return bool(content) and all(_is_part(item) for item in content)


def _is_part(item: Any) -> bool:
    """A part keeps its content under the name of its type (`image_url`), or, being text, under `text`."""
    if not isinstance(item, Mapping) or not isinstance(item.get("type"), str):
        return False
    return item["type"] in item or (item["type"] in TEXT_PARTS and "text" in item)


def _part(part: Any, path: str) -> str:
    if isinstance(part, str):
        return check_text(part, path)
    if not isinstance(part, Mapping):
        expected(path, "a text part or a string", part)
    kind_of_part = _text(part.get("type"), f"{path}.type")
    if kind_of_part not in TEXT_PARTS:
        raise Unsupported(f"{path}: {kind_of_part!r} parts cannot be read by these models, which read text only.")
    return _text(part.get("text"), f"{path}.text")


def _calls(message: Mapping[str, Any], path: str) -> tuple[ToolCall, ...]:
    calls = message.get("tool_calls")
    if calls is not None and not is_array(calls):
        expected(f"{path}.tool_calls", "an array of tool calls", calls)
    if calls:
        return tuple(as_call(call, f"{path}.tool_calls[{at}]") for at, call in enumerate(calls))
    if message.get("function_call") is not None:  # OpenAI's form until 2023; clients that still send both say it twice
        return (as_call(message["function_call"], f"{path}.function_call"),)
    return ()


def _with_spoken_calls(messages: list[Message]) -> list[Message]:
    """Calls that stand in the content, as Workers AI's documentation and `@cloudflare/ai-utils` write the history.

    The content is then `JSON.stringify(tool_call)`, and results follow, maybe after more such calls. Without a result
    such JSON is an answer.
    """
    found: list[Message] = []
    is_answered = False
    for message in reversed(messages):
        spoken = is_answered and message.role == "assistant" and not message.tool_calls
        calls = _spoken_calls(message.content) if spoken else ()
        found.append(dataclasses.replace(message, content="", tool_calls=calls) if calls else message)
        is_answered = message.role == "tool" or bool(calls)
    return found[::-1]


def _spoken_calls(content: str) -> tuple[ToolCall, ...]:
    """The calls that are all of the content: one, or an array of them."""
    if not content.lstrip().startswith(("{", "[")):
        return ()
    try:
        found = json.loads(content)
        return tuple(as_call(_spoken(call), "content") for call in (found if isinstance(found, list) else [found]))
    except (ValueError, RecursionError, InvalidRequest):
        return ()


def _spoken(call: Any) -> Any:
    """The call with its arguments under that name. Raises `InvalidRequest` where there are none."""
    inner = call.get("function") if isinstance(call, Mapping) else None
    if isinstance(inner, Mapping):
        return {**call, "function": _spoken(inner)}
    if not isinstance(call, Mapping) or not {"arguments", "parameters"} & call.keys():
        raise InvalidRequest("content: expected a tool call.")
    return {"id": call.get("id"), "name": call.get("name"), "arguments": call.get("arguments", call.get("parameters"))}


def as_call(call: Any, path: str) -> ToolCall:
    """One call, which stands at `path`, in any form. Raises as `normalise`."""
    if not isinstance(call, Mapping):
        expected(path, "a tool call", call)
    call_id = _optional_text(call, "id", path)
    if call.get("function") is not None:  # OpenAI's form; Workers AI's own has name and arguments at the top
        call, path = call["function"], f"{path}.function"
        if not isinstance(call, Mapping):
            expected(path, "an object with name and arguments", call)
    name = _text(call.get("name"), f"{path}.name")
    if not name:
        raise InvalidRequest(f"{path}.name: expected the name of a function, found an empty string.")
    return ToolCall(name, _arguments(call.get("arguments"), f"{path}.arguments"), call_id)


def _arguments(arguments: Any, path: str) -> Mapping[str, Any]:
    """The decoded object. Nothing, or a blank string, is a call without arguments."""
    if arguments is None:
        return {}
    if isinstance(arguments, str):
        arguments = _decoded(arguments, path) if arguments.strip() else {}
    if not isinstance(arguments, Mapping):
        expected(path, "an object, or a JSON object as text", arguments)
    decoded = dict(arguments)
    json_text(decoded, path)
    return decoded


def _decoded(text: str, path: str) -> Any:
    check_text(text, path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{path}: expected a JSON object as text, found no JSON ({error}).") from None


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        expected(path, "a string", value)
    return check_text(value, path)


def _optional_text(message: Mapping[str, Any], key: str, path: str) -> str | None:
    value = message.get(key)
    return None if value is None else _text(value, f"{path}.{key}")
