"""Conversations about JSON: a text, a schema that stands in the prompt, and the document that the text gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scripts.demo import kinds, values, words
from scripts.demo.asking import assistant, user
from scripts.demo.library import LibraryText
from scripts.demo.opinions import Opinion, filled
from scripts.demo.values import spoken

if TYPE_CHECKING:
    from random import Random

# Families of texts: how each key's value is made, and sentences that hold some of them.
FAMILIES: tuple[tuple[dict[str, Any], tuple[str, ...]], ...] = (
    (
        {"name": values.person, "age": values.small, "city": values.city, "job": values.job, "email": values.email},
        (
            "{name} is {age} years old.", "{name} is {age}.", "{name}, {age}, lives in {city}.", "{name} lives in {city}.",
            "{name} from {city} works as a {job}.", "Meet {name}, a {job} of {age} years.", "{name} ({age}) is from {city}.",
            "I am {name} and I am {age} years old.", "My name is {name}, I am a {job} in {city}.", "{name} can be reached at {email}.",
            "Write to {name} at {email}.", "The {job} {name} moved to {city} at the age of {age}.", "{name} turned {age} today.",
            "In {city} lives {name}, who is {age}.", "{name} works as a {job}.", "{name}, {job}, {email}.", "This is {name}, aged {age}.",
            "A {age} year old {job} named {name} came from {city}.", "Her name is {name}, she is {age} and lives in {city}.",
        ),
    ),
    (
        {"item": values.product, "quantity": values.small, "price": values.decimal, "customer": values.person, "order_id": values.identifier},
        (
            "{customer} ordered {quantity} {item} for {price} each.", "Order {order_id}: {quantity} {item} for {customer}.",
            "I would like {quantity} {item} at {price}.", "{quantity} x {item}, {price} each.", "{customer} bought {quantity} {item}.",
            "{customer} paid {price} for {quantity} {item}.", "Please send {quantity} {item} to {customer}.", "The price of {item} is {price}.",
            "Order {order_id} of {customer} has {quantity} {item} for {price}.", "{quantity} pieces of {item} were sold to {customer}.",
            "Send {customer} {quantity} of the {item}, order {order_id}.", "We sold the {item} for {price} to {customer}.",
        ),
    ),
    (
        {"title": values.title, "date": values.date, "time": values.time, "place": values.city, "organizer": values.full_name},
        (
            "{title} takes place on {date} in {place}.", "{title} starts at {time} on {date}.", "Join us for {title} in {place} on {date} at {time}.",
            "{organizer} invites you to {title} on {date}.", "On {date} at {time}: {title} in {place}.", "The event {title} is on {date}.",
            "{organizer} hosts {title} in {place}, {date}, {time}.", "{title} will be held in {place} at {time}.", "Do not miss {title} on {date}!",
            "{title}, organized by {organizer}, begins at {time}.", "See you in {place} on {date} for {title}.",
        ),
    ),
    (
        {"street": values.street, "city": values.city, "zip": values.phone, "country": values.city, "name": values.person},
        (
            "{name} lives at {street} in {city}.", "{street}, {zip} {city}, {country}.", "Ship it to {name}, {street}, {city}.",
            "The address is {street}, {city}, {zip}.", "My new home is {street} in {city}, {country}.", "Send the letter to {street}, {zip} {city}.",
            "{name}, {street}, {city}, {country}", "We moved from {country} to {street}, {city}.", "You find {name} at {street} in {city}.",
        ),
    ),
    (
        {"sender": values.person, "recipient": values.person, "subject": values.phrase, "date": values.date, "phone": values.phone},
        (
            '{sender} wrote to {recipient} about "{subject}" on {date}.', 'From {sender} to {recipient}: {subject}', '{recipient} got "{subject}" from {sender}.',
            "Call {recipient} at {phone}.", '{sender} sent {recipient} a note, "{subject}", on {date}.', "The number of {recipient} is {phone}.",
        ),
    ),
)  # fmt: skip

STATED = (
    "The {k} is {v}.", "The {k} was {v}.", "Its {k} is {v}.", "{K}: {v}.", "{K}: {v}", "It has the {k} {v}.", "The {k} of it is {v}.", "We noted {v} as the {k}.",
    "{K} {v}.", "There is a {k}, {v}.", "{v} is the {k}.", "With {k} {v}.", "The {k} should be {v}.", "It comes with a {k} of {v}.", "{K} = {v}.", "The {k} will be {v}.",
)  # fmt: skip
JOINED = (
    "the {k} is {v}",
    "{k} {v}",
    "{k}: {v}",
    "a {k} of {v}",
    "the {k} {v}",
    "{v} as {k}",
    "its {k} is {v}",
    "{k} is {v}",
    "with the {k} {v}",
    "{k} = {v}",
)
OPENINGS = (
    "There is a {n} with ", "A {n} has ", "This {n} has ", "We have a {n}: ", "{N}: ", "The {n} came with ", "Our {n} shows ", "Note: ",
    "For the {n} we know ", "About the {n}: ", "", "I saw a {n} with ", "Yesterday a {n} arrived, ", "The new {n}: ", "Here is the {n}: ",
)  # fmt: skip
LINKS = "and with for in on to from has had brought took got made is was near by about over under at of wants saw gave met".split()
SCENES = (
    "there is a {t}", "we have a {t}", "the {t} is", "the {t} was sold", "a {t} was seen", "I booked a {t}", "please note the {t}", "they sent the {t}", "the {t}", "a {t}",
    "he bought a {t}", "she found the {t}", "we plan a {t}", "the {t} was made", "the {t} takes place", "our {t} begins", "the new {t} will be", "I saw the {t}", "{t}",
    "the {t} arrived", "a {t} got lost", "the {t} was written", "everybody likes the {t}", "they talked about the {t}", "my {t} is", "this {t} comes", "he left the {t}",
)  # fmt: skip

INSTRUCTIONS = (
    "Answer in JSON with this schema: {s}", "Extract the data as JSON. Schema: {s}", "Reply with JSON that fits the schema {s}", "Return JSON only, by this JSON Schema:\n{s}",
    "You extract facts. Use this schema: {s}", "JSON schema: {s}", "Fill in the schema {s} from the text.", "Give me a JSON document for {s}", "Schema:\n{s}",
    "Write a JSON object. It must match {s}", "Convert the text into JSON following {s}", "Output JSON. The schema is {s}", "{s}", "Turn what I say into JSON: {s}",
    "The user sends a text. Answer with a JSON object of the form {s}", "Pull the fields out of the text. Fields: {s}",
)  # fmt: skip
BARE = (
    "Extract the data as JSON.",
    "Answer in JSON.",
    "",
    "Who or what is it?",
    "Give me JSON.",
    "Fill in the fields.",
    "Summarize as JSON.",
)


def conversation(random: Random, level: float) -> list[dict[str, Any]]:
    """Messages, the last of them the document. `level` from 0, few keys, to 1."""
    sample = random.choice(
        (_Stated, _Stated, _Scene, _Family, LibraryText, LibraryText, LibraryText, LibraryText, Opinion)
    )
    if random.random() < 0.6:  # one schema, several texts
        keys = sample(random, level)
        texts = [keys(random) for _ in range(random.randint(2, 6))]
        schema = _schema(random, texts[0][1], keys)
        turns = [message for text, value in texts for message in (user(text), _document(value))]
        system = _instruction(random, schema)
        return [{"role": "system", "content": system}, *turns] if system else turns
    keys = sample(random, level)
    text, value = keys(random)
    asked = _instruction(random, _schema(random, value, keys))
    form = random.choice(
        ("{a}\n\n{t}", "{a}\n{t}", "{a}\nText: {t}", "{t}\n\n{a}", "{t}\n{a}", "Text: {t}\n{a}", "{a} Text: {t}")
    )
    return [user(form.format(a=asked, t=text).strip()), _document(value)]


def _document(value: dict[str, Any]) -> dict[str, Any]:
    return assistant(json.dumps(value, ensure_ascii=False))


def _instruction(random: Random, schema: dict[str, Any]) -> str:
    if random.random() < 0.1:
        return random.choice(BARE)
    text = json.dumps(schema, indent=2 if random.random() < 0.1 else None)
    return random.choice(INSTRUCTIONS).format(s=text)


def _schema(random: Random, value: dict[str, Any], keys: Any) -> dict[str, Any]:
    properties = getattr(keys, "properties", None)
    if properties is None:
        properties = {key: _property(random, key, one, keys.kinds.get(key)) for key, one in value.items()}
    schema: dict[str, Any] = {"type": "object", "properties": properties, "required": list(value)}
    if random.random() < 0.5:
        schema["additionalProperties"] = False
    return schema


def _property(random: Random, key: str, value: Any, options: list[str] | None) -> dict[str, Any]:
    if isinstance(value, list):
        schema: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
    else:
        schema = {"type": values.type_of(value)}
    if options:
        schema = {"type": "string", "enum": options} if random.random() < 0.7 else {"enum": options}
    if random.random() < 0.1:
        schema["description"] = f"The {spoken(key)}"
    return schema


class _Stated:
    """Keys that the text names beside their values."""

    def __init__(self, random: Random, level: float) -> None:
        self.kinds: dict[str, Any] = {}
        self.makers: dict[str, Any] = {}
        for _ in range(random.randint(1, 2 + round(3 * level))):
            self._add(random, values.key(random))

    def _add(self, random: Random, key: str) -> None:
        kind = random.random()
        if kind < 0.1:
            options = list(dict.fromkeys(values.word(random) for _ in range(random.randint(2, 4))))
            self.kinds[key] = options
            self.makers[key] = lambda random: random.choice(options)
        elif kind < 0.2:
            make = random.choice(values.TEXTS[:3])
            self.makers[key] = lambda random: [make(random) for _ in range(random.randint(2, 3))]
        else:
            self.makers[key] = random.choice(values.TEXTS + values.NUMBERS)

    def __call__(self, random: Random) -> tuple[str, dict[str, Any]]:
        value = {key: make(random) for key, make in self.makers.items()}
        entries = list(value.items())
        if random.random() < 0.5:
            random.shuffle(entries)
        said = [(spoken(key), listed(random, one)) for key, one in entries]
        noun = random.choice(words.NOUNS)
        if random.random() < 0.25:
            text = _flowing(random, said)
        elif random.random() < 0.5:
            parts = [random.choice(STATED).format(k=key, K=key.capitalize(), v=one) for key, one in said]
            text = " ".join(parts)
        else:
            parts = [random.choice(JOINED).format(k=key, v=one) for key, one in said]
            joined = random.choice((", ".join(parts), "; ".join(parts), _and(parts)))
            text = random.choice(OPENINGS).format(n=noun, N=noun.capitalize()) + joined + "."
        return filled(random, text[:1].upper() + text[1:]), value


def _flowing(random: Random, said: list[tuple[str, str]]) -> str:
    """A sentence in which each value stands beside its key, such as "The owner Ann paints the door D7 with the color red."."""
    parts = [
        random.choice(
            ("the {k} {v}", "the {k} {v}", "{k} {v}", "{v}, the {k},", "a {k} of {v}", "{v} ({k})", "the {k}, {v},")
        ).format(k=key, v=one)
        for key, one in said
    ]
    text = parts[0]
    for part in parts[1:]:
        text += " " + random.choice((*LINKS, f"{random.choice(list(words.VERBS))}s")) + " " + part
    return text.rstrip(",") + random.choice((".", ".", "!", ""))


class _Scene:
    """Keys called after kinds of values, each kind once, so that a sentence need not name them."""

    def __init__(self, random: Random, level: float) -> None:
        self.kinds: dict[str, Any] = {}
        self.entries: dict[str, kinds.Kind] = {}
        self.thing = values.spoken(values.key(random))
        for one in random.sample(kinds.KINDS, random.randint(1, 2 + round(3 * level))):
            key = random.choice(one.names)
            if key not in self.entries:
                self.entries[key] = one

    def __call__(self, random: Random) -> tuple[str, dict[str, Any]]:
        value = {key: one.make(random) for key, one in self.entries.items()}
        said = [random.choice(one.phrases).format(value[key], n=spoken(key)) for key, one in self.entries.items()]
        random.shuffle(said)
        text = (
            random.choice(SCENES).format(t=self.thing)
            + " "
            + random.choice((" ", " ", ", ")).join(said)
            + random.choice((".", ".", ""))
        )
        if len(said) > 2 and random.random() < 0.4:  # in two sentences
            text = random.choice(SCENES).format(t=self.thing) + " " + " ".join(said[:2]) + ". "
            text += (
                random.choice(("It is ", "It was ", "This is ", "Also ", "It comes ", "")) + " ".join(said[2:]) + "."
            )
        return filled(random, text[:1].upper() + text[1:]), value


class _Family:
    """Keys of a family of texts, whose sentences need not name them."""

    def __init__(self, random: Random, level: float) -> None:
        self.kinds: dict[str, Any] = {}
        self.makers, sentences = random.choice(FAMILIES)
        self.sentences = [one for one in sentences if level > 0.5 or one.count("{") < 4]
        self.first = random.choice(self.sentences)
        keys = [key for key in self.makers if f"{{{key}}}" in self.first]
        if random.random() < 0.3 and len(keys) > 1:
            keys.remove(random.choice(keys))
        random.shuffle(keys)
        self.keys = keys

    def __call__(self, random: Random) -> tuple[str, dict[str, Any]]:
        made = {key: make(random) for key, make in self.makers.items()}
        able = [one for one in self.sentences if all(f"{{{key}}}" in one for key in self.keys)]
        return filled(random, random.choice(able).format(**made)), {key: made[key] for key in self.keys}


def listed(random: Random, value: Any) -> str:
    """A value as a text says it."""
    if not isinstance(value, list):
        text = value if isinstance(value, str) else json.dumps(value)
        return f'"{text}"' if isinstance(value, str) and random.random() < 0.08 else text
    return random.choice((", ".join(value), _and(value)))


def _and(parts: list[str]) -> str:
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]
