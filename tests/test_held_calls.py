"""Calls held to their tools' schemas, on random weights, which want to write nonsense."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from runtime import callgrammar
from runtime.engine.local import LocalEngine
from runtime.errors import InvalidRequest, UnsupportedSchema
from runtime.grammar import matcher_of
from runtime.values import Request, Sampling, Text, Tool, ToolCallDelta
from tests.engines import Caller, plain, submit
from tests.models import random_model
from tests.schemas import SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.engine.sequence import Sequence

OBJECTS = [schema for schema in SCHEMAS if isinstance(schema, dict) and schema.get("type") == "object"]
WEATHER = Tool(
    "get_weather",
    "",
    {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}, "days": {"type": "integer"}}},
)
NEEDED = Tool("get_weather", "", {**WEATHER.parameters, "required": ["city", "days"]})
# Sets of one to three tools.
SETS = [
    tuple(Tool(f"tool_{n}_{at}", "", OBJECTS[(n + 7 * at) % len(OBJECTS)]) for at in range(1 + n % 3))
    for n in range(30)
]
# How a model may begin a call of the tool %s; grammars take over where the arguments begin.
OPENERS = [
    '{"name": "%s", "parameters": {',
    'I look. {"name": "%s", "arguments":{"',
    '<|python_tag|>{"type": "function", "name": "%s", "parameters": {',
    '{"type": "function", "function": {"name": "%s", "arguments": {',
    '[{"name": "%s", "parameters": {"zzz": 1',
    "<function=%s>{",
]


class Opening:
    """A sampler that begins with these tokens."""

    def __init__(self, sampler: Any, tokens: list[int]) -> None:
        self._sampler, self._tokens = sampler, tokens

    def sample(self, *arguments: Any) -> int:
        return self._tokens.pop(0) if self._tokens else int(self._sampler.sample(*arguments))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)


class Begun(LocalEngine):
    """Answers begin as the id of the request says, behind its number."""

    def _start(self, sequence: Sequence, now: float) -> None:
        super()._start(sequence, now)
        opener = sequence.request.id.partition(":")[2]
        sampler: Any = Opening(sequence.sampler, self._model.tokenize(opener, special=True))
        sequence.sampler = sampler


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    from runtime.engine import EngineConfig

    path = tmp_path_factory.mktemp("models") / "random.gguf"
    random_model(path, context=8192)
    made = Begun(EngineConfig(path, threads=1, slots=10, context=16384))
    yield made
    made.close()


def required(
    name: str, tools: tuple[Tool, ...], *, several: bool = True, max_tokens: int = 150, seed: int = 1
) -> Request:
    grammar = callgrammar.calls(tools, several=several)
    options: dict[str, Any] = {"tools": tools, "tool_choice": "required", "parallel_tool_calls": several}
    return Request(name, plain("Go."), max_tokens, Sampling(seed=seed), grammar=grammar, **options)


def auto(name: str, tools: tuple[Tool, ...] = (WEATHER,), max_tokens: int = 200, **options: Any) -> Request:
    return Request(name, plain("Go."), max_tokens, **{"sampling": Sampling(seed=5), **options}, tools=tools)


def smallest(tools: tuple[Tool, ...]) -> int:
    """Bytes of the smallest call, and so at least its tokens."""
    return len(matcher_of(callgrammar.calls(tools, several=False)).shortest_end() or "")


def check(caller: Caller, tools: tuple[Tool, ...]) -> None:
    calls = caller.done().tool_calls
    assert calls
    schemas = {tool.name: tool.parameters for tool in tools}
    for call in calls:
        validator = Draft202012Validator(schemas[call.name], format_checker=Draft202012Validator.FORMAT_CHECKER)
        assert list(validator.iter_errors(call.arguments)) == []
    deltas = [event for event in caller.events if isinstance(event, ToolCallDelta)]
    written = ["".join(delta.arguments for delta in deltas if delta.index == at) for at in range(len(calls))]
    assert [json.loads(text) for text in written] == [call.arguments for call in calls]


@pytest.mark.parametrize("number", range(len(SETS)))
def test_calls_are_declared_and_valid_however_they_come_about(running: Begun, number: int) -> None:
    tools = SETS[number]
    room = smallest(tools)
    requests = [required(f"{n}:", tools, several=n > 1, max_tokens=room + 40 * n, seed=number + 1) for n in range(3)]
    requests += [required("3:", tools[:1], max_tokens=smallest(tools[:1]) + 50)]  # named
    openers = [opener % tools[n % len(tools)].name for n, opener in enumerate(OPENERS)]
    requests += [auto(f"{4 + n}:{opener}", tools, 500 + 2 * room) for n, opener in enumerate(openers)]
    for request, caller in [(request, submit(running, request)) for request in requests]:
        check(caller, request.tools)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Alice", "parameters": {"city": 5}} ',
        '{"name": "get_weather"} ',
        'The tool get_weather({}) is not called. {"a": {"b": {}}} ',
    ],
)
def test_what_is_no_call_is_not_bent_into_one(running: Begun, text: str) -> None:
    caller = submit(running, auto(f"0:{text}", max_tokens=len(text) + 10))
    assert caller.whole().startswith(text.strip())
    assert caller.done().tool_calls == ()


def test_an_opener_without_room_for_a_call_stays_text(running: Begun) -> None:
    opener = '{"name": "get_weather", "parameters": {'
    tokens = len(running._model.tokenize(opener, special=False))
    caller = submit(running, auto(f"0:{opener}", (NEEDED,), tokens + 4))
    assert (caller.whole(), caller.done().finish_reason) == (opener, "length")
    assert caller.done().tool_calls == ()


def test_what_the_last_token_has_too_much_is_taken_back(running: Begun) -> None:
    """`{"zzz` is one token more than the schema takes: no such key is declared."""
    caller = submit(running, auto('0:{"name": "get_weather", "parameters": {"zzz'))
    check(caller, (WEATHER,))


def test_behind_a_call_text_flows_free_and_another_may_begin(running: Begun) -> None:
    caller = submit(running, auto('0:{"name": "get_weather", "parameters": {', max_tokens=120))
    done = caller.done()
    assert len(done.tool_calls) == 1
    assert done.usage.completion_tokens == 120
    assert caller.text


def test_one_call_is_enough_where_no_others_are_wanted(running: Begun) -> None:
    caller = submit(running, auto('0:{"name": "get_weather", "parameters": {', parallel_tool_calls=False))
    assert (caller.text, caller.done().finish_reason, len(caller.done().tool_calls)) == ("", "tool_calls", 1)


def test_a_call_written_as_code_is_one_only_where_it_is_valid(running: Begun) -> None:
    for days, calls in (("3", 1), ('"soon"', 0)):
        text = f'[get_weather(city="Rome", days={days})]'
        assert len(submit(running, auto(f"0:{text}")).done().tool_calls) == calls


def test_arguments_stream_as_they_grow(running: Begun) -> None:
    caller = submit(running, auto('0:{"name": "get_weather", "parameters": {', (NEEDED,), 60))
    caller.done()
    name, *more = [event for event in caller.events if isinstance(event, ToolCallDelta)]
    assert (name.name, name.arguments[0]) == ("get_weather", "{")
    assert len(more) > 3


def test_without_the_constraint_nothing_is_held(running: Begun) -> None:
    caller = submit(running, auto('0:{"name": "get_weather", "parameters": {"zzz": 1}}', constrain_tools=False))
    assert caller.done().tool_calls[0].arguments == {"zzz": 1}


def test_a_tool_without_parameters_takes_no_arguments() -> None:
    for parameters in ({}, {"type": "object"}, {"type": "object", "properties": {}}):
        grammar = callgrammar.calls([Tool("now", "", parameters)], several=False)
        assert matcher_of(grammar).forced() == '{"name": "now", "parameters": {}}'


def test_names_are_json() -> None:
    grammar = callgrammar.calls([Tool('say "é"')], several=False)
    assert matcher_of(grammar).forced() == '{"name": "say \\"é\\"", "parameters": {}}'


def test_parameters_that_no_grammar_enforces_are_refused_with_the_tools_name() -> None:
    unique = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
    with pytest.raises(UnsupportedSchema, match=r"The parameters of the tool f: .*uniqueItems"):
        callgrammar.calls([Tool("f", "", unique)], several=True)


def test_too_few_tokens_for_a_required_call_are_refused_with_the_number(running: Begun) -> None:
    with pytest.raises(InvalidRequest, match=r"max_tokens is 3, and the smallest document has \d+ tokens"):
        running.submit(required("0:", (WEATHER,), max_tokens=3), lambda event: None)


def test_text_before_the_call_is_content(running: Begun) -> None:
    caller = submit(running, auto('0:I look. {"name": "get_weather", "parameters": {', parallel_tool_calls=False))
    caller.done()
    assert "".join(event.text for event in caller.events if isinstance(event, Text)).strip() == "I look."
