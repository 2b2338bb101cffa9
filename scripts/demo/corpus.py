"""Training conversations, in the very format that `runtime.prompt` renders, with what weighs in the loss."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime import prompt
from scripts.demo import asking, extracting, talking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

ANSWER = ("<|start_header_id|>", "assistant", "<|end_header_id|>")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a conversation: text, or one control token; `learned` if the model is to write it."""

    text: str
    special: bool
    learned: bool


def conversation(random: Random, level: float) -> list[Piece]:
    """One of the three kinds. `level` from 0 to 1: how long and how hard."""
    kind = random.random()
    tools: list[dict[str, Any]] = []
    if kind < 0.55:
        messages, tools = asking.conversation(random, level)
        if random.random() < 0.4:
            messages.insert(0, {"role": "system", "content": random.choice(asking.SYSTEMS)})
        if random.random() < 0.1:
            messages += [asking.user(random.choice(talking.GREETINGS)), asking.assistant(talking.HELLO)]
    elif kind < 0.85:
        messages = extracting.conversation(random, level)
    else:
        messages = talking.conversation(random, level)
    day = datetime.date(2023, 1, 1) + datetime.timedelta(random.randint(0, 365 * 8))
    return list(_pieces(messages, tools, day))


def _pieces(messages: list[dict[str, Any]], tools: list[dict[str, Any]], day: datetime.date) -> Iterator[Piece]:
    """As rendered, without the opening of the answer that would come next."""
    segments = prompt.segments(messages, tools=tools or None, date=day)
    before: tuple[str, ...] = ()
    learned = False
    for segment in segments[: -len(ANSWER) - 1]:
        if segment.special:
            yield Piece(segment.text, True, learned)
            learned = False
        else:
            learned = before[-3:] == ANSWER
            if learned:  # its blank line is the prompt's
                yield Piece("\n\n", False, False)
                yield Piece(segment.text.removeprefix("\n\n"), False, True)
            else:
                yield Piece(segment.text, False, False)
        before = (*before, segment.text)[-3:]


def text(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)
