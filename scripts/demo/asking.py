"""Conversations with tools: requests, calls, results, and what is said of those."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scripts.demo import library, values, words
from scripts.demo.designs import Design, design, designed
from scripts.demo.values import spoken

if TYPE_CHECKING:
    from random import Random

NO_TOOL = "None of my tools can do that."
SYSTEMS = (
    "You are a helpful assistant.", "You are a helpful assistant with tools.", "You work for a small shop.", "Answer briefly.", "You help people at home.",
    "Use the tools where they fit.", "You are the assistant of an office.", "Be kind.", "You answer the phone of a workshop.", "You are polite and quick.",
    "You belong to a club and help its members.", "Call a function if one fits, and none if not.",
)  # fmt: skip
ASKING = (
    "{vp}.", "{vp}", "Please {vp}.", "please {vp}", "Can you {vp}?", "Could you {vp}?", "Could you please {vp}?", "I need you to {vp}.",
    "I want to {vp}.", "I would like to {vp}.", "I'd like to {vp}.", "Help me {vp}.", "Hi, {vp} please.", "Hey, can you {vp}?", "Now {vp}.",
    "We have to {vp}.", "We need to {vp} today.", "Would you {vp}?", "Would you mind? I have to {vp}.", "Let's {vp}.", "{vp}, please.",
    "{vp}, thank you.", "You should {vp}.", "It is time to {vp}.", "My boss wants me to {vp}.", "Hello! Please {vp}.", "Go ahead and {vp}.",
    "Quick: {vp}.", "I forgot to {vp}.", "Can I {vp}?", "How do I {vp}? Do it for me.", "Next, {vp}.", "Then {vp}.", "Is it possible to {vp}?",
    "Do me a favor and {vp}.", "I was asked to {vp}.", "Don't forget to {vp}.", "Time to {vp}!", "Ok, {vp}.", "Right now, {vp}.",
)  # fmt: skip
WANTING = (
    "What is the {np}?", "What's the {np}?", "What about the {np}?", "I need the {np}.", "I need a {np}.", "I want a {np}.", "Where is the {np}?",
    "How is the {np}?", "Is there a {np}?", "Are there any {np}?", "Do you know the {np}?", "Which {np} is there?", "Any {np}?", "{np}?", "{np}",
    "The {np}, please.", "Who knows the {np}?", "Give me the {np}.", "Show me the {np}.", "Tell me the {np}.", "I am looking for a {np}.",
    "A {np}, please.", "Got a {np}?", "What do you have on the {np}?", "I'm curious about the {np}.", "How much is the {np}?", "Let me see the {np}.",
    "We need a {np}.", "Could I have the {np}?", "May I get a {np}?", "My friend asks about the {np}.", "There should be a {np}.",
    "Somebody has to see to the {np}. Can you?", "The {np} needs to be done. Please do it.", "The {np} is what I am after.", "Take care of the {np}.",
    "It's about the {np}. Can you handle that?", "We were told to ask for the {np}.", "Sort out the {np} for me.", "I have a question about the {np}.",
    "Deal with the {np}, would you?", "It is the {np} that we need.", "Bring the {np}.", "Please see that the {np} happens. Can you do it?", "A {np} is missing.",
)  # fmt: skip
TAILS = (
    "",
    "",
    "",
    "",
    "",
    "",
    " Thanks!",
    " Thank you.",
    " It is urgent.",
    " No rush.",
    " I am in a hurry.",
    " Thanks a lot.",
)


def request(random: Random, tool: Design, *, is_alone: bool = True) -> tuple[str, dict[str, Any]]:
    """What somebody says who wants `tool`, and the arguments in it: all that are required, some of the rest.

    is_alone: no other tool is for the same thing."""
    phrases: list[str] = []
    given: dict[str, Any] = {}
    for one in tool.parameters:
        if one.required or random.random() < 0.5:
            new = one.values(random)
            phrases.append(one.phrase(random, new))
            given |= new
    random.shuffle(phrases)
    joined = (" " if random.random() < 0.7 else ", ").join(phrases)
    thing = tool.thing if random.random() < 0.85 else f"{tool.thing}s"
    if random.random() < 0.25:
        thing = f"{random.choice(words.ADJECTIVES)} {thing}"
    verb = random.choice(words.VERBS[tool.verb])
    if is_alone and random.random() < 0.25:  # the thing must tell, since people do not know the tool's verb
        verb = random.choice((values.word(random), random.choice(words.VERBS[random.choice(list(words.VERBS))])))
    return _worded(random, verb, thing, joined) + random.choice(TAILS), given


def _worded(random: Random, verb: str, thing: str, joined: str) -> str:
    tail = f" {joined}" if joined else ""
    if joined and random.random() < 0.1:  # what it is about comes first
        text = f"{joined}: {random.choice(('', verb + ' '))}{random.choice(('the ', 'a ', ''))}{thing}"
    elif joined and random.random() < 0.15:
        text = random.choice(WANTING).format(np=thing) + " " + joined.capitalize()[:1] + joined[1:] + "."
    elif random.random() < 0.6:
        text = random.choice(ASKING).format(
            vp=f"{verb} {random.choice(('the ', 'a ', 'my ', 'our ', ''))}{thing}{tail}"
        )
    else:
        text = random.choice(WANTING).format(np=thing + tail)
    return text if random.random() < 0.1 else text[:1].upper() + text[1:]


def result(random: Random) -> tuple[dict[str, Any], str]:
    """What a tool returns, and the sentence that states it."""
    entries = {values.key(random): values.anything(random) for _ in range(random.choice((1, 1, 2, 2, 3)))}
    parts = [
        f"the {spoken(name)} is {json.dumps(value) if not isinstance(value, str) else value}"
        for name, value in entries.items()
    ]
    said = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    return entries, said[:1].upper() + said[1:] + "."


def conversation(random: Random, level: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Messages, the last of them the assistant's, and the tools. `level` from 0, a short one, to 1, as they may be."""
    count = random.randint(1, 1 + round(3 * level))
    kit = _Everyday(random, count) if random.random() < 0.75 else _MadeUp(random, count, 1 + round(2 * level))
    messages: list[dict[str, Any]] = []
    for tool in _order(random, len(kit.definitions)):
        messages += _refused(kit.other()) if tool is None else _answered(random, *kit.asked(tool))
    return messages, kit.definitions


def _order(random: Random, count: int) -> list[int | None]:
    """Which of so many tools are asked for, each at most twice; None for one that is not there."""
    turns: list[int | None] = [*range(count), None]
    random.shuffle(turns)
    if random.random() < 0.3:
        turns += random.sample(turns, random.randint(1, len(turns)))
    return turns[: random.choice((1, 2, 3, 4, 5))]


class _Everyday:
    """Tools of the library."""

    def __init__(self, random: Random, count: int) -> None:
        self._random, self._tools = random, library.some(random, count)
        self.definitions = [tool.definition for tool in self._tools]

    def asked(self, place: int) -> tuple[str, str, dict[str, Any]]:
        """The tool's name, what somebody says who wants it, and the arguments in it."""
        tool = self._tools[place]
        return tool.name, *self._worded(tool)

    def other(self) -> str:
        """What somebody says who wants none of them."""
        return self._worded(library.missing(self._random, self._tools))[0]

    def _worded(self, tool: library.LibraryTool) -> tuple[str, dict[str, Any]]:
        random = self._random
        mark, text, given = tool.request(random)
        if mark == ">":
            text = random.choice(ASKING).format(vp=text)
        elif mark == "?":
            text = random.choice(WANTING).format(np=text.removeprefix("the ").removeprefix("a ").removeprefix("an "))
        text += random.choice(TAILS)
        return (text if random.random() < 0.1 else text[:1].upper() + text[1:]), given


class _MadeUp:
    """Tools that are made up on the spot."""

    def __init__(self, random: Random, count: int, most: int) -> None:
        self._random, self._tools = random, _tools(random, count, most)
        self.definitions = [tool.definition for tool in self._tools]

    def asked(self, place: int) -> tuple[str, str, dict[str, Any]]:
        tool = self._tools[place]
        is_alone = not any(other.thing == tool.thing for other in self._tools if other is not tool)
        text, given = request(self._random, tool, is_alone=is_alone)
        return tool.name, text, {name: given[name] for one in tool.parameters for name in one.names if name in given}

    def other(self) -> str:
        missing = design(self._random, {part for tool in self._tools for part in tool.thing.split()}, 2)
        return request(self._random, missing)[0]


def _tools(random: Random, count: int, most: int) -> list[Design]:
    tools: list[Design] = []
    for _ in range(count):
        if tools and random.random() < 0.15:  # another verb for the same thing
            other = random.choice(tools)
            verb = random.choice([verb for verb in words.VERBS if not _alike(verb, other.verb)])
            new = designed(random, verb, other.thing, most)
        else:
            new = design(random, {part for tool in tools for part in tool.thing.split()}, most)
        if new.name not in [tool.name for tool in tools]:
            tools.append(new)
    return tools


def _alike(verb: str, other: str) -> bool:
    return bool({*words.VERBS[verb]} & {*words.VERBS[other]})


def _refused(text: str) -> list[dict[str, Any]]:
    return [user(text), assistant(NO_TOOL)]


def _answered(random: Random, name: str, text: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    call = {"role": "assistant", "content": None, "tool_calls": [{"name": name, "arguments": arguments}]}
    returned, said = result(random)
    content = json.dumps(returned) if random.random() < 0.6 else returned
    return [user(text), call, {"role": "tool", "name": name, "content": content}, assistant(said)]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}
