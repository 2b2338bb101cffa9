"""The held-out exam of the demo model: `tools`, `no_tool`, `documents` and `chats`, each of a seed and a number.

Committed before the first training run and not changed after. Its tools, names, values and sentences stand in the other
modules named `heldout_...`; nothing that trains the model imports any of them. Each case can be answered by reading
alone: what an argument or a field must be stands in the prompt, character by character.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from scripts.demo.heldout_chat import CHATS, SYSTEMS, Chat
from scripts.demo.heldout_design import DESIGNS, DOCUMENTS, Design, Field, content_words
from scripts.demo.heldout_texts import ASKS, MEANT
from scripts.demo.heldout_words import MOODS, draw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Item = TypeVar("Item")
Objects = tuple[dict[str, Any], ...]

# Characters of a whole prompt; what a prompt has beside the definitions of tools and the messages is under 550.
ROOM = 2400 - 550


@dataclass(frozen=True, slots=True)
class Case:
    """One question, and what its answer must be.

    kind: "tool", "no_tool", "json" or "chat".
    messages: as Workers AI takes them, with a system message or without.
    tools: definitions, some flat and some within `{"type": "function", "function": ...}`.
    schema: of "json", that of the document; the prompt has its text.
    call: of "tool", the one call expected, `{"name": ..., "arguments": {...}}`, exactly.
    result: of "tool", what the tool then returns.
    value: of "json", the document expected, exactly, in the order of the schema.
    answer: of "chat", the answer expected, exactly; None where its wording is free.
    stated: what the answer must contain: of "tool" that of the second turn; of "chat" where the wording is free. Each
        as a word of its own: "4" is not stated by "14". Empty where any words will do, as in return for a greeting.
    """

    kind: str
    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()
    schema: dict[str, Any] | None = None
    call: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    value: object = None
    answer: str | None = None
    stated: tuple[str, ...] = ()


def tools(seed: int, n: int) -> tuple[Case, ...]:
    """`n` cases with a tool to call, over all designs in turn."""
    rng = Random(seed)
    return tuple(_tool_case(rng, design) for design in _in_turn(rng, DESIGNS, n))


def no_tool(seed: int, n: int) -> tuple[Case, ...]:
    """`n` cases with tools of which none fits: what is asked for is another tool's, of another topic."""
    rng = Random(seed)
    return tuple(_no_tool_case(rng, design) for design in _in_turn(rng, DESIGNS, n))


def _in_turn(rng: Random, items: Sequence[Item], n: int) -> Iterator[Item]:
    """`n` of the items: all of them in one order, then in another. Drawn as they are needed, so that the first cases
    are the same whatever `n` is."""
    for at in range(n):
        if at % len(items) == 0:
            order = rng.sample(items, len(items))
        yield order[at % len(items)]


def _request(rng: Random, design: Design) -> tuple[str, dict[str, Any]]:
    """A request for the tool, and the arguments that it gives."""
    sentences, phrase = rng.choice(design.phrases)
    arguments: dict[str, Any] = {}
    for field in design.fields:
        if field.required or (f"{{{field.name}}}" in phrase and rng.random() < 0.5):
            arguments[field.name] = _other(rng, field.kind, list(arguments.values()))
    dates = [field.name for field in design.fields if field.kind == "date" and field.name in arguments]
    arguments |= zip(dates, sorted(arguments[name] for name in dates), strict=True)  # the first day before the last
    kept = re.sub(r"\[(.*?\{(\w+)\}.*?)\]", lambda found: found[1] if found[2] in arguments else "", phrase)
    return _sentence(rng.choice(sentences), kept.format(**arguments)), arguments


def _other(rng: Random, kind: str, taken: list[Any]) -> Any:
    while (value := draw(rng, kind)) in taken:
        pass
    return value


def _sentence(template: str, phrase: str) -> str:
    text = template.format(phrase)
    return text[0].upper() + text[1:]


def _messages(rng: Random, request: str) -> Objects:
    user = {"role": "user", "content": request}
    return ({"role": "system", "content": rng.choice(SYSTEMS)}, user) if rng.random() < 0.4 else (user,)


def _formed(rng: Random, design: Design) -> dict[str, Any]:
    """Its definition, in one form or the other."""
    return design.definition if rng.random() < 0.5 else {"type": "function", "function": design.definition}


def _listed(rng: Random, first: list[Design], others: list[Design], count: int, beside: Objects) -> Objects:
    """The definitions of `first` and of as many others as make `count` and leave room for the messages `beside`."""
    found = [_formed(rng, design) for design in first]
    room = ROOM - sum(len(message["content"]) for message in beside)
    # First those that leave an equal share to each that is to follow; then any for which there is room.
    for shares in (count, 1):
        for design in others:
            if len(found) == count:
                break
            shown = _formed(rng, design)
            share = (room - _size(*found)) // min(shares, count - len(found))
            if _size(shown) <= share and all(design.definition not in (one, one.get("function")) for one in found):
                found.append(shown)
    return tuple(rng.sample(found, len(found)))


def _size(*definitions: dict[str, Any]) -> int:
    return sum(len(json.dumps(definition, indent=4)) + 2 for definition in definitions)


def _tool_case(rng: Random, design: Design) -> Case:
    request, arguments = _request(rng, design)
    messages = _messages(rng, request)
    words = content_words(request)
    # No other tool has a word of the request in its name, unless it is the verb that both tools share.
    others = [
        other
        for other in rng.sample(DESIGNS, len(DESIGNS))
        if other is not design and not (words & content_words(other.name)) - ({design.verb} & {other.verb})
    ]
    if rng.random() < 0.5:  # those that look alike come first
        others.sort(key=lambda other: other.verb != design.verb and other.topic != design.topic)
    shown = _listed(rng, [design], others, rng.randint(2, 4), messages)
    result = {key: draw(rng, kind) for key, kind in design.returns}
    stated = tuple(str(value) for value in result.values())
    call = {"name": design.name, "arguments": arguments}
    return Case("tool", messages, shown, call=call, result=result, stated=stated)


def _no_tool_case(rng: Random, design: Design) -> Case:
    request, _ = _request(rng, design)
    messages = _messages(rng, request)
    words = content_words(request)
    others = [
        other for other in rng.sample(DESIGNS, len(DESIGNS)) if other.topic != design.topic and not words & other.words
    ]
    return Case("no_tool", messages, _listed(rng, [], others, rng.randint(1, 3), messages))


def documents(seed: int, n: int) -> tuple[Case, ...]:
    """`n` cases with a document to read out of a text, over all families in turn."""
    rng = Random(seed)
    return tuple(_document(rng, *family) for family in _in_turn(rng, DOCUMENTS, n))


def _document(rng: Random, fields: tuple[Field, ...], texts: tuple[str, ...]) -> Case:
    text = rng.choice(texts)
    said = [field for field in fields if f"{{{field.name}}}" in text]
    values: dict[str, Any] = {}
    words: dict[str, str] = {}
    for field in said:
        values[field.name], words[field.name] = _value(rng, field.kind, list(values.values()))
    count = min(5, len(said)) if rng.random() < 0.7 else rng.randint(2, min(5, len(said)))
    asked = rng.sample(said, count) if rng.random() < 0.5 else said[:count]
    schema = _schema(rng, asked)
    document = {field.name: values[field.name] for field in asked}
    return Case("json", _asking(rng, text.format(**words), schema), schema=schema, value=document)


def _value(rng: Random, kind: str, taken: list[Any]) -> tuple[Any, str]:
    """A value of a kind, and how it is written in a text."""
    if kind == "mood":
        mood = rng.choice(list(MOODS))
        return mood, rng.choice(MOODS[mood])
    if not kind.startswith("many "):
        value = _other(rng, kind, taken)
        return value, str(value)
    values: list[str] = []
    count = rng.randint(2, 3)
    while len(values) < count:
        value = _other(rng, kind.removeprefix("many "), taken)
        if value.split()[0] not in [one.split()[0] for one in values]:  # no two people of one first name
            values.append(value)
    return values, f"{', '.join(values[:-1])} and {values[-1]}"


def _schema(rng: Random, fields: list[Field]) -> dict[str, Any]:
    described = rng.random() < 0.2
    properties = {field.name: field.schema for field in fields}
    if described:
        properties = {field.name: {**field.schema, "description": field.description} for field in fields}
    schema = {"type": "object", "properties": properties, "required": [field.name for field in fields]}
    return {**schema, "additionalProperties": False} if rng.random() < 0.5 else schema


def _asking(rng: Random, text: str, schema: dict[str, Any]) -> Objects:
    """The messages: the schema in the system message, or in the user's, before the text or after it."""
    ask = rng.choice(ASKS)
    meant = rng.choice(MEANT).format(schema=json.dumps(schema))
    place = rng.choice(("system", "before", "after"))
    if place == "system":
        return {"role": "system", "content": f"{ask}\n{meant}"}, {"role": "user", "content": text}
    parts = [ask, meant, text] if place == "before" else [ask, text, meant]
    return _messages(rng, "\n\n".join(parts))


def chats(seed: int, n: int) -> tuple[Case, ...]:
    """`n` cases with no tool and no schema, over all sorts of `heldout_chat` in turn."""
    rng = Random(seed)
    return tuple(_chat(rng, sort) for sort in _in_turn(rng, CHATS, n))


def _chat(rng: Random, sort: Callable[[Random], Chat]) -> Case:
    request, answer, stated = sort(rng)
    return Case("chat", _messages(rng, request), answer=answer, stated=stated)
