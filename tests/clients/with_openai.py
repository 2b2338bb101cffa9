"""`openai`: its chat completions, and its responses."""

from __future__ import annotations

import json
from typing import Any

import openai

from tests.clients.calls import OPENAI, TOKEN, answering


def client(key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=OPENAI, api_key=key)


def asking(
    model: str,
    content: str,
    *,
    messages: Any = (),
    tools: Any = (),
    schema: Any = None,
    options: Any = None,
    tool_choice: Any = None,
) -> dict[str, Any]:
    asked = {"model": model, "messages": [{"role": "user", "content": content}, *messages], **(options or {})}
    if tools:
        asked["tools"] = [{"type": "function", "function": tool} for tool in tools]
    if tool_choice:
        asked["tool_choice"] = tool_choice
    if schema:
        asked["response_format"] = {"type": "json_schema", "json_schema": {"name": "document", "schema": schema}}
    return asked


def calls_of(message: Any) -> list[Any]:
    return [[call.function.name, json.loads(call.function.arguments)] for call in message.tool_calls or ()]


def chat(*, key: str = TOKEN, **asked: Any) -> dict[str, Any]:
    answer = client(key).chat.completions.create(**asking(**asked))
    (choice,) = answer.choices
    found = {"text": choice.message.content, "calls": calls_of(choice.message), "finish": choice.finish_reason}
    return {**found, "tokens": answer.usage.completion_tokens}


def stream(*, key: str = TOKEN, **asked: Any) -> dict[str, Any]:
    request = {**asking(**asked), "stream": True, "stream_options": {"include_usage": True}}
    calls: dict[int, tuple[str, str]] = {}
    pieces, finish, tokens = [], None, None
    for chunk in client(key).chat.completions.create(**request):
        tokens = chunk.usage.completion_tokens if chunk.usage else tokens
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            pieces += [choice.delta.content] if choice.delta.content else []
            for call in choice.delta.tool_calls or ():
                name, arguments = calls.get(call.index, ("", ""))
                calls[call.index] = name + (call.function.name or ""), arguments + (call.function.arguments or "")
    found = [[name, json.loads(arguments)] for _, (name, arguments) in sorted(calls.items())]
    return {"pieces": pieces, "calls": found, "finish": finish, "tokens": tokens}


def document(**asked: Any) -> Any:
    return json.loads(chat(**asked)["text"])


def rounds(*, forecast: str, key: str = TOKEN, **asked: Any) -> dict[str, Any]:
    first = client(key).chat.completions.create(**asking(**asked)).choices[0].message
    told = [{"role": "tool", "tool_call_id": call.id, "content": forecast} for call in first.tool_calls]
    history = [first.model_dump(exclude_unset=True), *told]
    return {"text": chat(key=key, **asked, messages=history)["text"], "calls": calls_of(first)}


def response(*, model: str, content: str, tools: Any = (), schema: Any = None, key: str = TOKEN) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": model, "input": content}
    if tools:
        asked["tools"] = [{"type": "function", "strict": False, **tool} for tool in tools]
    if schema:
        asked["text"] = {"format": {"type": "json_schema", "name": "document", "schema": schema}}
    answer = client(key).responses.create(**asked)
    calls = [[item.name, json.loads(item.arguments)] for item in answer.output if item.type == "function_call"]
    return {"text": answer.output_text, "calls": calls}


def models(*, key: str = TOKEN) -> list[str]:
    return [model.id for model in client(key).models.list()]


answering(
    {"chat": chat, "stream": stream, "document": document, "rounds": rounds, "response": response, "models": models}
)
