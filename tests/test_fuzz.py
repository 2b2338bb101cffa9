"""Bodies made from the published schemas, right ones and spoilt ones: every one is answered or refused as Cloudflare's
API would, and the server goes on. FUZZ_EXAMPLES is how many to try in all, other ones each time; in the suite they are
the same each time."""

from __future__ import annotations

import asyncio
import functools
import http.client
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import pytest
from huggingface_hub import constants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.wire import published, workers_ai
from tests.counts import ASKED, examples
from tests.gate import comes_true
from tests.models import canary_model, expected, key_token
from tests.servers import Hub, Running, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hypothesis.strategies import DrawFn, SearchStrategy

    Json = SearchStrategy[Any]

MODELS = ("llama-3.2-1b-instruct", "llama-3.2-3b-instruct")
EXAMPLES = examples(600) // (2 * len(MODELS))
KEY, LENGTH = 7, 5  # the canary's key, and after how many tokens its answers end

# -- bodies ----------------------------------------------------------------------------------------------------------

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "system", "json_object", key_token(3), "<|eot_id|>", "<|", "🦙", "\0\x1b\u2028"]),
)
NONE: SearchStrategy[set[str]] = st.just(set())
ROLES = st.sampled_from(["system", "user", "assistant", "tool"])
NUMBERS = st.one_of(
    st.integers(-3, 60),
    st.floats(-1, 6),
    st.sampled_from([0.0, -0.0, 1e-320, 256, 257.0, 1e308, -1e308, 2**31, 2**63, -(2**64), 10**30, 9999999999, 1e10]),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, st.sampled_from(["\ud800", "a\udfff\ud83e"]))
# What `json.dumps` would never write; stands in the text where the mark of its number stood.
RAW = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "9" * 5000, "9" * 400 + ".5"),
    *("0x10", "01", "1.", ".5", "+1", "'a'", "undefined", "1 2", "/**/ 1", "", ","),
    *('"\\ud800"', '"\\u12"', '"\\x"', '"a\nb"', '"', '{"a": 1, "a": 2}', '{"\\ud800": 1}', '{"": {"": 0}}'),
    *('"' + "x" * length + '"' for length in (2000, 131_073)),
    *("[" * depth + "]" * depth for depth in (60, 70, 1000, 100_000)),
    *('{"a":' * depth + "1" + "}" * depth for depth in (60, 70, 1000, 100_000)),
)
MARKS = st.integers(0, len(RAW) - 1).map("raw:{}".format)
ANYTHING = st.one_of(
    SCALARS,
    MARKS,
    st.lists(SCALARS, max_size=4),
    st.dictionaries(TEXTS, SCALARS | st.lists(SCALARS, max_size=2), max_size=4),
)
# Published ones of either branch, ours, and some that clients send.
KEYS = sorted(
    {"model", "requests", "type", "name", "function", "tool_calls", "tool_call_id", "n", "user", "$ref", "__proto__"}
    | {key for model in MODELS for title in published.TITLES for key in published.branch(model, title)["properties"]}
    | set(workers_ai.EXTENSIONS)
)


def instances(schema: dict[str, Any]) -> Json:
    """What a schema allows, as far as the published ones go."""
    if "oneOf" in schema:
        return st.one_of([instances(one) for one in schema["oneOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds: dict[str, Callable[[dict[str, Any]], Json]] = {
        "object": objects,
        "array": lambda schema: st.lists(instances(schema.get("items", {})), min_size=1, max_size=3),
        "string": strings,
        "integer": lambda schema: st.integers(schema.get("minimum", 1), schema.get("maximum", 400)),
        "number": lambda schema: st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False),
        "boolean": lambda schema: st.booleans(),
    }
    named = schema.get("type", "object" if "properties" in schema else None)
    return kinds[named](schema) if named else ANYTHING


def objects(schema: dict[str, Any]) -> Json:
    """With what is required, and at most three of the other properties."""
    if "additionalProperties" in schema:
        return st.dictionaries(TEXTS, instances(schema["additionalProperties"]), max_size=3)
    known = {key: ROLES if key == "role" else instances(one) for key, one in schema.get("properties", {}).items()}
    required = set(schema.get("required", ()))
    others = st.sets(st.sampled_from(sorted(known.keys() - required)), max_size=3) if known.keys() - required else NONE
    return others.flatmap(lambda chosen: st.fixed_dictionaries({key: known[key] for key in sorted(required | chosen)}))


def strings(schema: dict[str, Any]) -> Json:
    return TEXTS.map(lambda text: text or "?") if schema.get("minLength") else TEXTS


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Of the value and of everything in it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    """The value with something else at that place; with nothing there, if the change gives ()."""
    if not path:
        return change(value)
    inner = changed(value[path[0]], path[1:], change)
    if isinstance(value, list):
        return [*value[: path[0]], *([] if inner == () else [inner]), *value[path[0] + 1 :]]
    kept = {key: one for key, one in value.items() if key != path[0]}
    return kept if inner == () else {**kept, path[0]: inner}


@st.composite
def spoilt(draw: DrawFn, value: Any) -> Any:
    """Something in the value is of another type, is missing, is too much, or is wrapped in an array."""
    for _ in range(draw(st.integers(1, 3))):
        whole, *inner = places(value)
        path = draw(st.sampled_from([*inner, whole] if len(inner) < 8 else inner))
        how = draw(st.sampled_from(["swap", "swap", "drop", "add", "add", "wrap"]))
        other, key = draw(ANYTHING), draw(st.sampled_from(KEYS) | TEXTS)
        value = changed(value, path, functools.partial(spoil, how=how, other=other, key=key))
        value = None if value == () else value
    return value


def spoil(old: Any, how: str, other: Any, key: str) -> Any:
    if how == "add" and isinstance(old, dict):
        return {**old, key: other}
    if how == "add" and isinstance(old, list):
        return [*old, other]
    return {"swap": other, "drop": ()}.get(how, [old])


def allowed(model: str) -> Json:
    """What the published schema of a model allows."""
    return st.sampled_from(published.TITLES).flatmap(lambda title: instances(published.branch(model, title)))


@st.composite
def bodies(draw: DrawFn, model: str) -> bytes:
    value = draw(allowed(model)) | draw(st.sampled_from([{}, {"stream": True}]))
    how = draw(st.sampled_from(["right", "spoilt", "spoilt", "spoilt", "spoilt", "twice", "bytes"]))
    if how == "spoilt":
        value = draw(spoilt(value))
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    text = re.sub(r'"raw:(\d+)"', lambda found: RAW[int(found[1])], text)
    if how == "twice":
        text = text.replace(
            "{", f'{{"{draw(st.sampled_from(KEYS))}": {draw(st.sampled_from(["1", "null", "true"]))},', 1
        )
    return draw(broken(text.encode("utf-8", "surrogatepass"))) if how == "bytes" else text.encode("utf-8", "replace")


def broken(body: bytes) -> SearchStrategy[bytes]:
    """Cut, with bytes put in, or in another encoding."""
    at = st.integers(0, len(body))
    return st.one_of(
        at.map(lambda end: body[:end]),
        st.tuples(at, st.binary(min_size=1, max_size=3)).map(lambda put: body[: put[0]] + put[1] + body[put[0] :]),
        st.sampled_from([b"\xef\xbb\xbf" + body, body.decode("utf-8", "replace").encode("utf-16"), b"", b" \n", b"\0"]),
        st.just(body + body),
    )


# -- the server ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=[False, True], ids=["lenient", "parity"])
def server(request: pytest.FixtureRequest, model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("fuzz")
    canary_model(folder / "canary.gguf", eos_after=LENGTH)
    hub = Hub(folder / "hub", {model: folder / "canary.gguf"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(hub.folder))
        with serving(parity=request.param, keep_alive=-1, context=1024, make_engine=hub.engine) as running:
            asyncio.run(running.ai.load(model))
            yield running


class Reply(NamedTuple):
    status: int
    type: str
    body: bytes


def post(server: Running, model: str, body: bytes, query: str = "") -> Reply:
    return ask(server, "POST", f"/ai/run/@cf/meta/{model}{query}", body)


def ask(server: Running, method: str, path: str, body: bytes | None = None) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return Reply(response.status, response.headers["content-type"], response.read())
    finally:
        connection.close()


def check_envelope(reply: Reply, parity: bool) -> None:
    envelope = json.loads(reply.body)
    assert envelope.keys() - ({"error"} if reply.status != 200 and not parity else set()) == {
        *("result", "success", "errors", "messages")
    }
    assert envelope["success"] is (reply.status == 200)
    if reply.status == 200:
        assert "response" in envelope["result"]  # text, or anything where a document was asked for
    else:
        (error,) = envelope["errors"]
        assert isinstance(error["code"], int)
        assert error["message"]


def check_stream(reply: Reply) -> None:
    assert (reply.status, reply.type) == (200, "text/event-stream")
    *events, end = reply.body.decode().split("\n\n")
    assert (events.pop(), end) == ("data: [DONE]", "")
    shown = [json.loads(event.removeprefix("data: ")) for event in events]
    assert all(isinstance(one["response"], str) for one in shown)
    assert shown[-1]["usage"]["completion_tokens"] > 0


def fuzz(examples: int) -> settings:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    fixed = ASKED is None
    return settings(
        max_examples=examples, derandomize=fixed, database=None, deadline=None, suppress_health_check=checks
    )


CANARY = json.dumps({"prompt": f"Say {key_token(KEY)}.", "temperature": 0}).encode()


@fuzz(EXAMPLES * 5 // 6)
@given(data=st.data())
def test_whatever_comes_is_answered_in_form_and_the_next_request_rightly(
    server: Running, model: str, data: st.DataObject
) -> None:
    reply = post(server, model, data.draw(bodies(model)))
    assert reply.status < 500
    if reply.type == "application/json":
        check_envelope(reply, server.ai.settings.parity)
    else:
        check_stream(reply)
    after = json.loads(post(server, model, CANARY).body)
    assert after["result"]["response"] == expected(KEY, LENGTH)


@fuzz(EXAMPLES // 6)
@given(data=st.data())
def test_what_the_schema_allows_is_answered(server: Running, model: str, data: st.DataObject) -> None:
    inputs = data.draw(allowed(model))
    for refused in ("image", "lora", "functions", "tools", "response_format"):
        inputs.pop(refused, None)
    assert post(server, model, json.dumps(inputs).encode()).status == 200


# -- batches, and what there is --------------------------------------------------------------------------------------

QUEUED = "?queueRequest=true"


@st.composite
def batches(draw: DrawFn, model: str) -> tuple[bytes, int]:
    """A body, and how many requests are in it; 0 where it is spoilt."""
    requests = draw(st.lists(allowed(model).flatmap(lambda one: st.just(one) | spoilt(one)), min_size=1, max_size=3))
    named = {"external_reference": draw(TEXTS | st.integers() | st.none())}
    value: Any = {"requests": [{**one, **named} if isinstance(one, dict) else one for one in requests]}
    is_spoilt = draw(st.sampled_from([False, False, True]))
    if is_spoilt:
        value = draw(spoilt(value))
    text = json.dumps(value)
    text = re.sub(r'"raw:(\d+)"', lambda found: RAW[int(found[1])] if is_spoilt else "1", text)
    return text.encode("utf-8", "replace"), 0 if is_spoilt else len(requests)


@fuzz(max(1, EXAMPLES // 6))
@given(data=st.data())
def test_whatever_comes_as_a_batch_is_answered_in_form_one_by_one(
    server: Running, model: str, data: st.DataObject
) -> None:
    parity = server.ai.settings.parity
    body, count = data.draw(batches(model))
    reply = post(server, model, body, QUEUED)
    assert reply.status < 500
    result = json.loads(reply.body)["result"]
    if reply.status != 200:
        check_envelope(reply, parity)
    if parity or reply.status != 200:
        return
    answers = read(server, model, result["request_id"])
    assert [one["id"] for one in answers] == list(range(count or len(answers)))
    for one in answers:
        codes = [error["code"] for error in one.get("errors", ())]
        assert one["success"] is not bool(codes)
        assert 5000 not in codes  # which is a fault of ours


def read(server: Running, model: str, name: str) -> list[Any]:
    """The answers of a batch, waiting for them."""
    found: dict[str, Any] = {}

    def has_ended() -> bool:
        body = json.dumps({"request_id": name}).encode()
        found.update(json.loads(post(server, model, body, QUEUED).body)["result"])
        return "responses" in found

    assert comes_true(has_ended)
    answers: list[Any] = found["responses"]
    return answers


PATHS = ("models/search", "models/schema", "tasks/search", "authors/search", "finetunes", "finetunes/public")
OPTIONS = (
    "search",
    "task",
    "author",
    "source",
    "hide_experimental",
    "include_deprecated",
    "page",
    "per_page",
    "format",
)
VALUES = st.one_of(TEXTS, NUMBERS.map(str), st.sampled_from(["true", "false", "1b", "Text Generation", "openrouter"]))


@fuzz(max(1, EXAMPLES // 3))
@given(
    path=st.sampled_from(PATHS),
    query=st.dictionaries(st.sampled_from([*OPTIONS, "model", "limit", "offset", "orderBy", "x"]), VALUES, max_size=4),
)
def test_whatever_is_asked_for_is_answered_in_form(server: Running, path: str, query: dict[str, str]) -> None:
    reply = ask(server, "GET", f"/ai/{path}?{urlencode(query, errors='replace')}")
    body = json.loads(reply.body)
    assert (reply.status, body["success"]) in ((200, True), (400, False))
    if reply.status == 200 and path != "models/schema":
        assert body["result_info"]["count"] == len(body["result"])
