"""Second and third turns with tools, in every form in which clients write the history: all are the same prompt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime import pipeline
from runtime.catalog import ModelSpec, Quant
from runtime.prompt import END_OF_TURN, HEADER_END, HEADER_START
from runtime.values import Done, Timings, ToolCall, Usage
from runtime.wire import workers_ai

SPEC = ModelSpec("m", (Quant("GGUF", "m.gguf"),), "GGUF", path=Path("m.gguf"))
TOOLS = [{"name": "weather", "description": "", "parameters": {"type": "object", "properties": {}}}]
ARGUMENTS = {"city": "Zürich", "days": 3}
TEXT = json.dumps(ARGUMENTS, ensure_ascii=False)
SAID = '{"name": "weather", "parameters": {"city": "Zürich", "days": 3}}'
RESULT = "18 C"

Messages = list[dict[str, Any]]


def prompt_of(messages: Messages, *, parity: bool = False) -> list[str]:
    """The turns of the prompt, as role and text."""
    inputs = workers_ai.parse({"messages": messages, "tools": TOOLS}, parity=parity)
    pieces = pipeline.prepare(inputs, SPEC, request_id="r", date="26 Jul 2024", timeout=1).prompt
    text = "".join(piece.text for piece in pieces)
    turns = text.split(HEADER_START.text)[1:]
    return [turn.replace(HEADER_END.text, ":").removesuffix(END_OF_TURN.text) for turn in turns]


def openai(**beside: Any) -> Messages:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": TEXT}}
    result = {"role": "tool", "tool_call_id": "c1", "content": RESULT}
    return [{"role": "assistant", "tool_calls": [call], **beside}, result]


def flat(**result: Any) -> Messages:
    call = {"name": "weather", "arguments": ARGUMENTS}
    return [{"role": "assistant", "content": "", "tool_calls": [call]}, {"role": "tool", "content": RESULT, **result}]


def spoken(call: Any, **result: Any) -> Messages:
    content = json.dumps(call, separators=(",", ":"))
    return [{"role": "assistant", "content": content}, {"role": "tool", "content": RESULT, **result}]


def ours() -> Messages:
    """What `run` gives, sent back as it is."""
    done = Done("tool_calls", Usage(1, 1), Timings(0, 0, 0), (ToolCall("weather", ARGUMENTS, "id"),))
    answer: Any = workers_ai.Answer().add(done)
    assistant = {"role": "assistant", "content": answer["response"], "tool_calls": answer["tool_calls"]}
    return [assistant, {"role": "tool", "tool_call_id": answer["tool_calls"][0]["id"], "content": RESULT}]


FORMS: dict[str, Messages] = {
    "openai, null": openai(content=None),
    "openai, empty": openai(content=""),
    "openai, missing": openai(),
    "openai, array": openai(content=[]),
    "openai, empty part": openai(content=[{"type": "text", "text": ""}]),
    "openai, prose": openai(content=[{"type": "text", "text": "Let me see."}]),
    "openai until 2023": [
        {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": TEXT}},
        {"role": "function", "name": "weather", "content": RESULT},
    ],
    "langchain": openai(content=SAID),
    "flat, without ids": flat(),
    "flat, by name": flat(name="weather"),
    "result in parts": flat(content=[{"type": "text", "text": RESULT}]),
    "documentation": spoken({"name": "weather", "arguments": ARGUMENTS}),
    "ai-utils": spoken({"name": "weather", "arguments": ARGUMENTS}, name="weather"),
    "ai-utils, of our calls": spoken(ours()[0]["tool_calls"][0], name="weather"),
    "as the model says it": spoken({"name": "weather", "parameters": ARGUMENTS}),
    "ours": ours(),
}
QUESTION = {"role": "user", "content": "And now?"}
TURN = [f"assistant:\n\n{SAID}", f'ipython:\n\n"{RESULT}"']
OPEN = "assistant:\n\n"


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("form", FORMS)
def test_a_history_of_calls_is_the_same_prompt_in_any_form(form: str, turns: int) -> None:
    assert prompt_of([QUESTION, *FORMS[form] * turns])[2:] == [*TURN * turns, OPEN]


@pytest.mark.parametrize("form", FORMS)
def test_a_question_may_follow_what_tools_said(form: str) -> None:
    answer = {"role": "assistant", "content": "18 degrees."}
    turns = prompt_of([QUESTION, *FORMS[form], answer, QUESTION, *FORMS[form]])[2:]
    assert turns == [*TURN, "assistant:\n\n18 degrees.", "user:\n\nAnd now?", *TURN, OPEN]


@pytest.mark.parametrize("form", ["documentation", "ai-utils", "as the model says it"])
def test_the_published_forms_are_that_in_parity_too(form: str) -> None:
    assert prompt_of([QUESTION, *FORMS[form]], parity=True)[2:] == [*TURN, OPEN]


def test_several_calls_of_ai_utils_come_before_their_results() -> None:
    call = {"role": "assistant", "content": json.dumps({"name": "weather", "arguments": ARGUMENTS})}
    result = {"role": "tool", "name": "weather", "content": RESULT}
    assert prompt_of([QUESTION, call, call, result, result])[2:] == [*TURN[:1] * 2, *TURN[1:] * 2, OPEN]


def test_several_calls_at_once_are_one_turn_and_their_results_come_in_their_order() -> None:
    calls = [{"id": name, "function": {"name": name, "arguments": "{}"}} for name in ("f", "g")]
    results = [{"role": "tool", "tool_call_id": name, "content": f"of {name}"} for name in ("g", "f")]
    assert prompt_of([QUESTION, {"role": "assistant", "tool_calls": calls}, *results])[2:] == [
        'assistant:\n\n{"name": "f", "parameters": {}}; {"name": "g", "parameters": {}}',
        'ipython:\n\n"of f"',
        'ipython:\n\n"of g"',
        OPEN,
    ]


def test_without_a_result_json_is_what_the_assistant_said() -> None:
    said = {"role": "assistant", "content": json.dumps({"name": "weather", "arguments": {}})}
    assert prompt_of([QUESTION, said, QUESTION])[2] == 'assistant:\n\n{"name": "weather", "arguments": {}}'
