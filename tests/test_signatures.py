"""What a function's type hints and docstring say of it as a tool."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, Optional, TypedDict

import pytest

from runtime.errors import InvalidRequest
from runtime.signatures import tool_of
from runtime.values import Tool


class Place(TypedDict):
    name: str
    height: NotRequired[float]


def schema_of(hint: Any) -> Any:
    def f(x): ...  # type: ignore[no-untyped-def]

    f.__annotations__ = {"x": hint}
    return tool_of(f, "t").parameters["properties"]["x"]


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (Any, {}),
        (list, {"type": "array"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (Sequence[list[str]], {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}),
        (dict, {"type": "object"}),
        (Mapping[str, bool], {"type": "object", "additionalProperties": {"type": "boolean"}}),
        (str | None, {"type": ["string", "null"]}),
        (Optional[int], {"type": ["integer", "null"]}),  # noqa: UP045
        (list[int] | None, {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal["a", 1], {"enum": ["a", 1]}),
        (Annotated[int, "Days to come"], {"type": "integer", "description": "Days to come"}),
        (
            Place,
            {
                "type": "object",
                "properties": {"name": {"type": "string"}, "height": {"type": "number"}},
                "required": ["name"],
            },
        ),
    ],
)
def test_a_hint_is_a_schema(hint: Any, schema: Any) -> None:
    assert schema_of(hint) == schema


def test_what_has_no_default_is_required_and_nothing_else_is_taken() -> None:
    def weather(city: str, days: int = 3, *, units: str | None = None) -> str:
        """The weather."""
        return ""

    assert tool_of(weather, "t") == Tool(
        "weather",
        "The weather.",
        {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "default": 3},
                "units": {"type": ["string", "null"]},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    )


def google(city: str, days: int = 1) -> None:
    """The weather of the next days.

    It is a forecast.

    Args:
        city: Where, in the
            local spelling.
        days (int): How many: 1 to 7.

    Returns:
        city: not this.
    """


def sphinx(city: str, days: int = 1) -> None:
    """The weather of the next days.

    It is a forecast.

    :param city: Where, in the
        local spelling.
    :param int days: How many: 1 to 7.
    :returns: The weather.
    """


def plain(city: str, days: int = 1) -> None:
    """The weather of the next days.

    It is a forecast.

    city: Where, in the local spelling.
    days: How many: 1 to 7.
    """


@pytest.mark.parametrize("function", [google, sphinx, plain])
def test_a_docstring_describes_function_and_parameters(function: Callable[..., Any]) -> None:
    tool = tool_of(function, "t")
    assert tool.description == "The weather of the next days.\n\nIt is a forecast."
    words = {name: each.get("description") for name, each in tool.parameters["properties"].items()}
    assert words == {"city": "Where, in the local spelling.", "days": "How many: 1 to 7."}


def test_a_function_without_words_has_none() -> None:
    def now() -> str:
        return ""

    assert tool_of(now, "t") == Tool(
        "now", "", {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    )


class Clock:
    async def now(self, zone: str) -> str:
        """The time."""
        return zone


def test_a_bound_method_and_a_coroutine_function_are_functions() -> None:
    tool = tool_of(Clock().now, "t")
    assert (tool.name, tool.description, list(tool.parameters["properties"])) == ("now", "The time.", ["zone"])


JSON = "expected a type of JSON (str, int, float, bool, list, dict, Literal, TypedDict, | None), found "
NAMED = "expected a parameter that can be given by its name, found "


def takes_rest(*rest: int) -> None: ...
def takes_by_place(x: int, /) -> None: ...
def takes_set(x: set[int]) -> None: ...
def takes_nested(x: dict[str, bytes]) -> None: ...
def takes_unknown(x: Unknown) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (takes_rest, f"t (takes_rest).rest: {NAMED}variadic positional."),
        (takes_by_place, f"t (takes_by_place).x: {NAMED}positional-only."),
        (takes_set, f"t (takes_set).x: {JSON}set."),
        (takes_nested, f"t (takes_nested).x: {JSON}bytes."),
        (
            takes_unknown,
            (
                "t (takes_unknown): expected a function whose signature can be read, "
                "found that name 'Unknown' is not defined."
            ),
        ),
    ],
)
def test_what_cannot_be_shown_is_refused(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        tool_of(function, "t")
    assert refused.value.message == message
    assert "Give a definition" in (refused.value.hint or "")


@pytest.mark.parametrize("function", [lambda x: x, functools.partial(google, days=2)])
def test_a_function_without_a_name_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"^t: expected a function with a name, found "):
        tool_of(function, "t")
