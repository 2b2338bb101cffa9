"""Tools and texts out of everyday life, written by hand in `tools*.txt` and `families*.txt`: read, and varied so that
none is met twice in the same words."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.demo import values, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

HERE = Path(__file__).parent
KINDS = (
    "person first_name full_name city country date time street email phone url color job language currency product "
    "word phrase title"
)
MAKERS: dict[str, Callable[[Random], Any]] = {name: getattr(values, name) for name in KINDS.split()}
MAKERS["id"] = values.identifier
FIELD = re.compile(r"([A-Za-z_0-9/]+)(\?)? (list\((?:open\([^()]*\)|\w+)\)|(?:enum|open)\([^()]*\)|\S+) (.*)")
COINED = 0.35  # how often what is open is another word than the ones of the list
NEAR = 24  # tools that stand so near in the file may do each other's work


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter of a tool, or a key of a document."""

    names: tuple[str, ...]
    kind: str
    descriptions: tuple[str, ...]
    required: bool = True

    def value(self, random: Random) -> Any:
        if self.kind.startswith("list("):
            inner = Field(self.names, self.kind[5:-1], ())
            return list(dict.fromkeys(inner.value(random) for _ in range(random.choice((2, 2, 3)))))
        if self.kind in MAKERS:
            return MAKERS[self.kind](random)
        if self.kind.startswith(("enum(", "open(")):
            return self._named(random)
        low, high = self.kind.split("-")
        if "." not in self.kind:
            return random.randint(int(low), int(high))
        return random.randint(int(float(low) * 10), int(float(high) * 10)) / 10

    def _named(self, random: Random) -> str:
        known = random.choice(self.options)
        if self.kind.startswith("enum(") or random.random() > COINED:
            return known
        return values.title(random) if known[:1].isupper() else values.product(random)

    @property
    def options(self) -> list[str]:
        return [one.strip() for one in self.kind[5:-1].split(",")]

    def schema(self, random: Random, described: float) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "string"}
        if self.kind.startswith("list("):
            schema = {"type": "array", "items": {"type": "string"}}
        elif self.kind.startswith("enum("):
            schema["enum"] = self.options
        elif self.kind[0].isdigit():
            schema = {"type": "number" if "." in self.kind else "integer"}
        if random.random() < described:
            schema["description"] = random.choice(self.descriptions)
        return schema


@dataclass(frozen=True, slots=True)
class Entry:
    """A tool of the file. asked: the phrases behind ">", "?" and "!", with that mark in front."""

    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    fields: tuple[Field, ...]
    asked: tuple[str, ...]
    place: int


@dataclass(frozen=True, slots=True)
class Family:
    """Texts about one thing: its keys, and sentences that hold some of them."""

    fields: tuple[Field, ...]
    sentences: tuple[str, ...]


@cache
def tools() -> tuple[Entry, ...]:
    return tuple(_entry(block, place) for place, block in enumerate(_blocks("tools*.txt")))


@cache
def families() -> tuple[Family, ...]:
    return tuple(
        Family(tuple(_fields(lines[1])), tuple(line[2:] for line in lines[2:])) for lines in _blocks("families*.txt")
    )


def _blocks(pattern: str) -> Iterator[list[str]]:
    for path in sorted(HERE.glob(pattern)):
        for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8").strip()):
            yield block.split("\n")


def _entry(lines: list[str], place: int) -> Entry:
    names, *descriptions = (part.strip() for part in lines[0].split("|"))
    return Entry(tuple(names.split()), tuple(descriptions), tuple(_fields(lines[1])), tuple(lines[2:]), place)


def _fields(line: str) -> Iterator[Field]:
    for part in filter(None, (part.strip() for part in line[1:].split(";"))):
        found = FIELD.fullmatch(part)
        if found is None:
            raise ValueError(f"no field: {part}")
        names, optional, kind, described = found.groups()
        descriptions = tuple(text.strip() for text in described.split(" / "))
        yield Field(tuple(names.split("/")), kind, descriptions, optional is None)


class LibraryTool:
    """A tool of the library as one conversation has it: one of its names, and at times other words in all of it."""

    def __init__(self, random: Random, entry: Entry) -> None:
        self.place = entry.place
        described = random.choice((0.0, 0.9, 0.9, 0.9, 1.0))
        shown = [(field, random.choice(field.names), field.schema(random, described)) for field in entry.fields]
        name, description = random.choice(entry.names), random.choice(entry.descriptions)
        texts = [text for _, chosen, schema in shown for text in (chosen, schema.get("description", ""))]
        swap = _Swap(random, entry.asked, " ".join((name, description, *texts)))
        self.name = swap.name(name)
        self.fields = {field: swap.name(chosen) for field, chosen, _ in shown}
        self.asked = [(text[0], swap.text(text[2:])) for text in entry.asked]
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {swap.name(chosen): swap.schema(schema) for _, chosen, schema in shown},
        }
        required = [name for field, name in self.fields.items() if field.required]
        if required or random.random() < 0.5:
            schema["required"] = required
        self.definition: dict[str, Any] = {
            "name": self.name,
            "description": swap.text(description),
            "parameters": schema,
        }
        if random.random() < 0.5:
            self.definition = {"type": "function", "function": self.definition}

    def request(self, random: Random) -> tuple[str, str, dict[str, Any]]:
        """The mark of a phrase, the phrase, and the arguments that are in it, in the order of the schema."""
        given = {field: field.value(random) for field in self.fields if field.required or random.random() < 0.5}
        named = {field.names[0]: _said(value) for field, value in given.items()}
        mark, text = random.choice(self.asked)
        text = re.sub(r"\[([^\]]*\{(\w+)\}[^\]]*)\]", lambda found: found[1] if found[2] in named else "", text)
        text = re.sub(r"\{(\w+)\}", lambda found: named[found[1]], text)
        return mark, text, {self.fields[field]: value for field, value in given.items()}


class LibraryText:
    """Keys of a family, and texts that state them: as `extracting`'s other samples."""

    def __init__(self, random: Random, level: float) -> None:
        family = random.choice(families())
        picked = random.sample(family.sentences, random.choice((1, 1, 2) if level < 0.5 else (1, 2, 2, 3)))
        self.sentences, self.all = picked, family.sentences
        self.used = _keys(picked)
        fields = [field for field in family.fields if field.names[0] in self.used]
        if len(fields) > 2 and random.random() < 0.2:
            fields.remove(random.choice(fields))
        if random.random() < 0.5:
            random.shuffle(fields)
        self.every = family.fields
        self.fields = {field: random.choice(field.names) for field in fields}
        self.kinds = {name: field.options for field, name in self.fields.items() if field.kind.startswith("enum(")}
        described = random.choice((0.0, 0.0, 0.8, 1.0))
        self.properties = {name: field.schema(random, described) for field, name in self.fields.items()}

    def __call__(self, random: Random) -> tuple[str, dict[str, Any]]:
        made = {field: field.value(random) for field in self.every}
        said = {field.names[0]: _said(value) for field, value in made.items()}
        sentences = self._other(random)
        random.shuffle(sentences)
        text = " ".join(re.sub(r"\{(\w+)\}", lambda found: said[found[1]], one) for one in sentences)
        return text, {name: made[field] for field, name in self.fields.items()}

    def _other(self, random: Random) -> list[str]:
        """Sentences that state the keys: others than the first ones, if some can be found."""
        needed = {field.names[0] for field in self.fields}
        for _ in range(8):
            some = random.sample(self.all, len(self.sentences))
            if needed <= _keys(some):
                return some
        return list(self.sentences)


def _keys(sentences: list[str]) -> set[str]:
    return {key for one in sentences for key in re.findall(r"\{(\w+)\}", one)}


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value[:-1]) + " and " + value[-1] if len(value) > 1 else str(value[0])
    return str(value)


class _Swap:
    """Other words in place of some that a tool's phrases and its definition share, so that they are matched, and not
    known by heart."""

    def __init__(self, random: Random, phrases: tuple[str, ...], definition: str) -> None:
        self._other: dict[str, str] = {}
        if random.random() < 0.6:
            return
        known = _words(" ".join(phrases)) & _words(definition)
        for word in sorted(known - _common()):
            if random.random() < 0.5:
                new = values.word(random)
                self._other |= {word: new, f"{word}s": f"{new}s"}

    def schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {**schema, "description": self.text(schema["description"])} if "description" in schema else schema

    def text(self, text: str) -> str:
        return re.sub(r"\{\w+\}|[A-Za-z]+", self._put, text)

    def _put(self, found: re.Match[str]) -> str:
        word = found[0]
        new = self._other.get(word.lower())
        if new is None or word[0] == "{":
            return word
        return new.capitalize() if word[0].isupper() else new

    def name(self, name: str) -> str:
        """A name in snake_case or camelCase."""
        parts = re.findall(r"_|[A-Z]?[a-z0-9]+|[A-Z]+", name)
        return "".join(self._part(part) for part in parts)

    def _part(self, part: str) -> str:
        new = self._other.get(part.lower(), part)
        return new.capitalize() if part[:1].isupper() else new


def _words(text: str) -> set[str]:
    """Words of four letters and more, as they stand and out of names; none that stand in braces."""
    text = re.sub(r"\{\w+\}", " ", text)
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", text) if len(word) > 3}


@cache
def _common() -> set[str]:
    """Words that many phrases have, such as "please" and "with"."""
    counts = Counter(word for entry in tools() for word in _words(" ".join(entry.asked)))
    return {word for word, count in counts.items() if count > len(tools()) * 0.06}


def some(random: Random, count: int) -> list[LibraryTool]:
    """Tools of different names: some of them next to each other in the file, so nearly alike."""
    found: list[LibraryTool] = []
    while len(found) < count:
        place = random.randrange(len(tools()))
        if found and random.random() < 0.4:
            place = (random.choice(found).place + random.choice((-2, -1, 1, 2))) % len(tools())
        made = LibraryTool(random, tools()[place])
        if made.place not in [one.place for one in found] and made.name not in [one.name for one in found]:
            found.append(made)
    return found


def missing(random: Random, here: list[LibraryTool]) -> LibraryTool:
    """A tool that none of these can stand in for."""
    while True:
        made = LibraryTool(random, random.choice(tools()))
        apart = min((abs(made.place - one.place) for one in here), default=NEAR)
        if apart >= NEAR and not any(_nouns(made) & _nouns(one) for one in here):
            return made


def _nouns(tool: LibraryTool) -> set[str]:
    return _words(tool.name) - set(words.VERBS)
