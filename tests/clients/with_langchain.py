"""`langchain-cloudflare`."""

from __future__ import annotations

from typing import Any

from langchain_cloudflare import ChatCloudflareWorkersAI
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.output_parsers import JsonOutputParser

from tests.clients.calls import ACCOUNT, SERVER, TOKEN, answering


def model(model: str, *, options: Any = None, tools: Any = (), tool_choice: Any = None, key: str = TOKEN) -> Any:
    where = {"account_id": ACCOUNT, "api_token": key, "base_url": f"{SERVER}/client/v4"}
    made = ChatCloudflareWorkersAI(model=model, **where, **(options or {}))
    if not tools:
        return made
    return made.bind_tools(list(tools), **({"tool_choice": tool_choice} if tool_choice else {}))


def calls_of(message: Any) -> list[Any]:
    return [[call["name"], call["args"]] for call in message.tool_calls]


def chat(*, content: str, **asked: Any) -> dict[str, Any]:
    answer = model(**asked).invoke(content)
    return {"text": answer.content, "calls": calls_of(answer), "tokens": answer.usage_metadata["output_tokens"]}


def stream(*, content: str, **asked: Any) -> dict[str, Any]:
    chunks = list(model(**asked).stream(content))
    whole = sum(chunks[1:], chunks[0])
    return {"pieces": [chunk.content for chunk in chunks if chunk.content], "calls": calls_of(whole)}


def document(*, content: str, schema: Any, **asked: Any) -> Any:
    """The schema is enforced. `with_structured_output` shows the model a tool, which it is free to call or not."""
    held = model(**asked).bind(response_format={"type": "json_schema", "json_schema": schema})
    return (held | JsonOutputParser()).invoke(content)


def structured(*, content: str, schema: Any, **asked: Any) -> Any:
    return model(**asked).with_structured_output(schema).invoke(content)


def rounds(*, content: str, forecast: str, **asked: Any) -> dict[str, Any]:
    asks = model(**asked)
    first = asks.invoke(content)
    told = [ToolMessage(forecast, tool_call_id=call["id"], name=call["name"]) for call in first.tool_calls]
    return {"text": asks.invoke([HumanMessage(content), first, *told]).content, "calls": calls_of(first)}


answering({"chat": chat, "stream": stream, "document": document, "structured": structured, "rounds": rounds})
