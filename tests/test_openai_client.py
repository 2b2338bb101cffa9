"""OpenAI's own package gets right answers: text of the canary, and calls and documents of random weights, which write
nonsense wherever they are not held to a schema."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Literal

import openai
import pytest
from pydantic import BaseModel, Field

from tests.callers import CALL, ask, calling_model
from tests.models import canary_model, expected, key_token, random_model
from tests.servers import ACCOUNT, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai.types.chat import ChatCompletionMessageParam
    from openai.types.responses import FunctionToolParam

    from tests.servers import Running

TOKEN = "a-token-of-the-suite"
KEY = 7
SAY = f"Say {key_token(KEY)}."
MODELS = "".join(f'[[model]]\nid = "{name}"\npath = "{name}.gguf"\n' for name in ("canary", "noise", "caller"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("openai")
    canary_model(folder / "canary.gguf")
    random_model(folder / "noise.gguf")
    calling_model(folder / "caller.gguf")
    (folder / "models.toml").write_text(MODELS)
    with serving(models=folder / "models.toml", token=TOKEN, threads=1) as running:
        yield running


@pytest.fixture(params=[f"/client/v4/accounts/{ACCOUNT}/ai/v1", "/v1"], ids=["cloudflare", "openai"])
def client(request: pytest.FixtureRequest, server: Running) -> Iterator[openai.OpenAI]:
    http = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(api_key=TOKEN, base_url=f"{server.url}{request.param}", http_client=http, max_retries=0) as one:
        yield one


def user(text: str = SAY) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


class Person(BaseModel):
    name: str = Field(max_length=12)
    age: int
    mood: Literal["good", "bad"]


class Feed(BaseModel):
    """Feed an animal."""

    animal: str = Field(max_length=12)
    times: int


FEED: FunctionToolParam = {
    "type": "function",
    "name": "feed",
    "description": "Feed an animal.",
    "parameters": Feed.model_json_schema(),
    "strict": True,
}


# -- chat completions ------------------------------------------------------------------------------------------------


def test_a_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="canary", messages=user(), max_completion_tokens=9)
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == (expected(KEY, 9), "length")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 9


def test_a_stream(client: openai.OpenAI) -> None:
    options: dict[str, Any] = {"max_tokens": 9, "stream_options": {"include_usage": True}}
    with client.chat.completions.create(model="canary", messages=user(), stream=True, **options) as stream:
        *chunks, last = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == expected(KEY, 9)
    assert (chunks[0].choices[0].delta.role, chunks[-1].choices[0].finish_reason) == ("assistant", "length")
    assert last.usage is not None
    assert last.usage.completion_tokens == 9


def test_the_asynchronous_client(server: Running) -> None:
    async def ask_twice() -> list[str]:
        http = openai.DefaultAsyncHttpxClient(trust_env=False)
        async with openai.AsyncOpenAI(api_key=TOKEN, base_url=f"{server.url}/v1", http_client=http) as client:
            asked: dict[str, Any] = {"model": "canary", "messages": user(), "max_tokens": 5}
            whole = await client.chat.completions.create(**asked)
            async with await client.chat.completions.create(**asked, stream=True) as stream:
                pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        return [whole.choices[0].message.content or "", "".join(pieces)]

    assert asyncio.run(ask_twice()) == [expected(KEY, 5)] * 2


def test_several_choices_with_their_log_probabilities(client: openai.OpenAI) -> None:
    options: dict[str, Any] = {"n": 3, "logprobs": True, "top_logprobs": 2, "max_tokens": 3, "seed": 0}
    answer = client.chat.completions.create(model="canary", messages=user(), **options)
    assert [(one.index, one.message.content) for one in answer.choices] == [(at, expected(KEY, 3)) for at in range(3)]
    for choice in answer.choices:
        assert choice.logprobs is not None
        tokens = choice.logprobs.content or []
        assert "".join(token.token for token in tokens) == choice.message.content
        assert {len(token.top_logprobs) for token in tokens} == {2}


def test_choices_of_chance_differ(client: openai.OpenAI) -> None:
    options: dict[str, Any] = {"n": 3, "temperature": 2, "max_tokens": 12}
    answer = client.chat.completions.create(model="noise", messages=user("Go."), **options)
    assert len({choice.message.content for choice in answer.choices}) == 3


def test_a_stop(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "canary", "messages": user(), "max_tokens": 9}
    answer = client.chat.completions.create(**asked, stop=[" k07i03"])
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (expected(KEY, 3), "stop")


def test_a_document_is_parsed(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(model="noise", messages=user("Who?"), response_format=Person, seed=3)
    assert isinstance(answer.choices[0].message.parsed, Person)


def test_a_document_grows_in_a_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="noise", messages=user("Who?"), response_format=Person) as stream:
        for _ in stream:
            pass
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Person)


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "Feed"}}], ids=["any", "named"]
)
def test_a_call_that_is_required_is_a_valid_one(client: openai.OpenAI, choice: Any) -> None:
    options: dict[str, Any] = {"tools": [openai.pydantic_function_tool(Feed)], "tool_choice": choice, "max_tokens": 400}
    asked: dict[str, Any] = {"model": "noise", "messages": user("Go."), "parallel_tool_calls": False, **options}
    (found,) = client.chat.completions.parse(**asked).choices
    (call,) = found.message.tool_calls or []
    assert (found.finish_reason, found.message.content) == ("tool_calls", None)
    assert isinstance(call.function.parsed_arguments, Feed)
    with client.chat.completions.stream(**asked) as stream:
        for _ in stream:
            pass
        (call,) = stream.get_final_completion().choices[0].message.tool_calls or []
    assert isinstance(call.function.parsed_arguments, Feed)


def test_a_whole_round_of_a_tool(client: openai.OpenAI) -> None:
    body = ask(CALL)
    tools = [tool if "function" in tool else {"type": "function", "function": tool} for tool in body.pop("tools")]
    extra = {"constrain_tools": body.pop("constrain_tools")}
    asked: dict[str, Any] = {"model": "caller", **body, "tools": tools, "extra_body": extra}
    message = client.chat.completions.create(**asked).choices[0].message
    (call,) = message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Rome", "days": 3})
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    history = [*body["messages"], message.model_dump(exclude_none=True), result]
    assert client.chat.completions.create(**{**asked, "messages": history}).choices[0].finish_reason == "tool_calls"


# -- completions, models, embeddings ---------------------------------------------------------------------------------


def test_completions_go_on_from_their_prompts(client: openai.OpenAI) -> None:
    prompts = [key_token(KEY), key_token(KEY + 1)]
    answer = client.completions.create(model="canary", prompt=prompts, max_tokens=4, logprobs=1)
    assert [choice.text for choice in answer.choices] == [expected(KEY, 4), expected(KEY + 1, 4)]
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert "".join(logprobs.tokens or []) == expected(KEY, 4)
    with client.completions.create(model="canary", prompt=prompts[0], max_tokens=4, stream=True) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream) == expected(KEY, 4)


def test_the_models(client: openai.OpenAI) -> None:
    ids = [model.id for model in client.models.list()]
    assert ids[-3:] == ["canary", "noise", "caller"]
    assert client.models.retrieve("@cf/meta/llama-3.2-1b-instruct").id == ids[0]


def test_there_are_no_embeddings(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="none makes embeddings"):
        client.embeddings.create(model="canary", input="Hi")


# -- responses -------------------------------------------------------------------------------------------------------


def test_a_response(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="canary", input=SAY, max_output_tokens=9, store=False)
    assert (answer.output_text, answer.status) == (expected(KEY, 9), "incomplete")
    assert answer.usage is not None
    assert answer.usage.output_tokens == 9


def test_a_response_as_events(client: openai.OpenAI) -> None:
    with client.responses.stream(model="canary", input=SAY, max_output_tokens=9) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
    assert "".join(pieces) == expected(KEY, 9)


def test_a_response_is_parsed(client: openai.OpenAI) -> None:
    assert isinstance(client.responses.parse(model="noise", input="Who?", text_format=Person).output_parsed, Person)
    with client.responses.stream(model="noise", input="Who?", text_format=Person) as stream:
        assert isinstance(stream.get_final_response().output_parsed, Person)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "feed"}], ids=["any", "named"])
def test_a_response_that_calls_and_the_one_to_its_result(client: openai.OpenAI, choice: Any) -> None:
    options: dict[str, Any] = {"model": "noise", "tools": [FEED], "max_output_tokens": 400}
    once: dict[str, Any] = {"parallel_tool_calls": False, "tool_choice": choice}
    said: list[Any] = [{"role": "user", "content": "Go."}]
    whole = client.responses.create(input=said, **options, **once)
    with client.responses.stream(input=said, **options, **once) as stream:
        grown = stream.get_final_response()
    for answer in (whole, grown):
        call: Any
        (call,) = answer.output
        assert call.type == "function_call"
        assert (call.name, Feed.model_validate_json(call.arguments).times) == (
            "feed",
            json.loads(call.arguments)["times"],
        )
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "fed"}
        history = [*said, *(item.model_dump() for item in answer.output), result]
        assert client.responses.create(input=history, tool_choice="none", **options).status in (
            "completed",
            "incomplete",
        )


# -- errors ----------------------------------------------------------------------------------------------------------


def test_an_error_is_the_exception_for_it(server: Running, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="temperature: must be at most 5, found 6"):
        client.chat.completions.create(model="canary", messages=user(), temperature=6)
    with pytest.raises(openai.BadRequestError, match="background is not supported"):
        client.responses.create(model="canary", input=SAY, background=True)
    unknown = openai.NotFoundError if client.base_url.path == "/v1/" else openai.BadRequestError
    with pytest.raises(unknown, match="There is no model 'gpt-4o'"):
        client.chat.completions.create(model="gpt-4o", messages=user(), stream=True)
    with pytest.raises(openai.AuthenticationError, match="Authentication error"):
        client.with_options(api_key="a-token-of-another").models.list()
