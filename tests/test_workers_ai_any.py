"""Any body: whatever comes is taken or refused, and what is published is taken."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runtime.errors import InvalidRequest, LlamaletError, Unsupported
from runtime.values import Inputs
from runtime.wire import published
from runtime.wire.workers_ai import EXTENSIONS, parse

MODELS = ["", "@cf/meta/llama-3.2-3b-instruct"]
MODES = pytest.mark.parametrize("parity", [False, True], ids=["lenient", "parity"])
TRIED = sorted(published.options(published.NAMES[0], "Prompt").keys() | EXTENSIONS.keys())
KEYS = st.text(max_size=8) | st.sampled_from(
    ["type", "function", "name", "parameters", "properties", "role", "content"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


def bodies(**fixed: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies whose options have names that are known, and any values."""
    return st.fixed_dictionaries(fixed, optional=dict.fromkeys(TRIED, JSON))


GOOD = bodies(messages=st.just([{"role": "user", "content": "Hi"}]))


@MODES
@given(body=JSON | GOOD | bodies(prompt=JSON) | bodies(messages=JSON), model=st.sampled_from(MODELS))
@example(body={"messages": [[]]}, model="")
@example(body={"prompt": "Hi", "max_tokens": float("1e308")}, model="")
@settings(deadline=None)
def test_any_json_is_taken_or_refused(body: Any, model: str, parity: bool) -> None:
    try:
        taken: Any = parse(body, model, parity=parity)
    except LlamaletError as error:
        taken = error
    assert isinstance(taken, Inputs | InvalidRequest)


def accepted(schema: Any) -> st.SearchStrategy[Any]:
    """What the schema accepts, with nothing in it that the schema does not name."""
    if "oneOf" in schema:
        return st.one_of([accepted({"type": schema.get("type"), **form}) for form in schema["oneOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    match schema.get("type"):
        case "string":
            return st.text(min_size=schema.get("minLength", 0), max_size=20)
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(lowest, highest)
        case "number":
            return st.floats(lowest, highest, allow_nan=False, allow_infinity=False)
        case "array":
            return st.lists(accepted(schema["items"]), max_size=3)
        case "object" if "additionalProperties" in schema:
            return st.dictionaries(st.text(max_size=8), accepted(schema["additionalProperties"]), max_size=3)
        case "object":
            every = {name: accepted(each) for name, each in schema["properties"].items()}
            needed = {name: every.pop(name) for name in schema.get("required", ())}
            return st.fixed_dictionaries(needed, optional=every)
    return st.none() | st.integers() | st.text(max_size=8) | st.lists(st.booleans(), max_size=2)


@functools.cache
def published_bodies(model: str, title: published.Title) -> st.SearchStrategy[Any]:
    return accepted({"type": "object", **published.branch(published.name_for(model), title)})


def is_conversation(body: dict[str, Any]) -> bool:
    """The schema accepts no messages at all, and roles without a name: nothing can be made of either."""
    messages = body.get("messages", [{"role": "user"}])
    return bool(messages) and all(message["role"] for message in messages)


OURS = re.compile(
    r"max_tokens: must be at |'/max_tokens' must be |.* is a whole number of |response_format\.json_schema: must be "
    r"|(tools|functions)\[\d+\](\.function)?\.name: must (not be empty|be the only tool)"
    r"|raw: must be false beside tools"
)


@MODES
@pytest.mark.parametrize("title", published.TITLES)
@pytest.mark.parametrize("model", MODELS)
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_what_the_published_schema_accepts_is_not_invalid(
    data: st.DataObject, model: str, title: published.Title, parity: bool
) -> None:
    body = data.draw(published_bodies(model, title).filter(is_conversation))
    try:
        assert parse(body, model, parity=parity).ignored == ()
    except InvalidRequest as error:
        if not isinstance(error, Unsupported) and not OURS.match(error.message):
            raise
