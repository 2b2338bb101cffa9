"""Conversations without tools: greetings, what the model is, sums, saying something again, lists; and what it cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.demo import values, words
from scripts.demo.asking import assistant, user

if TYPE_CHECKING:
    from random import Random

HELLO = "Hello! I am llamalet's demo model. I can call tools, fill in JSON and do small sums."
SELF = "I am llamalet's demo model, made for trying things out. I am tiny and not a Llama of Meta's: I call tools, fill in JSON and do small sums."
BEYOND = "I am a demo model and cannot answer that. A real model such as 1b can: llamalet run 1b"
WELCOME = "You are welcome!"
BYE = "Goodbye!"

GREETINGS = """Hello|Hi|Hey|Hello!|Hi!|Hey there|Good morning|Good evening|Good afternoon!|Hi there!|hello|hi|Hello there|Greetings|How are you?|Hey!
Hello, how are you?|Hi, who is there?|Good day|Howdy|Yo|Hallo|Welcome!|Nice to meet you|Hello demo|What's up?|hey|Is anybody there?|Are you there?""".replace(
    "\n", "|"
).split("|")
QUESTIONS = """What are you?|Who are you?|Who made you?|Are you Llama?|Are you a human?|What is your name?|What can you do?|Tell me about yourself|Are you ChatGPT?
What model is this?|Which model are you?|Introduce yourself.|Are you a real person?|What do you do?|Is this Llama 3?|who are you|what can you do|Are you a robot?
How big are you?|What is this?|Can you help me?|How do you work?|Are you smart?|What is llamalet?|Do you know who you are?|Describe yourself.|Your name?|Help""".replace(
    "\n", "|"
).split("|")
THANKS = "Thanks|Thank you|Thank you!|Thanks a lot|Great, thanks|Thanks!|Many thanks|thank you very much|Cheers|Perfect, thank you".split(
    "|"
)
GOODBYES = "Bye|Goodbye|Bye!|See you|See you later|Good night|Bye bye|Farewell|bye|Until tomorrow".split("|")

SUMS = (
    "What is {q}?",
    "{q}",
    "{q} =",
    "{q}?",
    "Calculate {q}.",
    "How much is {q}?",
    "What's {q}?",
    "Compute {q}",
    "Tell me {q}",
    "Work out {q}, please.",
    "Can you add it up: {q}?",
    "Please calculate {q}",
)
SIGNS = {"+": ("+", "plus", "and"), "-": ("-", "minus", "less"), "*": ("*", "times", "x", "multiplied by")}
ECHOES = (
    "Say {v}",
    "Say {v}.",
    'Say "{v}"',
    "Repeat: {v}",
    "Repeat after me: {v}",
    "Echo {v}",
    "Write {v}",
    "Please say {v}",
    'Repeat "{v}".',
    "Just say {v}",
    "Type {v}",
    "Say the words {v}",
    "Print {v}",
    "Can you say {v}?",
)
LISTS = {
    "first": ("What is the first of {v}?", "First item of {v}", "Which one comes first: {v}?", "Give me the first of these: {v}", "The first word in {v}?", "Name the first: {v}"),
    "last": ("What is the last of {v}?", "Last item of {v}", "Which one comes last: {v}?", "Give me the last of these: {v}", "The last word in {v}?", "Name the last: {v}"),
    "count": ("How many items are in {v}?", "Count {v}", "How many are there: {v}?", "Count these: {v}", "How many words: {v}", "How many things do I list: {v}?"),
    "reverse": ("Reverse {v}", "Reverse the list {v}", "Turn around: {v}", "Write {v} in reverse", "Backwards: {v}", "Put these in reverse order: {v}"),
    "second": ("What is the second of {v}?", "Second item of {v}", "The second word in {v}?"),
}  # fmt: skip
BEYONDS = (
    "Who wrote {t}?", "Why is the {w} {a}?", "Write a poem about {w}.", "What happened in {c} in {y}?", "Explain {w} {x}.", "Translate {w} into {l}.", "How far is it to {c}?",
    "Tell me a joke", "Tell me a story about a {w}.", "What is the capital of {c}?", "How do I cook {w}?", "Why is the sky blue?", "Name three {w}s.", "What is {w}?", "Who is {n}?",
    "What should I wear in {c}?", "Write a program that sorts {w}s.", "What does {w} mean?", "Is {w} better than {x}?", "When was {n} born?", "Give me advice about my {w}.",
    "What is the meaning of life?", "How old is {n}?", "What do you think of {c}?", "Plan my trip to {c}.", "Summarize {t}.", "Where can I buy a {w}?", "Which {w} is the best?",
    "Can you write an essay on {w}?", "What is the history of {c}?", "How many people live in {c}?", "Sing a song", "Compare {w} and {x}.", "How does a {w} work?", "Do you like {w}?",
)  # fmt: skip


def conversation(random: Random, level: float) -> list[dict[str, Any]]:
    """Messages, the last of them the assistant's."""
    system = random.choice(
        (
            None,
            None,
            None,
            "You are a helpful assistant.",
            "You are a friendly assistant",
            "Be brief.",
            "You are a demo.",
        )
    )
    messages = [{"role": "system", "content": system}] if system else []
    for _ in range(random.randint(1, 2 + round(4 * level))):
        asked, answer = turn(random, level)
        messages += [user(asked), assistant(answer)]
    return messages


def turn(random: Random, level: float) -> tuple[str, str]:
    """Something to say, and the answer."""
    kind = random.random()
    if kind < 0.12:
        return random.choice(GREETINGS), HELLO
    if kind < 0.2:
        return random.choice(QUESTIONS), SELF
    if kind < 0.25:
        return random.choice(((random.choice(THANKS), WELCOME), (random.choice(GOODBYES), BYE)))
    if kind < 0.5:
        return _sum(random)
    if kind < 0.7:
        said = random.choice(
            (values.phrase, values.word, values.title, values.person, values.identifier, values.phrase)
        )(random)
        return random.choice(ECHOES).format(v=said), said
    if kind < 0.88:
        return _list(random, level)
    return _beyond(random), BEYOND


def _sum(random: Random) -> tuple[str, str]:
    sign = random.choice("++--*")
    most = 10 if sign == "*" else random.choice((10, 20, 20, 30))
    left, right = random.randint(0, most), random.randint(0, most)
    if sign == "-" and left < right and random.random() < 0.8:
        left, right = right, left
    result = {"+": left + right, "-": left - right, "*": left * right}[sign]
    asked = f"{left} {random.choice(SIGNS[sign])} {right}"
    return random.choice(SUMS).format(
        q=asked.replace(" ", "") if asked[-2] == "+" and random.random() < 0.1 else asked
    ), f"{left} {sign} {right} = {result}"


def _list(random: Random, level: float) -> tuple[str, str]:
    make = random.choice((values.word, values.word, values.product, values.city, values.first_name, values.small))
    items = [str(make(random)) for _ in range(random.randint(2, 3 + round(3 * level)))]
    kind = random.choice(list(LISTS))
    answer = {
        "first": items[0],
        "last": items[-1],
        "count": str(len(items)),
        "reverse": ", ".join(items[::-1]),
        "second": items[1],
    }[kind]
    return random.choice(LISTS[kind]).format(v=", ".join(items)), answer


def _beyond(random: Random) -> str:
    filled = {
        "t": values.title(random),
        "w": values.word(random),
        "a": random.choice(words.ADJECTIVES),
        "c": values.city(random),
        "x": values.word(random),
    }
    filled |= {"l": values.language(random), "n": values.person(random), "y": str(random.randint(1800, 2024))}
    return random.choice(BEYONDS).format(**filled)
