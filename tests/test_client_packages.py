"""Packages that know nothing of llamalet, each by way of a program that uses it as its users do: one fact, all packages
that could show it."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from tests.callers import CALL, TWO, WEATHER, WORDS
from tests.models import key_token
from tests.programs import PACKAGES, Program, Refused, started
from tests.weather import (
    CALLER,
    FORECAST,
    OSLO,
    RANDOM,
    RIVERS,
    ROME,
    SAYS,
    SCHEMA,
    TEXT,
    TOKEN,
    TOOLS,
    about,
    weather_service,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import Running

pytestmark = pytest.mark.clients


def packages(names: str) -> pytest.MarkDecorator:
    found = [pytest.param(name, marks=PACKAGES[name].mark) for name in names.split()]
    return pytest.mark.parametrize("client", found, indirect=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with weather_service(tmp_path_factory.mktemp("packages")) as running:
        yield running


@pytest.fixture(scope="module")
def programs(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Program]]:
    """Starts a program when it is asked for the first time."""
    running: dict[str, Program] = {}
    with contextlib.ExitStack() as stack:

        def program(name: str) -> Program:
            if name not in running:
                home = tmp_path_factory.mktemp("home")
                running[name] = stack.enter_context(started(PACKAGES[name], server.url, TOKEN, home))
            return running[name]

        yield program


@pytest.fixture
def client(request: pytest.FixtureRequest, programs: Callable[[str], Program]) -> Program:
    return programs(request.param)


@packages("ai cloudflare cloudflare.js langchain langchain.js litellm local-ai openai openai.js")
def test_the_answer_is_the_models(client: Program) -> None:
    assert client("chat", **about(WORDS))["text"] == TEXT


@packages("ai langchain langchain.js litellm local-ai openai openai.js")
def test_a_stream_is_the_answer_in_pieces(client: Program) -> None:
    assert client("stream", **about(WORDS))["pieces"] == SAYS[WORDS]


@packages("ai litellm local-ai openai openai.js")
@pytest.mark.parametrize("call", ["chat", "stream"])
def test_an_option_is_heeded_and_the_end_told(client: Program, call: str) -> None:
    answer = client(call, **about(WORDS, options={"max_tokens": 3}))
    text = answer["text"] if call == "chat" else "".join(answer["pieces"])
    assert (text, answer["finish"], answer["tokens"]) == ("It will be ", "length", 3)


@packages("ai langchain litellm local-ai openai openai.js")
@pytest.mark.parametrize("call", ["chat", "stream"])
@pytest.mark.parametrize(("key", "calls"), [(CALL, ROME), (TWO, OSLO), (WORDS, [])], ids=["one", "two", "none"])
def test_calls_are_found(client: Program, call: str, key: int, calls: list[Any]) -> None:
    assert client(call, **about(key, tools=TOOLS))["calls"] == calls


@packages("cloudflare cloudflare.js")
@pytest.mark.parametrize(("key", "calls"), [(CALL, ROME), (TWO, OSLO)], ids=["one", "two"])
def test_calls_come_with_the_result(client: Program, key: int, calls: list[Any]) -> None:
    assert client("chat", **about(key, tools=TOOLS))["calls"] == calls


@packages("ai litellm local-ai openai openai.js")
@pytest.mark.parametrize("call", ["chat", "stream"])
def test_that_there_are_calls_is_how_it_ended(client: Program, call: str) -> None:
    assert client(call, **about(CALL, tools=TOOLS))["finish"].replace("-", "_") == "tool_calls"


@packages("ai langchain litellm local-ai openai openai.js")
@pytest.mark.parametrize("call", ["chat", "stream"])
def test_a_call_that_must_come_satisfies_the_schema(client: Program, call: str) -> None:
    """Whatever the model would like to write: this one's weights are random."""
    asked = {"model": RANDOM, "content": "Weather?", "tools": TOOLS[:1], "tool_choice": "required"}
    (name, arguments), *_ = client(call, **asked)["calls"]
    assert name == "weather"
    jsonschema.validate(arguments, WEATHER["parameters"])


@packages("ai ai-utils langchain litellm openai openai.js")
def test_the_result_of_a_tool_leads_to_an_answer(client: Program) -> None:
    assert client("rounds", **about(CALL, tools=TOOLS[:1], forecast=FORECAST)) == {"text": TEXT, "calls": ROME}


@packages("ai cloudflare cloudflare.js langchain litellm local-ai openai openai.js")
def test_a_document_satisfies_the_schema(client: Program) -> None:
    jsonschema.validate(client("document", model=RANDOM, content="Rivers?", schema=SCHEMA), SCHEMA)


@packages("langchain")
def test_structured_output_is_the_arguments_of_a_call(client: Program) -> None:
    assert client("structured", **about(RIVERS, schema=SCHEMA)) == {"rivers": ["Rhine", "Po"], "length": 3}


@packages("ai litellm local-ai openai openai.js")
@pytest.mark.parametrize("call", ["chat", "stream"])
def test_the_message_of_an_error_says_what_is_wrong(client: Program, call: str) -> None:
    with pytest.raises(Refused, match="temperature: must be at most"):
        client(call, **about(WORDS, options={"temperature": 9}))


@packages("ai langchain langchain.js litellm openai openai.js")
@pytest.mark.parametrize(
    ("wrong", "status"),
    [({"key": "another-token-of-20"}, 401), ({"model": "@cf/meta/llama-9"}, 400)],
    ids=["token", "model"],
)
@pytest.mark.parametrize("call", ["chat", "stream"])
def test_an_error_has_its_status(client: Program, call: str, wrong: dict[str, str], status: int) -> None:
    with pytest.raises(Refused) as caught:
        client(call, **about(WORDS, **wrong))
    assert caught.value.status == status


@packages("openai openai.js")
def test_a_response_is_text(client: Program) -> None:
    assert client("response", **about(WORDS)) == {"text": TEXT, "calls": []}


@packages("openai openai.js")
def test_a_response_is_calls(client: Program) -> None:
    assert client("response", **about(TWO, tools=TOOLS))["calls"] == OSLO


@packages("openai openai.js")
def test_a_response_is_a_document(client: Program) -> None:
    given = client("response", model=RANDOM, content="Rivers?", schema=SCHEMA)
    jsonschema.validate(json.loads(given["text"]), SCHEMA)


@packages("cloudflare cloudflare.js local-ai openai openai.js")
def test_the_models_are_listed(client: Program) -> None:
    assert {CALLER, RANDOM} <= set(client("models"))


@packages("cloudflare cloudflare.js")
def test_the_schema_of_a_model_is_given(client: Program) -> None:
    schema = client("schema", model=CALLER)
    jsonschema.validate({"prompt": "Why?"}, schema["input"])
    jsonschema.validate({"response": "Because."}, schema["output"])


@packages("ai")
@pytest.mark.parametrize("call", ["chat", "stream"])
def test_local_ai_is_a_binding_for_the_provider(client: Program, call: str) -> None:
    assert client(call, **about(CALL, tools=TOOLS, bound=True))["calls"] == ROME
    answer = client(call, **about(WORDS, bound=True))
    assert answer["text" if call == "chat" else "pieces"] == (TEXT if call == "chat" else SAYS[WORDS])


@packages("local-ai")
def test_the_response_itself_can_be_had(client: Program) -> None:
    answer = client("raw", **about(WORDS))
    assert (answer["status"], answer["type"], answer["body"]["response"]) == (200, "application/json", TEXT)


@packages("local-ai")
def test_a_response_that_is_an_error_is_no_exception(client: Program) -> None:
    answer = client("raw", **about(WORDS, model="@cf/meta/llama-9"))
    assert (answer["status"], answer["body"]["success"]) == (400, False)


@packages("local-ai")
def test_what_is_thrown_is_what_the_binding_throws(client: Program) -> None:
    with pytest.raises(Refused, match=r"^5006: AiError: ") as caught:
        client("chat", **about(WORDS, options={"temperature": 9}))
    assert caught.value.name == "InferenceUpstreamError"


@packages("local-ai")
def test_without_a_server_the_error_says_how_to_start_it(client: Program) -> None:
    with pytest.raises(Refused, match="llamalet serve"):
        client("chat", **about(WORDS, at="http://127.0.0.1:1"))


@packages("local-ai")
def test_an_error_of_something_between_is_told(client: Program) -> None:
    with pytest.raises(Refused, match="502: Bad gateway"):
        client("proxied", model=CALLER, status=502, text="Bad gateway")


@packages("local-ai")
def test_a_batch_is_queued_and_polled(client: Program) -> None:
    requests = [{"prompt": key_token(WORDS)}, {"prompt": key_token(WORDS), "max_tokens": 3}]
    assert client("batch", model=CALLER, requests=requests) == [TEXT, "It will be "]


@packages("local-ai")
def test_an_aborted_run_is_an_abort(client: Program) -> None:
    with pytest.raises(Refused) as caught:
        client("aborted", **about(WORDS))
    assert caught.value.name == "AbortError"
