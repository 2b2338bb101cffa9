"""Requests with tools, all the way: on an engine that runs, and the same from Python and over HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import cloudflare
import httpx
import pytest

from runtime import Runtime
from tests.callers import CALL, TWO, WORDS, ask, calling_model
from tests.servers import ACCOUNT, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Running

KEYS = {"call": CALL, "two": TWO, "words": WORDS}
CALLS: dict[int, list[tuple[str, Any]]] = {
    CALL: [("weather", {"city": "Rome", "days": 3})],  # the model says "3"
    TWO: [("weather", {"city": "Oslo"}), ("now", {})],
    WORDS: [],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tools")
    calling_model(folder / "caller.gguf")
    (folder / "models.toml").write_text('[[model]]\nid = "caller"\npath = "caller.gguf"\n')
    return folder


@pytest.fixture(scope="module")
def ai(folder: Path) -> Iterator[Runtime]:
    with Runtime(models=folder / "models.toml", threads=1) as ai:
        yield ai


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    with serving(models=folder / "models.toml", threads=1) as running:
        yield running


def found(result: Any) -> list[tuple[str, Any]]:
    return [(call["name"], call["arguments"]) for call in result["tool_calls"]]


def stable(value: Any) -> Any:
    """Without what differs from run to run: times, and ids, of which the number at the end stays."""
    if isinstance(value, dict):
        kept = {key: stable(item) for key, item in value.items() if key != "timings"}
        return {key: item.rpartition("-")[2] if key == "id" else item for key, item in kept.items()}
    return [stable(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_the_calls_of_an_answer_are_found(ai: Runtime, key: int) -> None:
    result = ai.run("caller", ask(key))
    assert (found(result), result["finish_reason"]) == (CALLS[key], "tool_calls" if CALLS[key] else "stop")
    assert result["response"] == ("" if CALLS[key] else "It will be sunny for three days in Rome.")


@pytest.mark.parametrize("options", [{"tools": []}, {"tool_choice": "none"}])
def test_without_tools_nothing_is_a_call(ai: Runtime, options: dict[str, Any]) -> None:
    result = ai.run("caller", {**ask(CALL), **options})
    assert (found(result), result["finish_reason"]) == ([], "stop")
    assert result["response"] == '{"name": "weather", "parameters": {"city": "Rome", "days": "3"}}'


def test_one_call_may_be_enough(ai: Runtime) -> None:
    result = ai.run("caller", ask(TWO, parallel_tool_calls=False))
    assert (found(result), result["finish_reason"]) == (CALLS[TWO][:1], "tool_calls")
    assert result["usage"]["completion_tokens"] == 5  # the one that closes the first call, and none behind it


def test_a_call_that_max_tokens_cut_off_is_text(ai: Runtime) -> None:
    result = ai.run("caller", ask(CALL, max_tokens=5))
    assert (found(result), result["finish_reason"]) == ([], "length")
    assert result["response"] == '{"name": "weather", "parameters": {"city'


def test_a_call_before_the_cut_is_one(ai: Runtime) -> None:
    result = ai.run("caller", ask(TWO, max_tokens=6))
    assert (found(result), result["finish_reason"]) == (CALLS[TWO][:1], "length")


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_every_token_has_its_log_probability_once(ai: Runtime, key: int) -> None:
    result = ai.run("caller", ask(key, logprobs=True))
    streamed = [
        one for event in ai.run("caller", ask(key, logprobs=True), stream=True) for one in event.get("logprobs", [])
    ]
    assert len(result["logprobs"]) == result["usage"]["completion_tokens"]
    assert [one["token"] for one in streamed] == [one["token"] for one in result["logprobs"]]


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_python_and_http_give_the_same(ai: Runtime, server: Running, key: int) -> None:
    reply = httpx.post(server.run("caller"), json=ask(key), timeout=60).json()
    assert stable(reply) == {
        "result": stable(ai.run("caller", ask(key))),
        "success": True,
        "errors": [],
        "messages": [],
    }
    assert stable(asyncio.run(server.ai.run("caller", ask(key)))) == stable(reply["result"])


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_python_and_http_stream_the_same(ai: Runtime, server: Running, key: int) -> None:
    text = httpx.post(server.run("caller"), json=ask(key, stream=True), timeout=60).text
    *events, done, _ = text.split("\n\n")
    assert done == "data: [DONE]"
    streamed = [stable(json.loads(event.removeprefix("data: "))) for event in events]
    assert streamed == [stable(event) for event in ai.run("caller", ask(key), stream=True)]
    assert found({"tool_calls": [], **streamed[-1]}) == CALLS[key]


def test_cloudflares_package_gets_the_calls(server: Running) -> None:
    with cloudflare.Cloudflare(api_token="any", base_url=f"{server.url}/client/v4") as client:
        ours = {"constrain_tools": False}
        published = {key: value for key, value in ask(TWO).items() if key not in ours}
        result: Any = client.ai.run("caller", account_id=ACCOUNT, extra_body=ours, **published)
    assert (found(result), result["finish_reason"]) == (CALLS[TWO], "tool_calls")
