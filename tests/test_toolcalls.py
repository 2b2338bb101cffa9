"""The calls in what models answer, whole and in pieces."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.toolcalls import ToolCallParser, parse
from runtime.toolcalls.markers import MARKERS
from runtime.values import Tool, ToolCall, ToolCallDelta
from tests.counts import examples
from tests.outputs import BARE, BESIDE, CODE, FUNCTION, NOW, OUTPUTS, ROME, SEVERAL, TAGGED, TOOLS, Calls, Output

if TYPE_CHECKING:
    from collections.abc import Iterable

each = pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.text[:60] or "nothing")


def found(calls: Iterable[ToolCall]) -> list[tuple[str, Any]]:
    return [(call.name, call.arguments) for call in calls]


def joined(deltas: list[ToolCallDelta]) -> list[tuple[str, Any]]:
    """The calls that deltas make up."""
    calls: list[list[str]] = []
    for delta in deltas:
        if delta.name is not None:
            assert delta.index == len(calls)
            calls.append([delta.name, ""])
        calls[delta.index][1] += delta.arguments
    return [(name, json.loads(arguments)) for name, arguments in calls]


def in_pieces(pieces: Iterable[str], tools: Any, **options: Any) -> tuple[str, list[tuple[str, Any]]]:
    parser = ToolCallParser(tools, **options)
    given = [parser.feed(piece) for piece in pieces] + [parser.finish()]
    assert joined([delta for _, deltas in given for delta in deltas]) == found(parser.calls)
    return "".join(content for content, _ in given), found(parser.calls)


def same(text: str, tools: Any) -> tuple[str, list[tuple[str, Any]]]:
    content, calls = parse(text, tools)
    return content, found(calls)


@each
def test_the_whole_text_is_read(output: Output) -> None:
    assert same(output.text, output.tools) == (output.content, output.calls)


@each
def test_the_text_is_read_from_single_characters(output: Output) -> None:
    assert in_pieces(output.text, output.tools) == (output.content, output.calls)


@pytest.mark.parametrize(("text", "content", "calls"), [*BARE[:10], *TAGGED, *SEVERAL, *BESIDE, *FUNCTION[:8]])
def test_pinned_arguments_make_the_same_calls(text: str, content: str, calls: Calls) -> None:
    assert in_pieces(text, TOOLS, pinned=True) == (content, calls)


@settings(deadline=None, max_examples=examples(600))
@given(st.sampled_from(OUTPUTS), st.data())
def test_the_text_is_read_from_any_pieces(output: Output, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(output.text)), max_size=8)))
    pieces = [output.text[start:end] for start, end in zip([0, *cuts], [*cuts, len(output.text)], strict=True)]
    assert in_pieces(pieces, output.tools) == (output.content, output.calls)


FRAGMENTS = [
    *MARKERS,
    *"{}[]()<>\"'\\\n ,;:=`-1é🗼\u3000\ud800",
    "```",
    "<|",
    "<|python_",
    "tag|>",
    "<function=weather>",
]
FRAGMENTS += ["<function=", "</function>", "weather", "weather(", "now()", ".call(", '"name"', '"parameters"', "json"]
FRAGMENTS += ["1e9", "True", "null", "nope", ROME, NOW]
wild = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=12).map("".join)


@settings(deadline=None, max_examples=examples(600))
@given(wild, st.integers(1, 5), st.sampled_from([[], TOOLS, CODE]))
def test_any_text_is_read_and_in_pieces_all_the_same(text: str, size: int, tools: Any) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert in_pieces(pieces, tools) == same(text, tools)


KEYS = [
    '"name"',
    "'name'",
    '"na\\u006de"',
    '"function"',
    '"tool"',
    '"parameters"',
    '"arguments"',
    '"id"',
    '"description"',
    '"x"',
]
VALUES = [
    '"now"',
    '"\\u006eow"',
    '"no"',
    '"weather"',
    '"x"',
    "{}",
    '{"a": 1}',
    '{"name": "now"}',
    "null",
    '"{}"',
    "[{}]",
    '"',
    "tru",
]
members = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES)).map(": ".join), max_size=4).map(", ".join)
objects = st.tuples(st.sampled_from(["{", "[{", "`{", "a {"]), members, st.sampled_from(["}", ",}", "", "} b"])).map(
    "".join
)


@settings(deadline=None, max_examples=examples(600))
@given(objects, objects, st.integers(1, 5))
def test_objects_with_any_members_are_read_in_pieces_all_the_same(one: str, other: str, size: int) -> None:
    text = f"{one}; {other}"
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert in_pieces(pieces, TOOLS) == same(text, TOOLS)


@settings(deadline=None, max_examples=examples(600))
@given(wild, st.sampled_from([TOOLS, CODE]))
def test_content_never_holds_a_marker(text: str, tools: Any) -> None:
    content, _ = parse(text, tools)
    assert not any(marker in content for marker in MARKERS)


@settings(deadline=None, max_examples=examples(600))
@given(wild)
def test_without_tools_everything_but_markers_is_content(text: str) -> None:
    content, calls = parse(text, [])
    assert calls == []
    assert content == text or any(marker in text for marker in MARKERS)


def ordered_within(part: str, whole: str) -> bool:
    characters = iter(whole)
    return all(char in characters for char in part)


@settings(deadline=None, max_examples=examples(600))
@given(wild)
def test_content_is_the_text_without_what_was_called(text: str) -> None:
    assert ordered_within(parse(text, CODE)[0].replace(" ", ""), text)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ANY = [{"name": "any", "description": "", "parameters": {}}]


@settings(deadline=None)
@given(st.dictionaries(st.text(), values, max_size=4), st.booleans(), st.integers(1, 7))
def test_what_is_json_is_read_as_json(arguments: dict[str, Any], ascii_only: bool, size: int) -> None:
    text = json.dumps({"name": "any", "parameters": arguments}, ensure_ascii=ascii_only)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert in_pieces(pieces, ANY) == ("", [("any", arguments)])


literals = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["C"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab'\""), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z]\w{0,5}", fullmatch=True).filter(str.isascii), literals, max_size=4))
def test_what_is_written_as_python_is_read_as_python(arguments: dict[str, Any]) -> None:
    written = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    assert same(f"[any({written})]", ANY) == ("", [("any", arguments)])
    assert same(repr({"name": "any", "arguments": arguments}), ANY) == ("", [("any", arguments)])


def test_tools_may_be_values() -> None:
    assert same(NOW, [Tool("now")]) == ("", [("now", {})])


@pytest.mark.parametrize("tools", [None, [], [{}], [{"name": None}], [{"function": 1}], [1], [{"type": "function"}]])
def test_tools_that_name_nothing_call_nothing(tools: Any) -> None:
    assert same(NOW, tools) == (NOW, [])


@pytest.mark.parametrize("name", ["weather.get", "get-weather", "é", "a b", "name", "f(", "</function>", "<", "{", "`"])
def test_a_tool_may_have_any_name(name: str) -> None:
    text = json.dumps({"name": name, "parameters": {"a": 1}})
    assert in_pieces(text, [{"name": name}]) == ("", [(name, {"a": 1})])


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        [],
        {"properties": [{"a": {"type": "integer"}}]},
        {"properties": {"a": True}},
        {"properties": {"a": {"type": 3}}},
        {"properties": {"a": {"$ref": "#/properties/a"}}},
        {"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}, {"$ref": "#"}]}}},
        {"properties": {"a": {"$ref": "https://example.com"}}},
    ],
)
def test_a_schema_that_says_nothing_converts_nothing(parameters: Any) -> None:
    tools = [{"name": "f", "parameters": parameters}]
    assert same('{"name": "f", "parameters": {"a": "1"}}', tools) == ("", [("f", {"a": "1"})])


def test_a_recursive_schema_converts_at_every_level() -> None:
    node = {"type": "object", "properties": {"n": {"type": "int"}, "next": {"$ref": "#/$defs/node"}}}
    tools = [{"name": "f", "parameters": {"properties": {"a": {"$ref": "#/$defs/node"}}, "$defs": {"node": node}}}]
    text = '{"name": "f", "parameters": {"a": {"n": "1", "next": {"n": "2", "next": "{\'n\': \'3\'}"}}}}'
    assert same(text, tools) == ("", [("f", {"a": {"n": 1, "next": {"n": 2, "next": {"n": 3}}}})])


def test_code_goes_into_the_only_property() -> None:
    tools = [{"name": "python", "parameters": {"properties": {"source": {"type": "string"}}}}]
    assert same("<|python_tag|>1 + 1", tools) == ("", [("python", {"source": "1 + 1"})])


def test_code_that_was_cut_off_is_content() -> None:
    parser = ToolCallParser(CODE)
    parser.feed("I compute.\n<|python_tag|>\nprint(")
    assert parser.finish(cut=True) == ("\n\nprint(", [])


def given_by(parser: ToolCallParser, text: str) -> list[tuple[str, list[ToolCallDelta]]]:
    return [parser.feed(char) for char in text]


def test_pinned_arguments_stream_as_they_grow() -> None:
    parser = ToolCallParser(TOOLS, pinned=True)
    deltas = [delta for _, deltas in given_by(parser, ROME) for delta in deltas]
    assert deltas[0] == ToolCallDelta(0, "weather", "{")
    assert [delta.arguments for delta in deltas] == list('{"city": "Rome"}')
    assert {(delta.index, delta.name) for delta in deltas[1:]} == {(0, None)}


def test_a_call_that_is_not_pinned_comes_whole() -> None:
    parser = ToolCallParser(TOOLS)
    assert [given for given in given_by(parser, ROME) if given != ("", [])] == [
        ("", [ToolCallDelta(0, "weather", '{"city": "Rome"}')])
    ]


def test_pinned_arguments_that_were_cut_off_are_not_taken_back() -> None:
    parser = ToolCallParser(TOOLS, pinned=True)
    assert parser.feed(ROME[:-3]) == ("", [ToolCallDelta(0, "weather", '{"city": "Rome')])
    assert parser.finish() == ("", [])
    assert parser.calls == []


def test_pinned_arguments_that_are_whole_make_a_call_although_its_end_is_missing() -> None:
    parser = ToolCallParser(TOOLS, pinned=True)
    parser.feed(ROME[:-1])
    assert parser.finish() == ("", [])
    assert found(parser.calls) == [("weather", {"city": "Rome"})]


@pytest.mark.parametrize(
    ("text", "begun"),
    [
        ('Look: {"name": "weather", "parameters": ', None),
        ('Look: {"name": "weather", "parameters": {', ("weather", "{", "}")),
        ('{"name": "weather", "parameters": {"ci', ("weather", '{"ci', "}")),
        ('{"name": "weather", "parameters": {"city": {}}', ("weather", '{"city": {}}', "}")),
        ('{"type": "function", "function": {"name": "now", "arguments": {', ("now", "{", "}}")),
        ("<function=now>", None),
        ("<function=now>{", ("now", "{", "</function>")),
        ('{"name": "nope", "parameters": {', None),
        ('{"name": "Alice", "age": {', None),
        ('{"parameters": {', None),
        ('{"name": "weather", "parameters": [', None),
        ('{"name": "weather", "parameters": [{', None),
        ("[weather(city=", None),
        (ROME, None),
    ],
)
def test_the_parser_says_whose_arguments_have_begun(text: str, begun: tuple[str, str, str] | None) -> None:
    parser = ToolCallParser(TOOLS)
    for char in text:
        parser.feed(char)
    assert parser.begun == begun


@pytest.mark.parametrize(
    "text",
    [
        "Hello there, how",
        '{"answer',
        '{"nam": 4',
        '{"name": "Al',
        "{x",
        "[1",
        "[x",
        "<b",
        "<|im",
        "<function=nope>",
        "I call weather(",
        "weathe is",
        "`code",
        "```python\nprint(",
        '{"a": [1, {"name": "weather", "parameters": {',
        "weather(city=place,",
        "[weather(city=place,",
        "weather(city='Rome') is",
    ],
)
def test_what_can_no_longer_be_a_call_is_not_held_back(text: str) -> None:
    parser = ToolCallParser(TOOLS)
    content = "".join(parser.feed(char)[0] for char in text)
    assert content.rstrip() == text.rstrip()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Let me look.\n\n", "Let me look."),
        ("Let me <|pyth", "Let me"),
        ('Look: {"name": "wea', "Look:"),
        ("Look: [weather(", "Look:"),
        ("Look:\n```json\n", "Look:"),
        (f"{ROME}; ", ""),
        (ROME[:-1], ""),
        ("<function=weath", ""),
    ],
)
def test_what_may_become_a_call_is_held_back(text: str, shown: str) -> None:
    parser = ToolCallParser(TOOLS)
    assert "".join(parser.feed(char)[0] for char in text) == shown
