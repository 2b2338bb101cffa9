"""The server's addresses, bodies and replies, over loopback, with a scripted engine."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from runtime import store
from runtime.errors import EngineError
from tests.fake_engine import FakeEngine, answer
from tests.servers import ACCOUNT, PATIENCE, code_of, request, said_by, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Scripted

CLOUDFLARES = f"/client/v4/accounts/{ACCOUNT}/ai/run/"
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted(tmp_path_factory.mktemp("models")) as one:
        yield one


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    """In parity with the service."""
    with scripted(tmp_path_factory.mktemp("models"), parity=True) as one:
        yield one


# -- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["/ai/run/", CLOUDFLARES, CLOUDFLARES.replace(ACCOUNT, ACCOUNT.upper())])
@pytest.mark.parametrize(
    "name",
    ["@cf/meta/tiny", "@cf%2Fmeta%2Ftiny", "@cf%2fmeta%2ftiny", "%40cf%2Fmeta%2Ftiny", "%40cf/meta/tiny", "tiny",
     "TINY", "@CF/META/Tiny", "t", "@cf/meta/tiny:gguf", "%74iny"],
)  # fmt: skip
def test_a_model_is_found_by_each_of_its_names_on_both_routes(server: Scripted, route: str, name: str) -> None:
    server.will(answer("Hi", " there"))
    assert server.ask(path=route + name).json()["result"]["response"] == "Hi there"


def test_what_follows_the_question_mark_is_left_alone(server: Scripted) -> None:
    assert server.ask(path="/ai/run/tiny?stream=true&x").json()["result"]["response"] == "ok"


@pytest.mark.parametrize(
    "path",
    ["/ai", "/ai/run", "/ai/run/", "/ai/v1/nothing", "/AI/run/tiny", "//ai/run/tiny", "/ai//run/tiny",
     "/ai/run//tiny", "/ai/run/tiny/", "/ai/run/tiny%2F", f"/client/v4/accounts/{ACCOUNT}/ai", "/client/v4/accounts/",
     "/client/v4/accounts//ai/run/tiny", f"{CLOUDFLARES}tiny/", f"//client/v4/accounts/{ACCOUNT}/ai/run/tiny"],
)  # fmt: skip
def test_an_unknown_address_has_no_route(server: Scripted, path: str) -> None:
    status, body = server.post(path)
    assert (status, body["errors"][0]["code"]) == (400, 7000)
    assert body["errors"][0]["message"].startswith("No route for that URI")


@pytest.mark.parametrize("name", ["tinny", "@cf%2Fmeta%2Ftinny"])
def test_an_unknown_model_is_answered_with_the_nearest_names(server: Scripted, name: str) -> None:
    reply = server.ask(path=f"/ai/run/{name}")
    assert code_of(reply) == (400, 7000)
    assert re.match(r"No route for that URI \(There is no model '.*tinny'\. Did you mean tiny", said_by(reply))


def test_in_parity_an_unknown_model_just_has_no_route(strict: Scripted) -> None:
    assert said_by(strict.ask(path="/ai/run/tinny")) == "No route for that URI"


@pytest.mark.parametrize(
    "name",
    ["../tiny.gguf", "..%2ftiny.gguf", "%2e%2e%2ftiny.gguf", "@cf/../tiny", "@cf/meta/../../tiny", "a%00b", "CON",
     "nul", "a%0d%0ab", "x" * 4096, "%e2%80%a4%e2%80%a4/tiny", "tiny.gguf", "/etc/passwd", "%ff", "tiny:../x", ":"],
    ids=lambda name: name[:20],
)  # fmt: skip
def test_a_name_is_looked_up_and_never_a_path(server: Scripted, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_for: list[object] = []
    monkeypatch.setattr(store, "locate", lambda *args: looked_for.append(args))
    status, body = server.post(f"/ai/run/{name}")
    assert (status, body["errors"][0]["code"], looked_for) == (400, 7000, [])
    assert len(body["errors"][0]["message"]) < 1000


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("route", ["/ai/run/", CLOUDFLARES])
def test_another_method_is_refused_with_the_one_there_is(server: Scripted, method: str, route: str) -> None:
    reply = server.http.request(method, f"{route}tiny")
    assert code_of(reply) == (405, 7001)
    assert (said_by(reply), reply.headers["allow"]) == (f"{method} not supported for requested URI.", "POST")


def test_head_is_refused_without_a_body(server: Scripted) -> None:
    reply = server.http.head("/ai/run/tiny")
    assert (reply.status_code, reply.content, reply.headers["allow"]) == (405, b"", "POST")


@pytest.mark.parametrize(
    "account",
    ["anonymous", ACCOUNT[:-1], f"{ACCOUNT}0", "g" * 32, "%EF%BC%91" * 32, f"{ACCOUNT}%0A", "%3F", "%23x", "..", "%5B"],
)
def test_an_account_that_cannot_be_one_is_told_its_address(server: Scripted, account: str) -> None:
    status, body = server.post(f"/client/v4/accounts/{account}/ai/run/tiny")
    path = f"/client/v4/accounts/{unquote(account)}/ai/run/tiny"
    assert (status, body["errors"][0]["code"]) == (404, 7003)
    assert body["errors"][0]["message"].startswith(f"Could not route to {path}, perhaps your object identifier is inv")


# -- replies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [None, "application/json", "application/x-www-form-urlencoded", "apbplication/json", "text/plain",
     "multipart/form-data", "application/json; charset=latin-1"],
)  # fmt: skip
def test_the_body_is_json_whatever_its_type_says(server: Scripted, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    reply = server.ask(content='{"prompt": "Zoë"}'.encode(), headers=headers)
    assert reply.json()["success"]
    assert "\n\nZoë" in [segment.text for segment in server.engine.requests[-1].prompt]


def test_an_answer_is_whole_and_in_the_envelope(server: Scripted) -> None:
    body = server.will(answer("Hi", " there")).ask().json()
    assert list(body) == ["result", "success", "errors", "messages"]
    result = body["result"]
    assert (result["response"], result["tool_calls"], result["finish_reason"]) == ("Hi there", [], "stop")
    assert result["usage"]["total_tokens"] == 7


def test_in_parity_an_answer_has_only_what_is_published(strict: Scripted) -> None:
    assert strict.will(answer("Hi")).ask().json()["result"] == {
        "response": "Hi",
        "tool_calls": [],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
    }


@pytest.mark.parametrize(("body", "path"), [(None, "/ai/run/tiny"), ({}, "/ai/run/tiny"), (None, "/nowhere")])
def test_a_reply_is_json_without_a_charset_and_is_not_kept(server: Scripted, body: Any, path: str) -> None:
    headers = server.ask(body, path).headers
    assert (headers["content-type"], headers["cache-control"]) == ("application/json", "no-store")


def test_a_reply_does_not_say_what_serves_it(server: Scripted) -> None:
    assert "server" not in server.ask().headers


def test_each_reply_has_an_id_of_its_own(server: Scripted) -> None:
    ids = [server.ask(path=path).headers["cf-ai-req-id"] for path in ("/ai/run/tiny", "/ai/run/tiny", "/nowhere")]
    assert len(set(ids)) == 3
    assert all(re.fullmatch(UUID, one) for one in ids)


def test_the_id_is_the_one_in_the_message(server: Scripted) -> None:
    reply = server.ask({})
    assert said_by(reply).endswith(f" ({reply.headers['cf-ai-req-id']})")


def test_options_that_nobody_knows_are_named_in_the_messages(server: Scripted) -> None:
    (message,) = server.ask({"prompt": "Hi", "foo": 1, "bar": [2]}).json()["messages"]
    assert message == {"code": 1000, "message": "Ignored, since nobody knows them: bar, foo."}


def test_options_that_are_deprecated_are_named_in_the_messages(server: Scripted) -> None:
    (message,) = server.ask({"prompt": "Hi", "functions": [{"name": "f", "code": ""}]}).json()["messages"]
    assert message == {"code": 1001, "message": "Deprecated: functions."}


def test_in_parity_there_are_no_messages(strict: Scripted) -> None:
    assert strict.ask({"prompt": "Hi", "foo": 1}).json()["messages"] == []


def test_in_parity_a_refusal_is_in_the_services_words(strict: Scripted) -> None:
    reply = strict.ask({})
    wrong = "required properties at '/' are 'prompt', required properties at '/' are 'messages'"
    assert said_by(reply).startswith(f"AiError: Bad input: Error: oneOf at '/' not met, 0 matches: {wrong} (")
    assert "error" not in reply.json()


# -- states ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_server_without_a_model_to_load_lives_and_is_ready(server: Scripted, method: str, path: str) -> None:
    assert server.http.request(method, path).status_code == 200


def test_a_state_is_only_to_be_read(server: Scripted) -> None:
    assert code_of(server.http.post("/healthz")) == (405, 7001)


def test_a_server_is_ready_when_its_model_is_loaded(tmp_path: Path) -> None:
    loading, go = threading.Event(), threading.Event()

    def make(*_: object) -> FakeEngine:
        loading.set()
        assert go.wait(PATIENCE)
        return FakeEngine()

    with scripted(tmp_path, make_engine=make, model="tiny") as server:
        assert loading.wait(PATIENCE)
        before = server.http.get("/readyz")
        healthy = server.http.get("/healthz")
        go.set()
        assert server.ask().is_success  # which waits for the model
        after = server.http.get("/readyz")
    assert (before.status_code, before.json(), before.headers["retry-after"]) == (503, {"status": "loading"}, "1")
    assert (healthy.status_code, after.json()) == (200, {"status": "ready"})


def test_a_server_whose_model_cannot_be_loaded_is_not_ready(tmp_path: Path) -> None:
    def make(*_: object) -> FakeEngine:
        raise EngineError("broken")

    with scripted(tmp_path, make_engine=make, model="tiny") as server:
        assert code_of(server.ask()) == (500, 5000)  # which comes after the other load
        assert server.http.get("/readyz").status_code == 503


# -- connections -----------------------------------------------------------------------------------------------------


def test_a_connection_serves_several_requests(server: Scripted) -> None:
    sent = request() + request(b"{}") + request(b'{"prompt": "Hi"}', "Connection: close")
    replies = server.will(answer("one"), answer("two")).raw(sent)
    assert re.findall(rb"HTTP/1.1 (\d+)", replies) == [b"200", b"400", b"200"]
    assert replies.index(b"one") < replies.index(b"two")


def test_http_1_0_is_answered(server: Scripted) -> None:
    reply = server.will(answer("one")).raw(request(version="1.0"))
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert b'"response":"one"' in reply
