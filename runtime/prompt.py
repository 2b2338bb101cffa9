"""A conversation -> the prompt of Llama 3.1 and 3.2.

The format is the one of Meta's published chat templates (meta-llama/Llama-3.1-8B-Instruct and Llama-3.2-3B-Instruct),
character by character. What comes out is segments: control tokens stand alone in segments marked `special`, and all
else, the caller's roles and dates too, is plain text, which no tokenizer may turn into control tokens. So `<|eot_id|>`
typed by a user ends nothing. Plain text between two control tokens is always one segment, since tokens merge across
"\\n\\n" and what follows.

The templates of the two families agree wherever this module goes: they differ in the date they take when none is given
(we are always given one) and in built-in tools (which we do not offer).

Where we leave the templates: several calls in one turn are written one after the other with "; " between them, the way
the models themselves write them, where the templates raise; no content is "", where they print None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runtime.errors import ConfigError, InvalidRequest
from runtime.messages import check_text, expected, is_array, json_text, normalise
from runtime.values import FAMILIES, Message, Segment, ToolCall

if TYPE_CHECKING:
    import datetime

BEGIN = Segment("<|begin_of_text|>", special=True)
HEADER_START = Segment("<|start_header_id|>", special=True)
HEADER_END = Segment("<|end_header_id|>", special=True)
END_OF_TURN = Segment("<|eot_id|>", special=True)

# The two sentences run together in the published text: "value}.Do".
TOOLS_INTRODUCTION = (
    "Given the following functions, please respond with a JSON for a function call "
    "with its proper arguments that best answers the given prompt.\n\n"
    'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.'
    "Do not use variables.\n\n"
)

# Of our own, since strftime's names follow the locale of the process.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def segments(
    messages: Sequence[Mapping[str, Any] | Message],
    *,
    tools: Sequence[Mapping[str, Any]] | None = None,
    family: str = "llama3.2",
    date: datetime.date | str,
) -> tuple[Segment, ...]:
    """The prompt for `messages`, up to where the assistant's answer begins.

    tools: function definitions, shown to the model as they are given, in the first turn after the system message; an
        empty sequence is none.
    family: one of FAMILIES.
    date: what "Today Date" says; text is taken as it is.

    Raises `InvalidRequest` for messages or tools that cannot be shown, and for tools without a turn to put them in;
    `ConfigError` for an unknown family.
    """
    if family not in FAMILIES:
        raise ConfigError(f"Unknown prompt family {family!r}.", f"The families are {' and '.join(FAMILIES)}.")
    today = check_text(date, "date") if isinstance(date, str) else date_string(date)
    shown = _tools(tools)
    system, turns = _split(normalise(messages))
    return _joined(_prompt(system, turns, shown, today))


def render(
    messages: Sequence[Mapping[str, Any] | Message],
    *,
    tools: Sequence[Mapping[str, Any]] | None = None,
    family: str = "llama3.2",
    date: datetime.date | str,
) -> str:
    """The text of `segments`, to be read and compared. Not to be tokenized: it no longer says what is special."""
    return "".join(segment.text for segment in segments(messages, tools=tools, family=family, date=date))


def raw(text: str) -> tuple[Segment, ...]:
    """The prompt of a request that is `raw`: the caller writes the format, so control tokens in `text` are honoured.

    `<|begin_of_text|>` is put in front unless it is there already. Raises `InvalidRequest` for lone surrogates.
    """
    check_text(text, "prompt")
    return (Segment(text if text.startswith(BEGIN.text) else BEGIN.text + text, special=True),)


def date_string(date: datetime.date) -> str:
    """The date as the format writes it, "05 Jul 2024", in English whatever the locale."""
    return f"{date.day:02d} {MONTHS[date.month - 1]} {date.year}"


def _split(messages: tuple[Message, ...]) -> tuple[str, tuple[Message, ...]]:
    """The system text, and the turns after it. Only a first message is moved into the system block."""
    if messages[0].role == "system":
        return messages[0].content.strip(), messages[1:]
    return "", messages


def _prompt(system: str, turns: tuple[Message, ...], tools: str, today: str) -> Iterator[Segment]:
    yield BEGIN
    environment = "Environment: ipython\n" if tools else ""
    cutoff = "Cutting Knowledge Date: December 2023\n"  # as published, for all models of both families
    yield from _turn("system", f"{environment}{cutoff}Today Date: {today}\n\n{system}")
    if tools:
        if not turns:
            raise InvalidRequest(
                "messages: expected a user's message to show the tools in, found a system message only."
            )
        # The template takes the first turn whatever its role, and of it the content only.
        yield from _turn("user", TOOLS_INTRODUCTION + tools + turns[0].content.strip())
        turns = turns[1:]
    for message in turns:
        yield from _turn(_header(message), _body(message))
    yield from _opening("assistant")


def _turn(role: str, text: str) -> Iterator[Segment]:
    yield from _opening(role)
    yield Segment(text)
    yield END_OF_TURN


def _opening(role: str) -> tuple[Segment, ...]:
    return HEADER_START, Segment(role), HEADER_END, Segment("\n\n")


def _header(message: Message) -> str:
    if message.tool_calls:
        return "assistant"
    return "ipython" if _is_result(message) else message.role


def _body(message: Message) -> str:
    if message.tool_calls:  # the template drops what the assistant said beside the call, and so do we
        return "; ".join(_call(call) for call in message.tool_calls)
    if not _is_result(message):
        return message.content.strip()
    return message.content if message.is_json else json_text(message.content, "content")


def _is_result(message: Message) -> bool:
    return message.role in ("tool", "ipython")


def _call(call: ToolCall) -> str:
    # The template does not escape the name. It cannot do harm: it is plain text.
    return f'{{"name": "{call.name}", "parameters": {json_text(dict(call.arguments), "arguments")}}}'


def _tools(tools: Sequence[Mapping[str, Any]] | None) -> str:
    if tools is None:
        return ""
    if not is_array(tools):
        expected("tools", "an array of tools", tools)
    return "".join(_tool(tool, f"tools[{at}]") + "\n\n" for at, tool in enumerate(tools))


def _tool(tool: Mapping[str, Any], path: str) -> str:
    if not isinstance(tool, Mapping):
        expected(path, "an object that defines a function", tool)
    return json_text(dict(tool), path, indent=4)


def _joined(pieces: Iterable[Segment]) -> tuple[Segment, ...]:
    """Neighbouring plain pieces as one; control tokens stay one by one, empty pieces go."""
    result: list[Segment] = []
    for piece in pieces:
        if result and not piece.special and not result[-1].special:
            result[-1] = Segment(result[-1].text + piece.text)
        elif piece.text:
            result.append(piece)
    return tuple(result)
