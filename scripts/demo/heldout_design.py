"""How the lists of the held-out exam are read: tools, families of texts, and which words say what a text is about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from scripts.demo.heldout_texts import FAMILIES
from scripts.demo.heldout_tools import TOOLS
from scripts.demo.heldout_words import MOODS

DO = (
    "Please {}.",
    "Can you {}?",
    "Could you {}, please?",
    "I need you to {}.",
    "{}.",
    "I would like to {}.",
    "Would you kindly {}?",
    "Hi there! I want to {}.",
    "It would help me a lot if you could {}.",
    "Go ahead and {}.",
    "Is it possible to {}?",
    "We have to {}. Can you do that?",
    "Before I forget it: {}.",
)
ASK = (
    "What is {}?",
    "Tell me {}.",
    "Do you know {}?",
    "I need {}.",
    "I am curious about {}.",
    "{}, please.",
    "Could you tell me {}?",
    "Let me know {}.",
)

# Words that say nothing of what a request is about, and those of the sentences above.
EMPTY = """
about and are been before but can could curious does for forget from give get has have help hers him his how into its
kindly know let like lot make many need not one our please possible say see she some such tell than that the their them
then there they this use want was what when where whether which who whom whose why will with would you your ahead out
"""
STOP = frozenset(EMPTY.split())


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter of a tool, or a key of a text."""

    name: str
    kind: str
    description: str
    required: bool = True

    @property
    def schema(self) -> dict[str, Any]:
        if self.kind.startswith("many "):
            return {"type": "array", "items": {"type": "string"}}
        if self.kind == "mood":
            return {"type": "string", "enum": list(MOODS)}
        if "/" in self.kind:
            return {"type": "string", "enum": self.kind.split("/")}
        if self.kind[0].isdigit():
            return {"type": "number" if "." in self.kind else "integer"}
        return {"type": "number" if self.kind == "amount" else "string"}


@dataclass(frozen=True, slots=True)
class Design:
    """A tool of which cases are made."""

    topic: str
    name: str
    definition: dict[str, Any]
    fields: tuple[Field, ...]
    returns: tuple[tuple[str, str], ...]
    phrases: tuple[tuple[tuple[str, ...], str], ...]  # sentences to put it in, and the phrase

    @property
    def verb(self) -> str:
        return re.split(r"_|(?=[A-Z])", self.name)[0]

    @property
    def words(self) -> frozenset[str]:
        """All that its definition says, with the names of the parameters and the words they choose from."""
        said = [self.name, self.definition["description"]]
        for field in self.fields:
            said += [field.name, field.description, *field.schema.get("enum", ())]
        return content_words(" ".join(said))


@cache
def content_words(text: str) -> frozenset[str]:
    """The words of a text, or of a name such as `find_train` or `findTrain`, that say what it is about."""
    parts = re.findall(r"[a-z]{3,}", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower())
    singular = [word[:-1] if len(word) > 3 and word[-1] == "s" and word[-2] != "s" else word for word in parts]
    return frozenset(word for word in singular if word not in STOP)


def _fields(line: str) -> tuple[Field, ...]:
    found = []
    for part in line.split("; "):
        name, kind, rest = part.split(" ", 2)
        if kind == "many":
            more, rest = rest.split(" ", 1)
            kind = f"many {more}"
        found.append(Field(name.removesuffix("?"), kind, rest, not name.endswith("?")))
    return tuple(found)


def _designs() -> tuple[Design, ...]:
    found = []
    for topic in TOOLS.strip().removeprefix("@").split("\n@"):
        title, *lines = topic.split("\n")
        starts = [at for at, line in enumerate(lines) if " | " in line]
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            found.append(_design(title, *lines[start:end]))
    return tuple(found)


def _design(topic: str, head: str, parameters: str, *phrases: str) -> Design:
    name, description, returns = head.split(" | ")
    fields = _fields(parameters.removeprefix(": "))
    schema = {
        "type": "object",
        "properties": {field.name: {**field.schema, "description": field.description} for field in fields},
        "required": [field.name for field in fields if field.required],
    }
    definition = {"name": name, "description": description, "parameters": schema}
    entries = [part.split(" ", 1) for part in returns.split(", ")]
    sentences = tuple((ASK if phrase[0] == "?" else DO, phrase[2:]) for phrase in phrases)
    return Design(topic, name, definition, fields, tuple((key, kind) for key, kind in entries), sentences)


def _families() -> tuple[tuple[tuple[Field, ...], tuple[str, ...]], ...]:
    found = []
    for family in FAMILIES.strip().removeprefix("@").split("\n@"):
        _, keys, *texts = family.split("\n")
        found.append((_fields(keys.removeprefix(": ")), tuple(text.removeprefix("> ") for text in texts)))
    return tuple(found)


DESIGNS = _designs()
DOCUMENTS = _families()
