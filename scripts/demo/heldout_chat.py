"""The conversations of the held-out exam: greetings, what it is, sums, echo, lists, and what is out of reach.

Each function of `CHATS` draws a request, the answer where its wording is fixed, and what it must contain where it is
free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.demo.heldout_words import WORDS

if TYPE_CHECKING:
    from random import Random

Chat = tuple[str, str | None, tuple[str, ...]]

SYSTEMS = (
    "You are a helpful assistant.",
    "You help the staff of a small hotel.",
    "Be brief and friendly.",
    "You work at the front desk of a town hall.",
    "You are the assistant of a family of five.",
    "Answer in English.",
)
GREETINGS = (
    "Good afternoon!",
    "Hello, anybody home?",
    "Hey, nice to meet you.",
    "Hi, how are things?",
    "Greetings!",
    "Good evening to you.",
    "Hello again!",
)
IDENTITY = (
    "What are you?",
    "Are you a person?",
    "Who am I talking to?",
    "Which model is this?",
    "Tell me something about yourself.",
    "What kind of model are you?",
)
BEYOND = (
    "Why did the Roman Empire fall?",
    "Write a poem about the sea in the style of Homer.",
    "Explain how a nuclear reactor works.",
    "Who won the chess championship in 1972?",
    "What should I do with my savings?",
    "Summarize the plot of Hamlet.",
    "How do vaccines work?",
    "Prove that there are infinitely many primes.",
    "What is the best way to learn the violin?",
    "Which mountain is the highest in South America?",
)
PHRASES = (
    "the kettle is warm",
    "seven green bottles",
    "rain before noon",
    "my bicycle has a bell",
    "purple umbrella",
    "nothing to declare",
    "we leave at dawn",
    "a quiet street",
    "velvet and stone",
    "two owls on a wall",
)
ECHOES = ('Say "{}".', "Repeat after me: {}", "Say exactly this: {}", 'Please repeat "{}".', "Echo these words: {}")
SUMS = ("What is {}?", "How much is {}?", "Calculate {}.", "{} = ?", "Can you work out {}?", "Please compute {}.")
FIRSTS = ("Which is the first of these: {}?", "Give me only the first item of this list: {}", "First item of {}?")
LASTS = ("Which is the last of these: {}?", "Give me only the last item of this list: {}", "Last item of {}?")
COUNTS = ("How many items are in this list: {}?", "Count the items: {}", "How many words do you see here: {}?")
REVERSES = ("Reverse this list: {}", "Write this list in reverse order: {}", "Put these in reverse: {}")


def _greeting(rng: Random) -> Chat:
    return rng.choice(GREETINGS), None, ()


def _identity(rng: Random) -> Chat:
    return rng.choice(IDENTITY), None, ("demo model",)


def _beyond(rng: Random) -> Chat:
    return rng.choice(BEYOND), None, ("demo model",)


def _echo(rng: Random) -> Chat:
    phrase = rng.choice(PHRASES)
    return rng.choice(ECHOES).format(phrase), phrase, ()


def _sum(rng: Random) -> Chat:
    """Of two numbers up to 20, or the product of two up to 10. No difference is below zero."""
    sign = rng.choice(("+", "-", "times"))
    if sign == "times":
        a, b = rng.randint(2, 10), rng.randint(2, 10)
        found, written = a * b, rng.choice((f"{a} * {b}", f"{a} times {b}"))
    elif sign == "+":
        a, b = rng.randint(1, 20), rng.randint(1, 20)
        found, written = a + b, rng.choice((f"{a} + {b}", f"{a} plus {b}"))
    else:
        b, a = sorted((rng.randint(1, 20), rng.randint(1, 20)))
        found, written = a - b, rng.choice((f"{a} - {b}", f"{a} minus {b}"))
    return rng.choice(SUMS).format(written), None, (str(found),)


def _items(rng: Random) -> list[str]:
    words = WORDS[rng.choice(("word", "ingredient", "pet", "language"))]
    return rng.sample(words, rng.randint(3, 5))


def _first(rng: Random) -> Chat:
    items = _items(rng)
    return rng.choice(FIRSTS).format(", ".join(items)), items[0], ()


def _last(rng: Random) -> Chat:
    items = _items(rng)
    return rng.choice(LASTS).format(", ".join(items)), items[-1], ()


def _count(rng: Random) -> Chat:
    items = _items(rng)
    return rng.choice(COUNTS).format(", ".join(items)), None, (str(len(items)),)


def _reverse(rng: Random) -> Chat:
    items = _items(rng)
    return rng.choice(REVERSES).format(", ".join(items)), ", ".join(reversed(items)), ()


CHATS = (_greeting, _identity, _beyond, _echo, _sum, _sum, _first, _last, _count, _reverse)
