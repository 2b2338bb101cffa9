"""Texts that think well or badly of a thing; and the sentences beside a text that say nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.demo import values, words

if TYPE_CHECKING:
    from random import Random

FILLERS = (
    "Thank you.", "Best regards.", "It was a long day.", "Nothing else is known.", "Please answer soon.", "The weather was fine.", "That is all.",
    "Nobody said more.", "I hope this helps.", "Hello.", "Good morning.", "We talked for an hour.", "More will follow.", "This came in today.",
)  # fmt: skip

OPINIONS = {
    "positive": (words.GOOD, ("I love it", "We will come again", "I am happy with it", "Highly recommended", "It made my day", "We enjoyed it")),
    "negative": (words.BAD, ("I hate it", "Never again", "I want my money back", "We were disappointed", "It broke at once", "I regret it")),
    "neutral": (words.MIDDLING, ("Nothing special", "It does its job", "I have no opinion", "It is what it is", "Could be better or worse", "Neither good nor bad")),
}  # fmt: skip
JUDGED = (
    "The {t} was {w}.", "This {t} is {w}.", "What a {w} {t}!", "I found the {t} {w}.", "The {t} is {w}. {p}.", "{p}. The {t} was {w}.", "{p}, the {t} is {w}.",
    "A really {w} {t}.", "{W} {t}.", "My {t} turned out {w}.", "We had a {w} {t} yesterday.", "Such a {w} {t}. {p}!", "The {t} they sold me is {w}.", "{p}.",
)  # fmt: skip


class Opinion:
    """What somebody thinks of a thing."""

    def __init__(self, random: Random, level: float) -> None:
        del level
        self.key = random.choice(("sentiment", "sentiment", "opinion", "mood", "feeling", "tone"))
        self.thing = random.choice((None, None, "subject", "product", "topic", "thing"))
        self.kinds = {self.key: random.sample(list(OPINIONS), 3)}

    def __call__(self, random: Random) -> tuple[str, dict[str, Any]]:
        kind = random.choice(list(OPINIONS))
        adjectives, phrases = OPINIONS[kind]
        thing, adjective = values.word(random), random.choice(adjectives)
        forms = [form for form in JUDGED if self.thing is None or "{t}" in form]
        told = {"t": thing, "w": adjective, "W": adjective.capitalize(), "p": random.choice(phrases)}
        value = {self.key: kind} | ({self.thing: thing} if self.thing else {})
        return filled(random, random.choice(forms).format(**told)), value


def filled(random: Random, text: str) -> str:
    """With a sentence beside it that says nothing, at times."""
    chance = random.random()
    if chance < 0.15:
        return f"{text} {random.choice(FILLERS)}"
    return f"{random.choice(FILLERS)} {text}" if chance < 0.3 else text
