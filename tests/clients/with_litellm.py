"""`litellm`."""

from __future__ import annotations

import json
import os
from typing import Any

# Else it fetches prices when it is imported, and a tokenizer to count the tokens of a stream: offline that takes 20 s.
os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "HF_HUB_OFFLINE": "1"}

import litellm

from tests.clients.calls import OPENAI, TOKEN, answering


def complete(*, model: str, content: str, messages: Any = (), key: str = TOKEN, **asked: Any) -> Any:
    tools, schema = asked.pop("tools", ()), asked.pop("schema", None)
    options = asked.pop("options", {}) | asked
    if tools:
        options["tools"] = [{"type": "function", "function": tool} for tool in tools]
    if schema:
        options["response_format"] = {"type": "json_schema", "json_schema": {"name": "document", "schema": schema}}
    conversation = [{"role": "user", "content": content}, *messages]
    where = {"api_base": OPENAI, "api_key": key}
    return litellm.completion(model=f"cloudflare/{model}", messages=conversation, **where, **options)


def calls_of(message: Any) -> list[Any]:
    return [[call.function.name, json.loads(call.function.arguments)] for call in message.tool_calls or ()]


def chat(**asked: Any) -> dict[str, Any]:
    answer = complete(**asked)
    (choice,) = answer.choices
    found = {"text": choice.message.content, "calls": calls_of(choice.message), "finish": choice.finish_reason}
    return {**found, "tokens": answer.usage.completion_tokens}


def stream(**asked: Any) -> dict[str, Any]:
    chunks = list(complete(**asked, stream=True, stream_options={"include_usage": True}))
    whole = litellm.stream_chunk_builder(chunks)
    (choice,) = whole.choices
    pieces = [piece for chunk in chunks for each in chunk.choices if (piece := each.delta.content)]
    found = {"pieces": pieces, "calls": calls_of(choice.message), "finish": choice.finish_reason}
    return {**found, "tokens": whole.usage.completion_tokens}


def document(**asked: Any) -> Any:
    return json.loads(complete(**asked).choices[0].message.content)


def rounds(*, forecast: str, **asked: Any) -> dict[str, Any]:
    first = complete(**asked).choices[0].message
    told = [{"role": "tool", "tool_call_id": call.id, "content": forecast} for call in first.tool_calls]
    answer = complete(**asked, messages=[first.model_dump(), *told])
    return {"text": answer.choices[0].message.content, "calls": calls_of(first)}


answering({"chat": chat, "stream": stream, "document": document, "rounds": rounds})
