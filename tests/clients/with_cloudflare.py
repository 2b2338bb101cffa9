"""`cloudflare`. The environment says where the server is, and which token to use, as it would for a user's program."""

from __future__ import annotations

from typing import Any

from cloudflare import Cloudflare

from tests.clients.calls import ACCOUNT, answering


def answer(*, model: str, content: str, schema: Any = None, **asked: Any) -> Any:
    if schema:
        asked["response_format"] = {"type": "json_schema", "json_schema": schema}
    messages: Any = [{"role": "user", "content": content}]
    return Cloudflare().ai.run(model, account_id=ACCOUNT, messages=messages, **asked)


def chat(**asked: Any) -> dict[str, Any]:
    given = answer(**asked)
    calls = [[call["name"], call["arguments"]] for call in given.get("tool_calls", ())]
    return {"text": given["response"], "calls": calls}


def document(**asked: Any) -> Any:
    return answer(**asked)["response"]


def models() -> list[Any]:
    found: list[Any] = list(Cloudflare().ai.models.list(account_id=ACCOUNT))
    return [model["name"] for model in found]


def schema(*, model: str) -> Any:
    return Cloudflare().ai.models.schema.get(account_id=ACCOUNT, model=model).to_dict()


answering({"chat": chat, "document": document, "models": models, "schema": schema})
