"""The parser takes time in proportion to the text, however hostile it is."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from runtime.toolcalls import ToolCallParser, parse
from tests.counts import ASKED
from tests.outputs import CODE, ROME

if TYPE_CHECKING:
    from types import FrameType

HOSTILE = [
    *'{[(<`"\\\n9',
    "a\n",
    "{ ",
    "{'",
    '{"',
    "}{",
    "];,",
    "''",
    "` ",
    "```",
    "```\n",
    "\\u",
    "日本",
    "[{",
    "[w",
    "<|",
]
HOSTILE += [
    '{"a":',
    '{"a": 1} ',
    '{"name":',
    '{"name": "weather", "parameters": ',
    '{"name": "weather", "parameters": {"a": [',
]
HOSTILE += ['{"name": "weather", "parameters": {"a": "', "[weather(", "weather(", "weather.call(", "[weather(city=["]
HOSTILE += ["<|python_", "<|python_tag|>", "<|eot_<", "<function=", "<function=weather>", "<function=weather>{"]
HOSTILE += ["</function>", "<tool_call>", "\ufffd", "\0", ROME, f"{ROME}; ", f"```json\n{ROME}\n```\n"]


def steps(text: str, size: int) -> int:
    """Lines of Python that reading `text` in pieces takes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    parser = ToolCallParser(CODE)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for at in range(0, len(text), size):
            parser.feed(text[at : at + size])
        parser.finish()
    finally:
        sys.settrace(before)
    return count


BEGINNINGS = [ROME, "```", "`", "[", "<|python_tag|>", "<function=now>", "weather(", '{"name": "now", "parameters": {']
PAIRS = [("", part) for part in HOSTILE] + [(first, part) for first in BEGINNINGS for part in "{}[]() ;,`<\n\"'a"]


@pytest.mark.parametrize(("beginning", "part"), PAIRS)
@pytest.mark.parametrize("size", [1, 10**6])
def test_the_steps_grow_no_faster_than_the_text(beginning: str, part: str, size: int) -> None:
    count = (300 if beginning else 1200) // len(part)
    short, long = (steps(beginning + part * times, size) for times in (count, 3 * count))
    assert long <= 3.5 * short + 600


LONG = 200_000 if ASKED is None else 1_000_000  # characters


@pytest.mark.parametrize("part", HOSTILE)
def test_a_long_text_takes_seconds_at_most(part: str) -> None:
    text = part * (LONG // len(part))
    before = time.process_time()
    parse(text, CODE)
    assert time.process_time() - before < 4 * LONG / 200_000  # a megabyte takes one or two, and machines may be slow


@pytest.mark.parametrize(
    "opener", ["", '{"name": "weather", "parameters": {"city": "', "[weather(city='", "<|python_tag|>"]
)
def test_what_is_held_back_is_not_read_again_with_each_piece(opener: str) -> None:
    parser = ToolCallParser(CODE)
    parser.feed(opener)
    before = time.process_time()
    for _ in range(100_000):
        parser.feed("x")
    parser.finish()
    assert time.process_time() - before < 5


def test_ten_thousand_levels_are_read() -> None:
    text = '{"name": "weather", "parameters": ' + '{"a":' * 10_000
    assert parse(text, CODE) == (text, [])


def test_a_number_of_a_hundred_thousand_digits_is_read() -> None:
    text = f'{{"name": "weather", "parameters": {{"days": {"9" * 100_000}}}}}'
    assert parse(text, CODE) == (text, [])


def test_a_text_of_a_hundred_thousand_digits_stays_a_text() -> None:
    digits = "9" * 100_000
    content, calls = parse(f'{{"name": "weather", "parameters": {{"days": "{digits}"}}}}', CODE)
    assert (content, calls[0].arguments) == ("", {"days": digits})
