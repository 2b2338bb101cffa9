"""Any body to an endpoint of OpenAI's API is taken or refused; and what the page says of each option."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runtime.errors import InvalidRequest, LlamaletError
from runtime.values import Inputs
from runtime.wire import workers_ai
from runtime.wire.openai import body, chat, completions, responses
from tests.test_workers_ai_any import JSON

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.wire.openai.body import Asked

    Read = Callable[[Any], Asked]

READS: dict[str, Read] = {"C": chat.read, "T": completions.read, "R": responses.read}
TABLES = {"C": chat, "T": completions, "R": responses}
OTHERS = {"messages", "prompt", "input", "response_format", "tools", "tool_choice", "logit_bias", "stop", "temperature"}
TOOLS = st.lists(st.fixed_dictionaries({}, optional={"type": JSON, "function": JSON, "name": JSON}), max_size=2)
ITEMS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["message", "function_call", "function_call_output"]) | JSON,
            "role": st.sampled_from(["user", "assistant"]) | JSON,
            **dict.fromkeys(("content", "call_id", "name", "arguments", "output"), JSON),
        },
    ),
    max_size=3,
)
SCHEMAS = st.fixed_dictionaries({"type": st.just("json_schema")}, optional={"schema": JSON, "json_schema": JSON})
LIKELY = {
    "messages": ITEMS,
    "input": ITEMS,
    "tools": TOOLS,
    "response_format": SCHEMAS,
    "text": st.fixed_dictionaries({}, optional={"format": SCHEMAS | JSON, "verbosity": JSON}),
    "prompt": st.lists(JSON, max_size=2),
    "n": st.integers(1, 3),
}


def bodies(name: str) -> st.SearchStrategy[Any]:
    """Anything; bodies whose options have names that are known, and any values; and such with a right beginning."""
    known = sorted(OTHERS | TABLES[name].OPTIONS.keys() | TABLES[name].REFUSED.keys() | body.HABITS)
    options: Any = {key: JSON | LIKELY[key] if key in LIKELY else JSON for key in known}
    required = {"C": "messages", "T": "prompt", "R": "input"}[name]
    right = [{"role": "user", "content": "Hi"}] if name == "C" else "Hi"
    named = {"model": st.just("tiny")}
    return JSON | _with(named, options) | _with({**named, required: st.just(right)}, options)


def _with(fixed: dict[str, Any], options: dict[str, Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(fixed, optional={key: one for key, one in options.items() if key not in fixed})


@pytest.mark.parametrize("name", READS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_any_json_is_taken_or_refused(name: str, data: st.DataObject) -> None:
    taken = tried(READS[name], data.draw(bodies(name)))
    assert isinstance(taken, Inputs | InvalidRequest)


@settings(deadline=None, max_examples=50)
@given(given=bodies("C"))
@example(given={"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "n": 3, "seed": 0})
def test_any_json_is_taken_or_refused_in_parity_too(given: Any) -> None:
    assert isinstance(tried(functools.partial(chat.read, parity=True), given, parity=True), Inputs | InvalidRequest)


def tried(read: Read, given: Any, *, parity: bool = False) -> Any:
    try:
        asked = read(given)
        return next(workers_ai.parse(one, asked.model, parity=parity) for one in asked.bodies)
    except LlamaletError as error:
        return error


# -- docs/openai-api.md ----------------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[1] / "docs" / "openai-api.md").read_text("utf-8")
ROWS: list[tuple[list[str], list[str], str]] = [
    (re.findall(r"`([\w.]+)`", names), endpoints.split(), said)
    for names, endpoints, said in re.findall(r"^\| ([^|]+) \| ([CTR ;,]+) \| (.+) \|$", PAGE, re.MULTILINE)
]


OF_CHATS = {("R", "n"), ("R", "seed")}  # accepted in responses too, and no options of theirs


def said_of(option: str, endpoint: str) -> str:
    """What the table has of an option at an endpoint."""
    (said,) = [said for names, ends, said in ROWS if option in names and endpoint in "".join(ends)]
    return said


@pytest.mark.parametrize(
    ("endpoint", "option"),
    [
        (name, option)
        for name, table in TABLES.items()
        for option in table.REFUSED
        if option not in ("grammar", "messages")
    ],
)
def test_what_is_refused_is_on_the_page(endpoint: str, option: str) -> None:
    assert "refused" in said_of(option, endpoint)


@pytest.mark.parametrize("option", sorted(body.HABITS))
def test_what_is_ignored_is_on_the_page(option: str) -> None:
    assert said_of(option, "C").startswith("ignored")


@pytest.mark.parametrize(
    ("endpoint", "option"),
    [(name, option) for name, table in TABLES.items() for option in table.OPTIONS if (name, option) not in OF_CHATS],
)
def test_what_is_read_is_on_the_page(endpoint: str, option: str) -> None:
    assert said_of(option, endpoint)
