"""Tools that are made up on the spot: what they do, their parameters, and how a request says those."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.demo import kinds, values, words
from scripts.demo.values import spoken

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

# names -> how their values are made, and how a request says them; {0} and {1} are the values.
PAIRS = {
    ("origin", "destination"): (values.city, ("from {0} to {1}",)),
    ("from", "to"): (values.city, ("from {0} to {1}",)),
    ("departure", "arrival"): (values.city, ("from {0} to {1}", "leaving {0} for {1}")),
    ("from_currency", "to_currency"): (values.currency, ("from {0} to {1}", "from {0} into {1}")),
    ("start_time", "end_time"): (values.time, ("from {0} to {1}", "between {0} and {1}", "from {0} until {1}")),
    ("sender", "receiver"): (values.person, ("from {0} to {1}",)),
    ("min_price", "max_price"): (values.large, ("between {0} and {1}", "from {0} to {1}")),
    ("width", "height"): (values.small, ("{0} wide and {1} high", "with width {0} and height {1}")),
}
CHOICES = {
    "unit": ("celsius fahrenheit kelvin", ("in {0}",)),
    "priority": ("low medium high urgent", ("with {0} priority", "with priority {0}")),
    "size": ("small medium large", ("in size {0}", "in {0}")),
    "status": ("open closed pending done", ("with status {0}", "that are {0}")),
    "format": ("pdf csv json xml html", ("as {0}", "in {0} format")),
    "mode": ("fast slow quiet normal eco", ("in {0} mode",)),
    "category": ("books music sport food travel news", ("in the category {0}", "in {0}")),
    "level": ("easy medium hard", ("at level {0}", "at the {0} level")),
    "sort": ("price name date rating", ("sorted by {0}",)),
    "class": ("economy business first", ("in {0} class",)),
    "gender": ("male female other", ("for a {0}",)),
    "state": ("on off", ("switched {0}", "turned {0}")),
}
BY_NAME = (
    "with {n} {0}", "{n} {0}", "where the {n} is {0}", "the {n} is {0}", "with {0} as the {n}", "with a {n} of {0}", "and {n} {0}",
    "using {n} {0}", "the {n} should be {0}", "{n}: {0}", "with the {n} {0}", "for {n} {0}", "({n} {0})", "having {n} {0}",
    "the {0} {n}", "with the {0} {n}", "in the {0} {n}", "at the {0} {n}", "using the {0} {n}", "from the {0} {n}", "for the {0} {n}", "{0} {n}", "to {n} {0}",
    "with {0} {n}", "of {n} {0}", "in {n} {0}", "to {0}", "from {0}", "under {0}", "whose {n} is {0}", "on the {n} {0}", "by the {n} {0}", "its {n} being {0}",
)  # fmt: skip

EXPLAINED = (
    "The {w} of it", "{w}", "The {w}", "the {w} to use", "The {w} of the {m}", "The {w} for this {m}", "Which {w} it has", "What {w} is wanted",
    "{w} of the request", "The {w}, as given", "A {w}", "Its {w}", "The {w} that is meant",
)  # fmt: skip


DESCRIPTIONS = (
    "{V} a {n}", "{V} the {n}", "{V} {n}s", "{V} a {n}.", "{V} the {n} of a {p}", "{V} a {n} by {p}", "{V} a {n} with a {p}.",
    "{V}s a {n}", "{V}s the {n} for a {p}.", "Use this to {v} a {n}.", "A tool to {v} the {n}", "{V} information about a {n}",
    "Lets the user {v} a {n}.", "{V} one {n}", "This function can {v} a {n}.", "{N} service: {v} a {n}", "{N}: {v}", "{V} any {n} and {m}",
    "{V} a {n} in the {m}.", "{V} the {n} from the {m} system", "Returns the {n}.", "The {n} of a given {p}", "Current {n}", "{N} tool",
    "{V} a {n} and {w} the {m}", "{W} the {m} of a {n}", "{W} out about a {n}", "When you need to {w} a {n}", "{N} {m}s", "Everything on a {n}: {w}, {v}",
    "{V} a {n} for somebody", "{V} a {n} at a {m}, with its {p}", "{W} a {m} with the {n}", "The {n}, if there is one", "Where a {n} is", "How a {n} is {w}",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument, or two that are said in one breath. `said`: how a request says them, {0} and {1} are the values."""

    names: tuple[str, ...]
    schemas: tuple[dict[str, Any], ...]
    make: Callable[[Random], Any]
    said: tuple[str, ...]
    required: bool

    def values(self, random: Random) -> dict[str, Any]:
        return {name: self.make(random) for name in self.names}

    def phrase(self, random: Random, values: dict[str, Any]) -> str:
        text = random.choice(self.said)
        if '"' not in text and random.random() < 0.08:
            text = text.replace("{0}", random.choice(('"{0}"', "'{0}'")))
        return text.format(*values.values(), n=spoken(self.names[0]))


@dataclass(frozen=True, slots=True)
class Design:
    """A tool that was made up: it does `verb`, of words.VERBS, to `thing`."""

    name: str
    verb: str
    thing: str
    definition: dict[str, Any]
    parameters: tuple[Parameter, ...]


def design(random: Random, avoid: set[str], most: int) -> Design:
    """A tool whose thing is none of `avoid`, with at most `most` parameters."""
    thing = _thing(random)
    while avoid & set(thing.split()):
        thing = _thing(random)
    return designed(random, random.choice(list(words.VERBS)), thing, most)


def designed(random: Random, verb: str, thing: str, most: int) -> Design:
    parameters = _parameters(random, most)
    properties = {name: schema for one in parameters for name, schema in zip(one.names, one.schemas, strict=True)}
    required = [name for one in parameters if one.required for name in one.names]
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required or random.random() < 0.5:
        schema["required"] = required
    other = random.choice(words.NOUNS)
    filled = {
        "v": verb,
        "V": verb.capitalize(),
        "n": thing,
        "N": thing.capitalize(),
        "m": other,
        "w": values.word(random),
    }
    filled["W"] = filled["w"].capitalize()
    filled["p"] = spoken(next(iter(properties), other))
    description = random.choice(DESCRIPTIONS).format(**filled)
    name = _name(random, verb, thing)
    definition: dict[str, Any] = {"name": name, "description": description, "parameters": schema}
    if random.random() < 0.5:
        definition = {"type": "function", "function": definition}
    return Design(name, verb, thing, definition, parameters)


def _thing(random: Random) -> str:
    first = words.coined(random) if random.random() < 0.4 else random.choice(words.NOUNS)
    return f"{first} {random.choice(words.NOUNS)}" if random.random() < 0.3 else first


def _name(random: Random, verb: str, thing: str) -> str:
    parts = thing.split()
    if len(parts) == 2 and random.random() < 0.3:
        parts = [random.choice(parts)]
    named = [*parts, verb] if random.random() < 0.15 else [verb, *parts]
    form = random.random()
    if form < 0.1:
        return named[0] + "".join(part.capitalize() for part in named[1:])
    if form < 0.15:
        return parts[0]
    return "_".join(named)


def _parameters(random: Random, most: int) -> tuple[Parameter, ...]:
    made: list[Parameter] = []
    for _ in range(0 if random.random() < 0.06 else random.randint(1, most)):
        one = _parameter(random)
        if not {*one.names} & {name for other in made for name in other.names}:
            made.append(one)
    return tuple(made)


def _parameter(random: Random) -> Parameter:
    make: Callable[[Random], Any]
    kind, required = random.random(), random.random() < 0.75
    if kind < 0.1:
        names, (make, said) = random.choice(list(PAIRS.items()))
        schemas = tuple(_described(random, name, {"type": values.type_of(make(random))}) for name in names)
        return Parameter(names, schemas, make, said, required)
    if kind < 0.25:
        name, said, make, schema = _option(random)
    elif kind < 0.7:
        name, one = kinds.kind(random)
        make, said = one.make, one.phrases
        schema = {"type": values.type_of(make(random))}
    else:
        name, said, make = values.key(random), BY_NAME, random.choice(values.TEXTS + values.NUMBERS)
        schema = {"type": values.type_of(make(random))}
    if random.random() < 0.1:
        return _explained(random, Parameter((name,), (schema,), make, BY_NAME, required))
    said = BY_NAME if random.random() < 0.25 else said
    return Parameter((name,), (_described(random, name, schema),), make, said, required)


def _explained(random: Random, one: Parameter) -> Parameter:
    """Called by a word that only its description has, and by which a request says it."""
    word = values.word(random)
    schema = {**one.schemas[0], "description": random.choice(EXPLAINED).format(w=word, m=random.choice(words.NOUNS))}
    said = tuple(phrase.replace("{n}", word) for phrase in BY_NAME)
    return Parameter(one.names, (schema,), one.make, said, one.required)


def _option(random: Random) -> tuple[str, tuple[str, ...], Callable[[Random], str], dict[str, Any]]:
    name, (texts, said) = random.choice(list(CHOICES.items()))
    options = texts.split() if random.random() < 0.5 else list(dict.fromkeys(values.word(random) for _ in range(3)))
    return name, said, lambda random: random.choice(options), {"type": "string", "enum": options}


def _described(random: Random, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    if random.random() < 0.4:
        return schema
    forms = (
        "The {n}",
        "{N}",
        "the {n} to use",
        "{N} of the request",
        "The {n}.",
        "{n}",
        "Which {n}",
        "Name of the {n}",
        "The {n} of the {m}",
    )
    filled = {"n": spoken(name), "N": spoken(name).capitalize(), "m": random.choice(words.NOUNS)}
    return {**schema, "description": random.choice(forms).format(**filled)}
