"""Values that requests and texts hold, and that answers copy: each maker takes a source of chance."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from scripts.demo import words

if TYPE_CHECKING:
    from random import Random


def word(random: Random) -> str:
    """A lower-case word, coined in one of three cases."""
    if random.random() < 0.35:
        return words.coined(random)
    return random.choice(random.choice((words.NOUNS, words.COMMON, words.ADJECTIVES, words.PRODUCTS)))


def first_name(random: Random) -> str:
    if random.random() < 0.4:
        return words.coined(random).capitalize()
    return random.choice(words.NAMES)


def full_name(random: Random) -> str:
    return f"{first_name(random)} {_capital(random, words.SURNAMES)}"


def person(random: Random) -> str:
    return random.choice((first_name, full_name))(random)


def city(random: Random) -> str:
    name = _capital(random, words.CITIES)
    kind = random.random()
    if kind < 0.1:
        return random.choice(("New", "San", "Port", "Saint", "El", "Los", "North", "Old")) + " " + name
    return name


def _capital(random: Random, known: list[str]) -> str:
    """A name of the list, or a coined one."""
    return words.coined(random).capitalize() if random.random() < 0.4 else random.choice(known)


def country(random: Random) -> str:
    return _capital(random, words.COUNTRIES)


def date(random: Random) -> str:
    return f"{random.randint(1990, 2035)}-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}"


def time(random: Random) -> str:
    return f"{random.randint(0, 23):02d}:{random.choice((0, 5, 10, 15, 20, 30, 40, 45, 50, random.randint(0, 59))):02d}"


def small(random: Random) -> int:
    return random.randint(1, random.choice((9, 20, 99)))


def large(random: Random) -> int:
    return random.randint(1, 10 ** random.randint(2, 6))


def decimal(random: Random) -> float:
    """With one or two digits behind the point, the last of them not zero: so it is written one way."""
    places = random.choice((1, 2))
    digits = random.randint(1, 10 ** random.randint(1, 5)) * 10 + random.randint(1, 9)
    return float(digits / 10**places)


def identifier(random: Random) -> str:
    """Such as AB-1234, K7, 0043-X or q8f3k2."""
    letters = string.ascii_uppercase if random.random() < 0.8 else string.ascii_lowercase
    head = "".join(random.choice(letters) for _ in range(random.randint(1, 4)))
    tail = "".join(random.choice(string.digits) for _ in range(random.randint(1, 6)))
    form = random.choice(("{0}-{1}", "{0}-{1}", "{0}{1}", "{1}-{0}", "{0}_{1}", "#{1}", "{0}/{1}", "mixed"))
    if form == "mixed":
        return "".join(random.choice(letters + string.digits) for _ in range(random.randint(4, 8)))
    return form.format(head, tail)


def email(random: Random) -> str:
    user = random.choice((first_name(random).lower(), word(random), f"{first_name(random)}.{word(random)}".lower()))
    if random.random() < 0.3:
        user += str(random.randint(1, 99))
    return f"{user}@{word(random)}.{random.choice(('com', 'org', 'net', 'io', 'de', 'example', 'eu', 'co'))}"


def url(random: Random) -> str:
    tail = random.choice(("", f"/{word(random)}", f"/{word(random)}/{small(random)}"))
    return f"https://{random.choice(('', 'www.'))}{word(random)}.{random.choice(('com', 'org', 'net', 'io'))}{tail}"


def phone(random: Random) -> str:
    digits = "".join(random.choice(string.digits) for _ in range(random.randint(6, 9)))
    return random.choice((f"+{random.randint(1, 99)} {digits}", f"0{digits}", f"{digits[:3]}-{digits[3:]}"))


def phrase(random: Random) -> str:
    """Two to five words, such as a message or a title has."""
    text = " ".join(word(random) for _ in range(random.randint(2, 5)))
    return text.capitalize() if random.random() < 0.4 else text


def title(random: Random) -> str:
    """Two or three words, capitals in front."""
    return " ".join(word(random).capitalize() for _ in range(random.randint(1, 3)))


def product(random: Random) -> str:
    name = random.choice(words.PRODUCTS) if random.random() < 0.6 else words.coined(random)
    return f"{random.choice(words.ADJECTIVES)} {name}" if random.random() < 0.4 else name


def street(random: Random) -> str:
    road = _capital(random, words.STREETS)
    return f"{random.randint(1, 200)} {road} {random.choice(('Street', 'Road', 'Lane', 'Avenue', 'Square', 'Way'))}"


def color(random: Random) -> str:
    return random.choice(
        [
            "red",
            "green",
            "blue",
            "black",
            "white",
            "yellow",
            "orange",
            "purple",
            "brown",
            "gray",
            "pink",
            "silver",
            "golden",
        ]
    )


def job(random: Random) -> str:
    return random.choice(words.JOBS) if random.random() < 0.8 else words.coined(random)


def language(random: Random) -> str:
    return random.choice(words.LANGUAGES)


def currency(random: Random) -> str:
    return random.choice(words.CURRENCIES)


TEXTS = (word, person, city, date, time, identifier, email, phone, phrase, title, product, street, color, job, url)
NUMBERS = (small, small, large, decimal)


def anything(random: Random) -> Any:
    """A value of any kind."""
    return random.choice(TEXTS if random.random() < 0.65 else NUMBERS)(random)


def key(random: Random) -> str:
    """A key in snake_case, of one word or two."""
    first = random.choice(words.NOUNS) if random.random() < 0.6 else words.coined(random)
    if random.random() < 0.3:
        return f"{first}_{random.choice(random.choice((words.NOUNS, words.ADJECTIVES)))}"
    return first


def type_of(value: Any) -> str:
    """JSON Schema's name for the type of a value that is text or a number."""
    if isinstance(value, str):
        return "string"
    return "integer" if isinstance(value, int) else "number"


def spoken(name: str) -> str:
    """A key as people say it."""
    return name.replace("_", " ")
