"""A conversation -> the prompt of Llama 3.1 and 3.2.

The format is the one of Meta's published chat templates (meta-llama/Llama-3.1-8B-Instruct and Llama-3.2-3B-Instruct),
character by character. What comes out is segments: control tokens stand alone in segments marked `special`, and all
else, the caller's roles and dates too, is plain text, which no tokenizer may turn into control tokens. So `<|eot_id|>`
typed by a user ends nothing. Plain text between two control tokens is always one segment, since tokens merge across
"\\n\\n" and what follows.

The templates of the two families agree wherever this module goes: they differ in the date they take when none is given
(we are always given one) and in built-in tools (which we do not offer).

Where we leave the templates, since second turns must work and they raise, or lose something:

- Several calls in one turn are written one after the other, the way the models themselves write them; their results
  come in the order of the calls where ids say which is whose, since the format has no ids.
- A history that begins with a call keeps it: the tools then stand in a turn of their own before it. The templates put
  them in its place.
- No content is "", where they print None. A call's own content is dropped, as they do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.errors import ConfigError, InvalidRequest
from runtime.messages import check_text, expected, is_array, json_text, normalise
from runtime.toolstyles import STYLES, ToolStyle
from runtime.values import FAMILIES, Message, Segment, Tool

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Iterator, Mapping, Sequence

BEGIN = Segment("<|begin_of_text|>", special=True)
HEADER_START = Segment("<|start_header_id|>", special=True)
HEADER_END = Segment("<|end_header_id|>", special=True)
END_OF_TURN = Segment("<|eot_id|>", special=True)

PLACES = ("user", "system")

# Of our own, since strftime's names follow the locale of the process.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def segments(
    messages: Sequence[Mapping[str, Any] | Message],
    *,
    tools: Sequence[Mapping[str, Any] | Tool] | None = None,
    family: str = "llama3.2",
    date: datetime.date | str,
    tools_in: str = "user",
    style: str = "json",
) -> tuple[Segment, ...]:
    """The prompt for `messages`, up to where the assistant's answer begins.

    tools: function definitions, shown to the model as they are given; an empty sequence is none.
    family: one of FAMILIES.
    date: what "Today Date" says; text is taken as it is.
    tools_in: "user", the first turn after the system message, as the templates do unless they are told otherwise; or
        "system", the system block.
    style: one of `runtime.toolstyles`.

    Raises `InvalidRequest` for messages or tools that cannot be shown, and for tools without a turn to put them in;
    `ConfigError` for an unknown family, place or style.
    """
    _check(family, FAMILIES, "prompt family", "families")
    _check(tools_in, PLACES, "place for tools", "places")
    _check(style, STYLES, "style of tools", "styles")
    today = check_text(date, "date") if isinstance(date, str) else date_string(date)
    if tools is not None and not is_array(tools):
        expected("tools", "an array of tools", tools)
    system, turns = _split(normalise(messages))
    return _joined(_prompt(system, turns, today, _Shown(tuple(tools or ()), tools_in, STYLES[style])))


def render(
    messages: Sequence[Mapping[str, Any] | Message],
    *,
    tools: Sequence[Mapping[str, Any] | Tool] | None = None,
    family: str = "llama3.2",
    date: datetime.date | str,
    tools_in: str = "user",
    style: str = "json",
) -> str:
    """The text of `segments`, to be read and compared. Not to be tokenized: it no longer says what is special."""
    pieces = segments(messages, tools=tools, family=family, date=date, tools_in=tools_in, style=style)
    return "".join(piece.text for piece in pieces)


def raw(text: str) -> tuple[Segment, ...]:
    """The prompt of a request that is `raw`: the caller writes the format, so control tokens in `text` are honoured.

    `<|begin_of_text|>` is put in front unless it is there already. Raises `InvalidRequest` for lone surrogates.
    """
    check_text(text, "prompt")
    return (Segment(text if text.startswith(BEGIN.text) else BEGIN.text + text, special=True),)


def date_string(date: datetime.date) -> str:
    """The date as the format writes it, "05 Jul 2024", in English whatever the locale."""
    return f"{date.day:02d} {MONTHS[date.month - 1]} {date.year}"


@dataclass(frozen=True, slots=True)
class _Shown:
    """The tools, and how and where they are shown."""

    tools: Sequence[Mapping[str, Any] | Tool]
    place: str
    style: ToolStyle

    def stands_in(self, place: str) -> bool:
        return bool(self.tools) and self.place == place


def _check(name: str, known: Iterable[str], what: str, plural: str) -> None:
    if name not in known:
        raise ConfigError(f"Unknown {what} {name!r}.", f"The {plural} are {' and '.join(known)}.")


def _split(messages: tuple[Message, ...]) -> tuple[str, tuple[Message, ...]]:
    """The system text, and the turns after it. Only a first message is moved into the system block."""
    if messages[0].role == "system":
        return messages[0].content.strip(), messages[1:]
    return "", messages


def _prompt(system: str, turns: tuple[Message, ...], today: str, shown: _Shown) -> Iterator[Segment]:
    yield BEGIN
    environment = "Environment: ipython\n" if shown.tools and shown.style.environment else ""
    cutoff = "Cutting Knowledge Date: December 2023\n"  # as published, for all models of both families
    if shown.stands_in("system"):
        system = shown.style.in_system(shown.tools, system)
    yield from _turn("system", f"{environment}{cutoff}Today Date: {today}\n\n{system}")
    if shown.stands_in("user"):
        first, turns = _first(turns)
        yield from _turn("user", shown.style.in_user(shown.tools, first))
    for message in _in_order(turns):
        yield from _turn(_header(message), _body(message, shown.style))
    yield from _opening("assistant")


def _first(turns: tuple[Message, ...]) -> tuple[str, tuple[Message, ...]]:
    """The text that the tools stand beside, and the turns after it."""
    if not turns:
        raise InvalidRequest("messages: expected a user's message to show the tools in, found a system message only.")
    if turns[0].tool_calls:
        return "", turns
    return turns[0].content.strip(), turns[1:]  # whatever its role is, as in the template


def _in_order(turns: Iterable[Message]) -> Iterator[Message]:
    """The turns, with the results of several calls in the order of the calls."""
    order: dict[str, int] = {}
    results: list[Message] = []
    for turn in turns:
        if _is_result(turn):
            results.append(turn)
            continue
        yield from _sorted(results, order)
        results = []
        order = {call.id: at for at, call in enumerate(turn.tool_calls) if call.id is not None}
        yield turn
    yield from _sorted(results, order)


def _sorted(results: list[Message], order: Mapping[str, int]) -> list[Message]:
    """By the places of their ids, if each has one."""
    ids = [result.tool_call_id for result in results]
    if not all(one in order for one in ids):
        return results
    return sorted(results, key=lambda result: order[result.tool_call_id or ""])


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


def _body(message: Message, style: ToolStyle) -> str:
    if message.tool_calls:  # the template drops what the assistant said beside the call, and so do we
        return style.write(message.tool_calls)
    if not _is_result(message):
        return message.content.strip()
    return message.content if message.is_json else json_text(message.content, "content")


def _is_result(message: Message) -> bool:
    return message.role in ("tool", "ipython")


def _joined(pieces: Iterable[Segment]) -> tuple[Segment, ...]:
    """Neighbouring plain pieces as one; control tokens stay one by one, empty pieces go."""
    result: list[Segment] = []
    for piece in pieces:
        if result and not piece.special and not result[-1].special:
            result[-1] = Segment(result[-1].text + piece.text)
        elif piece.text:
            result.append(piece)
    return tuple(result)
