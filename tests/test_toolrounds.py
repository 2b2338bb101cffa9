"""Rounds of a model and the tools that it calls, on a scripted engine: the same from `Runtime` and `AsyncRuntime`."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import TYPE_CHECKING, Any

import pytest

import runtime
from runtime import AsyncRuntime, Runtime
from runtime.errors import ConfigError, InvalidRequest, QueueFull, Unsupported
from runtime.values import Tool
from tests.fake_engine import FakeEngine, answer, calling

if TYPE_CHECKING:
    from collections.abc import Callable

QUESTION = [{"role": "user", "content": "What is it like there?"}]
PATIENCE = 30  # seconds until a tool that waits gives up


def weather(city: str, days: int = 1) -> dict[str, Any]:
    """The weather of the next days."""
    return {"city": city, "days": [18] * days}


async def now(zone: str = "UTC") -> str:
    """The time."""
    await asyncio.sleep(0)
    return f"noon in {zone}"


class Model:
    """A runtime of either kind whose engine follows a script. `asked` are the prompts that came."""

    def __init__(self, path: str, *, awaited: bool) -> None:
        self._path, self._awaited = path, awaited
        self.engine = FakeEngine()
        self.options: dict[str, Any] = {}

    def __call__(self, *scripts: Any, tools: Any, **options: Any) -> dict[str, Any]:
        self.engine = FakeEngine(scripts)
        options = {"messages": QUESTION, "tools": tools, **options}
        made = {"make_engine": lambda *_: self.engine, "files": [self._path], **self.options}
        if self._awaited:
            return asyncio.run(self._run(made, options))
        with Runtime(**made) as ai:
            return ai.run_with_tools(self._path, **options)

    async def _run(self, made: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        async with AsyncRuntime(**made) as ai:
            return await ai.run_with_tools(self._path, **options)

    @property
    def asked(self) -> list[str]:
        return ["".join(piece.text for piece in request.prompt) for request in self.engine.requests]


@pytest.fixture(params=[False, True], ids=["plain", "async"])
def ask(request: pytest.FixtureRequest, model: str) -> Model:
    return Model(model, awaited=request.param)


def told(result: dict[str, Any]) -> list[list[Any]]:
    """What came of the calls, round by round."""
    return [[one.get("result", one.get("error")) for one in each["results"]] for each in result["trace"]]


def test_an_answer_without_calls_is_the_answer(ask: Model) -> None:
    result = ask(answer("Sunny."), tools=[weather])
    assert (result["response"], result["finish_reason"], result["trace"]) == ("Sunny.", "stop", [])
    assert result["messages"] == [*QUESTION, {"role": "assistant", "content": "Sunny."}]


def test_two_tools_in_a_row(ask: Model) -> None:
    first, second = calling(("now", {}), text="Let me see."), calling(("weather", {"city": "Rome", "days": 2}))
    result = ask(first, second, answer("Sunny."), tools=[weather, now])
    assert (result["response"], result["tool_calls"]) == ("Sunny.", [])
    assert told(result) == [["noon in UTC"], [{"city": "Rome", "days": [18, 18]}]]
    assert [(each["response"], each["tool_calls"][0]["name"]) for each in result["trace"]] == [
        ("Let me see.", "now"),
        ("", "weather"),
    ]
    assert [one["role"] for one in result["messages"]] == ["user", *["assistant", "tool"] * 2, "assistant"]


def test_each_prompt_holds_the_rounds_before(ask: Model) -> None:
    ask(calling(("now", {})), calling(("weather", {"city": "Rome"})), answer("Sunny."), tools=[weather, now])
    first, second, third = ask.asked
    said = '{"name": "now", "parameters": {}}<|eot_id|><|start_header_id|>ipython<|end_header_id|>\n\n"noon in UTC"'
    assert (said in first, said in second, said in third) == (False, True, True)
    assert '{"city": "Rome", "days": [18]}<|eot_id|>' in third
    assert all('"name": "weather"' in prompt for prompt in ask.asked)


def test_several_calls_of_one_answer_are_one_round(ask: Model) -> None:
    result = ask(calling(("weather", {"city": "Rome"}), ("now", {"zone": "CET"})), answer("So."), tools=[weather, now])
    assert told(result) == [[{"city": "Rome", "days": [18]}, "noon in CET"]]
    (round_,) = result["trace"]
    assert [one["id"] for one in round_["results"]] == ["id0", "id1"]
    assert [(one["name"], one["arguments"]) for one in round_["results"]] == [
        ("weather", {"city": "Rome"}),
        ("now", {"zone": "CET"}),
    ]
    assert [one["tool_call_id"] for one in result["messages"] if one["role"] == "tool"] == ["id0", "id1"]


def fails(city: str) -> str:
    raise LookupError(f"{city} is not known")


def exits(city: str) -> str:
    raise SystemExit(3)


def gives_a_set(city: str) -> set[str]:
    return {city}


async def fails_later(city: str) -> str:
    await asyncio.sleep(0)
    raise LookupError(f"{city} is not known")


async def gives_up(city: str) -> str:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("tool", "error"),
    [
        (fails, "LookupError: Rome is not known"),
        (fails_later, "LookupError: Rome is not known"),
        (exits, "SystemExit: 3"),
        (gives_up, "CancelledError"),
        (gives_a_set, "The result is a Python set; it must be what JSON can hold."),
    ],
)
def test_what_goes_wrong_in_a_tool_is_told_to_the_model(ask: Model, tool: Callable[..., Any], error: str) -> None:
    result = ask(calling((tool.__name__, {"city": "Rome"})), answer("Sorry."), tools=[tool])
    assert (told(result), result["response"]) == ([[error]], "Sorry.")
    assert f'{{"error": "{error}"}}<|eot_id|>' in ask.asked[1]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, "arguments: 'city' is a required property"),
        ({"city": 5}, "arguments.city: 5 is not of type 'string'"),
        ({"city": "Rome", "days": "x"}, "arguments.days: 'x' is not of type 'integer'"),
        (
            {"city": "Rome", "zone": 1},
            "arguments: Additional properties are not allowed ('zone' was unexpected)",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_told_and_nothing_is_run(ask: Model, arguments: Any, error: str) -> None:
    ran: list[str] = []

    def weather(city: str, days: int = 1) -> None:
        ran.append(city)

    result = ask(calling(("weather", arguments)), answer("Sorry."), tools=[weather])
    assert (told(result), ran) == ([[error]], [])


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_a_tool_that_hangs_has_a_deadline(ask: Model, kind: str) -> None:
    end, cancelled = threading.Event(), threading.Event()

    def hangs() -> None:
        end.wait(PATIENCE)

    async def hangs_async() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    tool = hangs if kind == "plain" else hangs_async
    result = ask(calling((tool.__name__, {})), answer("Sorry."), tools=[tool], tool_timeout=0.05)
    end.set()
    assert (told(result), result["response"]) == ([["It took longer than 0.05 seconds."]], "Sorry.")
    assert kind == "plain" or cancelled.wait(PATIENCE)


def test_after_the_last_round_the_model_answers_without_tools(ask: Model) -> None:
    again = [calling(("now", {})) for _ in range(2)]
    result = ask(*again, answer("It is noon."), tools=[now], max_rounds=2)
    assert (result["response"], len(result["trace"])) == ("It is noon.", 2)
    assert ['"description": "The time."' in prompt for prompt in ask.asked] == [True, True, False]
    assert [len(request.tools) for request in ask.engine.requests] == [1, 1, 0]


def test_a_tool_is_required_in_the_first_round_only(ask: Model) -> None:
    ask(calling(("now", {})), answer("Noon."), tools=[now], tool_choice="required", temperature=0.5)
    assert [request.tool_choice for request in ask.engine.requests] == ["required", "auto"]
    assert [request.sampling.temperature for request in ask.engine.requests] == [0.5, 0.5]


DEFINITION: dict[str, Any] = {
    "name": "weather",
    "description": "The weather.",
    "parameters": {"properties": {"city": {"type": "string"}}},
}


def test_a_definition_may_have_its_function(ask: Model) -> None:
    tool = {**DEFINITION, "function": lambda city: city.upper()}
    result = ask(calling(("weather", {"city": "Rome"})), answer("So."), tools=[tool])
    assert told(result) == [["ROME"]]
    assert ask.engine.requests[0].tools == (Tool("weather", "The weather.", DEFINITION["parameters"]),)


@pytest.mark.parametrize("tool", [DEFINITION, {"type": "function", "function": DEFINITION}, Tool("weather")])
def test_calls_of_a_tool_without_a_function_are_the_callers(ask: Model, tool: Any) -> None:
    ran: list[str] = []

    def note(text: str) -> None:
        ran.append(text)

    result = ask(calling(("note", {"text": "x"}), ("weather", {"city": "Rome"})), tools=[tool, note])
    assert (result["finish_reason"], result["trace"], ran) == ("tool_calls", [], [])
    assert [call["name"] for call in result["tool_calls"]] == ["note", "weather"]
    assert result["messages"][-1]["tool_calls"] == result["tool_calls"]


def test_the_conversation_can_go_on(ask: Model) -> None:
    first = ask(calling(("now", {})), answer("Noon."), tools=[now])
    more = [*first["messages"], {"role": "user", "content": "And there?"}]
    result = ask(calling(("now", {"zone": "CET"})), answer("Noon too."), tools=[now], messages=more)
    assert [one["role"] for one in result["messages"]] == ["user", "assistant", "tool", "assistant"] * 2
    assert first["messages"] == result["messages"][:4]
    assert QUESTION == [{"role": "user", "content": "What is it like there?"}]


def test_results_that_are_no_text_are_shown_as_json(ask: Model) -> None:
    results = [None, 3, [1, "x"], True, "text"]
    tools = [{"name": f"f{at}", "function": lambda value=value: value} for at, value in enumerate(results)]
    result = ask(calling(*((f"f{at}", {}) for at in range(5))), answer("So."), tools=tools)
    assert told(result) == [results]
    assert [one["content"] for one in result["messages"] if one["role"] == "tool"] == [
        "null",
        "3",
        [1, "x"],
        "true",
        "text",
    ]


def test_a_tool_sees_the_callers_context(ask: Model) -> None:
    variable = contextvars.ContextVar("variable", default="none")

    def look() -> str:
        return variable.get()

    variable.set("mine")
    assert told(ask(calling(("look", {})), answer("So."), tools=[look])) == [["mine"]]


def test_what_goes_wrong_in_asking_is_raised(ask: Model) -> None:
    with pytest.raises(QueueFull):
        ask(calling(("now", {})), QueueFull("full"), tools=[now])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"stream": True}, Unsupported, "stream is not supported by run_with_tools."),
        ({"max_rounds": 0}, InvalidRequest, "max_rounds is 0; it must be at least 1."),
        ({"messages": "Hi"}, InvalidRequest, "messages: expected an array of messages, found a string."),
        (
            {"tools": now},
            InvalidRequest,
            "tools: expected an array of functions or definitions, found a Python function.",
        ),
        ({"tools": [5]}, InvalidRequest, "tools[0]: expected a function or a definition, found a number."),
        (
            {"tools": [now, now]},
            InvalidRequest,
            'tools[1].function.name: must be the only tool of its name, found "now" again.',
        ),
        ({"tools": [{"function": now}]}, InvalidRequest, "tools[0].name: must be given, found nothing."),
        (
            {"tools": [{"name": "f", "parameters": {"type": 5}, "function": now}]},
            InvalidRequest,
            "tools[0]: the parameters are no JSON Schema: 5 is not valid under any of the given schemas.",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(
    ask: Model, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as refused:
        ask(calling(("now", {})), **{"tools": [now], **options})
    assert refused.value.message == message  # type: ignore[attr-defined]
    assert ask.engine.requests == []


def test_a_schema_that_refers_elsewhere_fetches_nothing(ask: Model) -> None:
    parameters = {"type": "object", "properties": {"x": {"$ref": "http://127.0.0.1:9/schema"}}}
    tool = {"name": "f", "parameters": parameters, "function": lambda x: x}
    ((error,),) = told(ask(calling(("f", {"x": 1})), answer("Sorry."), tools=[tool], constrain_tools=False))
    assert error.startswith("The arguments cannot be checked: ")


def test_parity_has_no_ids_to_tell_results_by(ask: Model) -> None:
    ask.options = {"parity": True}
    with pytest.raises(ConfigError, match="parity"):
        ask(tools=[now])


def test_the_function_of_the_package_takes_a_runtime(model: str) -> None:
    engine = FakeEngine([calling(("now", {})), answer("Noon.")])
    with Runtime(make_engine=lambda *_: engine, files=[model]) as ai:
        result = runtime.run_with_tools(model, QUESTION, tools=[now], max_rounds=3, ai=ai)
    assert (result["response"], told(result)) == ("Noon.", [["noon in UTC"]])


def test_the_function_of_the_package_makes_a_runtime_and_closes_it(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine([calling(("now", {})), answer("Noon.")])
    monkeypatch.setattr("runtime.loading.local_engine", lambda *_: engine)
    monkeypatch.setenv("LLAMALET_MODELS", str(models_file(model)))
    assert runtime.run_with_tools("mine", QUESTION, tools=[now], max_rounds=3)["response"] == "Noon."
    assert engine.closed.is_set()


def models_file(model: str) -> Any:
    from pathlib import Path

    file = Path(model).with_name("models.toml")
    file.write_text(f'[[model]]\nid = "mine"\npath = "{Path(model).name}"\n')
    return file
