"""Requests for documents and calls, all the way: checks that fail, tries again, the same from Python and over HTTP."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cloudflare
import httpx
import pytest

from runtime import AsyncRuntime, Runtime
from runtime.errors import DocumentRefused, UnsupportedSchema
from tests.fake_engine import FakeEngine, answer
from tests.models import random_model
from tests.rawgguf import model_bytes
from tests.servers import ACCOUNT, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Running

UNIQUE = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 9}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


def asked(schema: Any, **options: Any) -> dict[str, Any]:
    return {"prompt": "Go.", "response_format": {"type": "json_schema", "json_schema": schema}, **options}


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(model_bytes())
    return str(path)


@pytest.fixture(params=["plain", "async"])
def run(request: pytest.FixtureRequest, model: str) -> Any:
    """Runs a body on an engine with these answers; gives the result and the requests that the engine had."""

    def plain(body: dict[str, Any], *scripts: Any) -> tuple[Any, FakeEngine]:
        engine = FakeEngine(scripts)
        with Runtime(make_engine=lambda *_: engine, files=[model]) as ai:
            return ai.run(model, body), engine

    async def awaited(body: dict[str, Any], *scripts: Any) -> tuple[Any, FakeEngine]:
        engine = FakeEngine(scripts)
        async with AsyncRuntime(make_engine=lambda *_: engine, files=[model]) as ai:
            return await ai.run(model, body), engine

    return plain if request.param == "plain" else lambda *arguments: asyncio.run(awaited(*arguments))


def test_what_is_not_valid_is_written_again_with_another_seed(run: Any) -> None:
    body = asked(UNIQUE, approximate=True, seed=9_999_999_999)
    result, engine = run(body, answer("[1, 1]"), answer("[2, 2]"), answer("[1, 2]"))
    assert (result["response"], result.parsed) == ([1, 2], [1, 2])
    assert [request.sampling.seed for request in engine.requests] == [9_999_999_999, 1, 2]
    assert len({request.id for request in engine.requests}) == 3


def test_after_four_answers_that_are_not_valid_it_is_over(run: Any) -> None:
    with pytest.raises(DocumentRefused, match=r"^JSON Model couldn't be met: \$ fails uniqueItems") as refused:
        run(asked(UNIQUE, approximate=True), *[answer("[1, 1]")] * 4, answer("[1]"))
    assert (refused.value.code, refused.value.status) == (5024, 400)


def test_without_chance_it_is_not_tried_again(run: Any) -> None:
    with pytest.raises(DocumentRefused):
        run(asked(UNIQUE, approximate=True, temperature=0), answer("[1, 1]"), answer("[1]"))


def test_what_cannot_be_enforced_is_refused_where_nobody_chose_it(run: Any) -> None:
    with pytest.raises(UnsupportedSchema, match="uniqueItems"):
        run(asked(UNIQUE), answer("[1]"))


def test_the_engine_is_asked_to_hold_the_answer_to_the_grammar(run: Any) -> None:
    _, engine = run(asked({"const": 5}), answer("5"))
    assert engine.requests[0].grammar.startswith("root ::=")
    result, engine = run({"prompt": "Go.", "grammar": 'root ::= "5"'}, answer("5"))
    assert (result["response"], result.parsed, engine.requests[0].grammar) == ("5", None, 'root ::= "5"')


@dataclass
class Person:
    name: str
    age: int


def test_a_type_of_python_is_what_is_parsed(run: Any) -> None:
    result, _ = run({"prompt": "Go.", "response_format": Person}, answer('{"name": "Ann", "age": 31}'))
    assert (result.parsed, result["response"]) == (Person("Ann", 31), {"name": "Ann", "age": 31})
    assert json.loads(json.dumps(result)) == result


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("documents")
    random_model(folder / "noise.gguf")
    (folder / "models.toml").write_text('[[model]]\nid = "noise"\npath = "noise.gguf"\n')
    with serving(models=folder / "models.toml", threads=1) as running:
        yield running


def test_python_and_http_give_the_same_document(server: Running) -> None:
    body = asked(PERSON, seed=5)
    over_http = httpx.post(server.run("noise"), json=body, timeout=60).json()["result"]
    in_python = asyncio.run(server.ai.run("noise", body))
    assert over_http["response"] == in_python["response"] == in_python.parsed
    assert over_http["response"].keys() == {"name", "age"}
    assert over_http["usage"] == in_python["usage"]
    assert over_http["usage"]["completion_tokens_details"]["forced_tokens"] > 5


def test_a_stream_over_http_is_text_and_has_the_value_at_its_end(server: Running) -> None:
    lines = httpx.post(server.run("noise"), json=asked(PERSON, seed=5, stream=True), timeout=60).text.split("\n\n")
    *events, done, _ = lines
    shown = [json.loads(event.removeprefix("data: ")) for event in events]
    assert done == "data: [DONE]"
    assert json.loads("".join(event["response"] for event in shown)) == shown[-1]["parsed"]


def test_cloudflares_package_gets_the_document(server: Running) -> None:
    with cloudflare.Cloudflare(api_token="any", base_url=f"{server.url}/client/v4") as client:
        result: Any = client.ai.run("noise", account_id=ACCOUNT, **asked(PERSON))
    assert result["response"].keys() == {"name", "age"}


def test_what_is_smaller_than_the_smallest_document_is_refused_over_http(server: Running) -> None:
    reply = httpx.post(server.run("noise"), json=asked(PERSON, max_tokens=3), timeout=60)
    (error,) = reply.json()["errors"]
    assert (reply.status_code, error["code"]) == (400, 5006)
    assert "max_tokens is 3, and the smallest document has " in error["message"]


def test_a_grammar_is_for_callers_in_python_only(server: Running) -> None:
    reply = httpx.post(server.run("noise"), json={"prompt": "Go.", "grammar": 'root ::= "a"'}, timeout=60)
    assert (reply.status_code, "grammar is for callers in Python only" in reply.text) == (400, True)


FEED = {"name": "feed", "description": "Feed an animal.", "parameters": PERSON}


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "feed"}}])
def test_python_and_http_give_the_same_required_call(server: Running, choice: Any) -> None:
    body = {"prompt": "Go.", "tools": [FEED, {"name": "other"}], "tool_choice": choice, "seed": 5, "max_tokens": 400}
    body["parallel_tool_calls"] = False
    over_http = httpx.post(server.run("noise"), json=body, timeout=60).json()["result"]
    in_python = asyncio.run(server.ai.run("noise", body))
    calls = [[(call["name"], call["arguments"]) for call in one["tool_calls"]] for one in (over_http, in_python)]
    assert calls[0] == calls[1]
    assert (len(calls[0]), over_http["finish_reason"], over_http["response"]) == (1, "tool_calls", "")
    lines = httpx.post(server.run("noise"), json={**body, "stream": True}, timeout=60).text.split("\n\n")[:-2]
    shown = [json.loads(line.removeprefix("data: ")) for line in lines]
    grown = "".join(call["function"]["arguments"] for one in shown[:-1] for call in one["tool_calls"])
    assert json.loads(grown) == calls[0][0][1] == shown[-1]["tool_calls"][0]["arguments"]
