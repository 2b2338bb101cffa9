"""Batches of requests, over loopback: what is taken, what is told, and what is kept."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from runtime.errors import EngineError, QueueFull
from runtime.server import batches, guards
from runtime.values import Done, Text, Usage
from tests.fake_engine import TIMINGS, answer
from tests.gate import comes_true
from tests.models import expected, key_token
from tests.servers import ACCOUNT, code_of, said_by, scripted, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from tests.servers import Scripted

RUN = "/ai/run/tiny"
QUEUED = f"{RUN}?queueRequest=true"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Scripted]:
    """Runs the requests of batches one after the other, since there are two slots and one stays free."""
    with scripted(tmp_path, slots=2) as one:
        yield one


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    """One for all tests that leave no script behind."""
    with scripted(tmp_path_factory.mktemp("models"), slots=2) as one:
        yield one


def send(server: Scripted, *requests: Any, **more: Any) -> str:
    """The id of a batch of these."""
    result = server.ask({"requests": list(requests), **more}, QUEUED).json()["result"]
    found: str = result["request_id"]
    return found


def poll(server: Scripted, name: Any, path: str = QUEUED) -> httpx.Response:
    return server.ask({"request_id": name}, path)


def ended(server: Scripted, name: str) -> Any:
    """The result of a batch, waiting for it."""
    assert comes_true(lambda: "responses" in poll(server, name).json()["result"])
    return poll(server, name).json()["result"]


def responses(server: Scripted, *requests: Any) -> list[Any]:
    found: list[Any] = ended(server, send(server, *requests))["responses"]
    return found


# -- the way of a batch ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", f"/client/v4/accounts/{ACCOUNT}"])
def test_a_batch_is_queued_and_its_answers_are_there_later(server: Scripted, prefix: str) -> None:
    server.will(answer("one"), answer("two", " and", " more"))
    requests = [{"prompt": "Hi", "external_reference": "a"}, {"messages": [{"role": "user", "content": "Ho"}]}]
    reply = server.ask({"requests": requests}, prefix + QUEUED)
    queued = reply.json()["result"]
    assert (reply.status_code, queued) == (
        200,
        {"status": "queued", "request_id": queued["request_id"], "model": "@cf/meta/tiny"},
    )
    result = ended(server, queued["request_id"])
    assert result.keys() == {"responses", "usage"}
    told = [(one["id"], one["result"]["response"], one["success"]) for one in result["responses"]]
    assert told == [(0, "one", True), (1, "two and more", True)]
    assert [one["external_reference"] for one in result["responses"]] == ["a", None]
    assert result["usage"] == {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}


def test_what_its_caller_calls_a_request_is_no_option_of_it(server: Scripted) -> None:
    name = send(server, {"prompt": "Hi", "external_reference": {"a": [1]}})
    assert ended(server, name)["responses"][0]["external_reference"] == {"a": [1]}
    assert poll(server, name).json()["messages"] == []


def test_what_nobody_knows_is_named_when_it_is_taken_and_with_the_answers(server: Scripted) -> None:
    taken = server.ask({"requests": [{"prompt": "Hi", "foo": 1}, {"prompt": "Ho", "bar": 1}], "baz": 1}, QUEUED).json()
    assert taken["messages"][0]["message"] == "Ignored, since nobody knows them: baz."
    ended(server, taken["result"]["request_id"])
    (message,) = poll(server, taken["result"]["request_id"]).json()["messages"]
    assert message["message"] == "Ignored, since nobody knows them: bar, foo."


def test_a_batch_runs_while_another_waits_and_both_say_so(server: Scripted) -> None:
    server.will([Text("half")])
    first, second = send(server, {"prompt": "Hi"}), send(server, {"prompt": "Ho"})
    assert comes_true(lambda: bool(server.engine.running))
    assert poll(server, first).json()["result"] == {"status": "running", "request_id": first, "model": "@cf/meta/tiny"}
    assert poll(server, second).json()["result"]["status"] == "queued"
    (running,) = server.engine.running
    server.engine._emit(running, Done("stop", Usage(5, 1), TIMINGS))
    assert ended(server, first)["responses"][0]["result"]["response"] == "half"
    assert ended(server, second)["responses"][0]["result"]["response"] == "ok"


def test_who_waits_for_an_answer_gets_it_beside_a_batch(server: Scripted) -> None:
    server.will([Text("half")])
    send(server, {"prompt": "Hi"})
    assert comes_true(lambda: bool(server.engine.running))
    assert server.ask().json()["result"]["response"] == "ok"


def test_the_binding_asks_without_the_word(server: Scripted) -> None:
    name = send(server, {"prompt": "Hi"})
    assert comes_true(lambda: "responses" in poll(server, name, RUN).json()["result"])


def test_the_answers_can_be_read_again(server: Scripted) -> None:
    name = send(server, {"prompt": "Hi"})
    assert ended(server, name) == ended(server, name)


def test_a_word_that_says_no_is_no_batch(server: Scripted) -> None:
    assert server.ask(path=f"{RUN}?queueRequest=false").json()["result"]["response"] == "ok"


def test_a_model_that_answers_truly_mixes_up_nothing(canary: Path) -> None:
    with serving(files=[canary], slots=4, context=4096, threads=1) as running:
        import httpx

        with httpx.Client(base_url=running.url, trust_env=False, timeout=30) as http:
            path = f"/ai/run/{canary.name}?queueRequest=true"
            asked = [
                {"prompt": f"{'~' * key}{key_token(key)}", "max_tokens": key + 1, "temperature": 0} for key in range(30)
            ]
            name = http.post(path, json={"requests": asked}).json()["result"]["request_id"]
            found: dict[str, Any] = {}

            def is_done() -> bool:
                found.update(http.post(path, json={"request_id": name}).json()["result"])
                return "responses" in found

            assert comes_true(is_done)
    texts = [one["result"]["response"] for one in found["responses"]]
    assert texts == [expected(key, key + 1) for key in range(30)]
    assert found["usage"]["completion_tokens"] == sum(range(31))


# -- requests that fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "code", "said"),
    [
        ({"prompt": 5}, 5006, "prompt: must be of type string"),
        ({}, 5006, "Give either prompt or messages"),
        ("Hi", 5006, "must be an object"),
        (None, 5006, "Give either prompt or messages"),
        ({"prompt": "Hi", "stream": True}, 5006, "stream is not supported in a batch"),
        ({"prompt": "Hi", "grammar": 'root ::= "a"'}, 5006, "grammar is for callers in Python only"),
        ({"prompt": "Hi", "lora": "nothing"}, 5005, "does not support LoRa inference"),
        ({"prompt": "Hi", "image": [1]}, 5006, "image is not supported"),
    ],
)
def test_a_request_that_cannot_be_answered_says_why_and_the_others_are_answered(
    standing: Scripted, request_: Any, code: int, said: str
) -> None:
    before, failed, after = responses(standing, {"prompt": "Hi"}, request_, {"prompt": "Hi"})
    assert (before["success"], failed["success"], after["success"]) == (True, False, True)
    assert (failed["id"], failed["result"], failed["external_reference"]) == (1, {}, None)
    (error,) = failed["errors"]
    assert error["code"] == code
    assert said in error["message"]


def test_a_failed_request_keeps_its_reference_and_is_not_counted(server: Scripted) -> None:
    result = ended(server, send(server, {"prompt": 5, "external_reference": "a"}))
    assert result["responses"][0]["external_reference"] == "a"
    assert result["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def test_a_request_waits_outside_while_the_queue_is_full(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "AGAIN", 0.001)
    server.will(QueueFull("full"), QueueFull("full"), answer("at last"))
    assert responses(server, {"prompt": "Hi"})[0]["result"]["response"] == "at last"


def test_a_request_that_would_rather_not_wait_is_told(server: Scripted) -> None:
    server.will(QueueFull("full"))
    (failed,) = responses(server, {"prompt": "Hi", "options": {"rejectIfBusy": True}})
    assert failed["errors"][0]["code"] == 3040


def test_an_engine_that_fails_fails_the_request(server: Scripted) -> None:
    server.will(EngineError("broken"))
    failed, other = responses(server, {"prompt": "Hi"}, {"prompt": "Ho"})
    assert (failed["errors"][0]["code"], other["success"]) == (5000, True)


def test_a_fault_of_ours_is_logged_and_the_others_are_answered(
    server: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    server.will(RuntimeError("secret"))
    failed, other = responses(server, {"prompt": "Hi"}, {"prompt": "Ho"})
    assert (failed["errors"][0]["code"], other["success"]) == (5000, True)
    assert "secret" not in json.dumps(failed)
    assert [one.message for one in caplog.records if one.levelno == logging.ERROR] == ["a request of a batch failed"]


# -- what is not taken -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "takes either requests, an array of inputs, or request_id"),
        ({"prompt": "Hi"}, "takes either requests"),
        ({"requests": [{"prompt": "Hi"}], "request_id": "x"}, "takes either requests"),
        ([], "takes either requests"),
        ("requests", "takes either requests"),
        ({"requests": [{}, {"external_reference": "\ud800"}]}, "requests[1].external_reference"),
        ({"requests": []}, "requests: must be an array with at least one request"),
        ({"requests": {"prompt": "Hi"}}, "requests: must be an array"),
        ({"requests": None}, "requests: must be an array"),
        ({"request_id": "x"}, "request_id: there is no batch 'x'"),
        ({"request_id": None}, "request_id: there is no batch 'None'"),
        ({"request_id": ["x"]}, "request_id: there is no batch"),
        ({"request_id": "x" * 10_000}, "request_id: there is no batch"),
    ],
)
def test_a_body_that_is_no_batch_is_refused(standing: Scripted, body: Any, said: str) -> None:
    reply = standing.ask(content=json.dumps(body), path=QUEUED)
    assert code_of(reply) == (400, 5006)
    assert said in said_by(reply)
    assert len(said_by(reply)) < 500


def test_a_reference_that_could_not_be_sent_back_is_refused(standing: Scripted) -> None:
    for reference in ("[" * 500 + "]" * 500, "1e999"):
        body = f'{{"requests": [{{"prompt": "Hi", "external_reference": {reference}}}]}}'
        reply = standing.ask(content=body, path=QUEUED)
        assert code_of(reply) == (400, 5006)
        assert "requests[0].external_reference" in said_by(reply)


@pytest.mark.parametrize("body", [{"requests": [{"prompt": "Hi"}]}, {"request_id": "x"}])
def test_an_unknown_model_has_no_route(standing: Scripted, body: Any) -> None:
    assert code_of(standing.ask(body, "/ai/run/tinny?queueRequest=true")) == (400, 7000)


def test_a_batch_of_another_model_is_refused_with_both_names(server: Scripted) -> None:
    name = send(server, {"prompt": "Hi"})
    reply = poll(server, name, "/ai/run/1b?queueRequest=true")
    assert code_of(reply) == (400, 5006)
    assert "of the model @cf/meta/tiny, not of @cf/meta/llama-3.2-1b-instruct" in said_by(reply)


def test_in_parity_there_are_no_batches_since_the_service_has_none_for_these_models(tmp_path: Path) -> None:
    none = "oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt'"
    with scripted(tmp_path, parity=True) as strict:
        for path in (QUEUED, RUN):
            for body in ({"requests": [{"prompt": "Hi"}]}, {"request_id": "x"}):
                assert none in said_by(strict.ask(body, path))
        assert strict.ask(path=QUEUED).json()["result"]["response"] == "ok"


# -- bounds ----------------------------------------------------------------------------------------------------------


def test_a_batch_may_be_larger_than_a_request_and_has_a_bound(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_BODY", guards.MAX_BODY + 100)
    body = json.dumps({"requests": [{"prompt": "Hi"}]})
    assert server.ask(content=body.ljust(guards.MAX_BODY + 100), path=QUEUED).is_success
    assert code_of(server.ask(content=body.ljust(guards.MAX_BODY + 101), path=QUEUED)) == (413, 3006)


def test_a_batch_has_only_so_many_requests(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "REQUESTS", 2)
    assert server.ask({"requests": [{}] * 2}, QUEUED).is_success
    reply = server.ask({"requests": [{}] * 3}, QUEUED)
    assert code_of(reply) == (413, 3006)
    assert "The batch has 3 requests; it may have 2." in said_by(reply)


def test_only_so_many_batches_are_kept_until_their_answers_are_read(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCHES", 2)
    first, second = send(server, {"prompt": "Hi"}), send(server, {"prompt": "Hi"})
    reply = server.ask({"requests": [{"prompt": "Hi"}]}, QUEUED)
    assert (code_of(reply), reply.headers["retry-after"]) == ((429, 3040), "2")
    assert "2 batches of" in said_by(reply)
    ended(server, second)
    third = send(server, {"prompt": "Hi"})
    assert code_of(poll(server, second)) == (400, 5006)
    assert ended(server, first)["responses"]
    assert ended(server, third)["responses"]


def test_only_so_many_bytes_of_requests_are_kept(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SIZE", 1000)
    assert code_of(server.ask({"requests": [{"prompt": "x" * 1000}]}, QUEUED)) == (429, 3040)
    assert ended(server, send(server, {"prompt": "x" * 100}))["responses"][0]["success"]


def test_an_answer_for_which_there_is_no_room_fails(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SIZE", 1000)
    server.will(answer("x" * 1000), answer("short"))
    large, small = responses(server, {"prompt": "Hi"}, {"prompt": "Hi"})
    assert (large["errors"][0]["code"], small["success"]) == (3006, True)
    assert "may have 1000 bytes" in large["errors"][0]["message"]


def test_answers_are_gone_after_their_time(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "KEPT", 0.0)
    name = send(server, {"prompt": "Hi"})
    assert comes_true(lambda: poll(server, name).status_code == 400)
    app: Any = server.running.server.config.app
    kept = app.state.batches
    assert (kept._batches, kept._size) == ({}, 0)


# -- the end ---------------------------------------------------------------------------------------------------------


def test_a_server_that_ends_ends_its_batches(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with scripted(tmp_path, slots=2) as server:
        server.will([Text("half")])
        send(server, {"prompt": "Hi"}, {"prompt": "Ho"})
        assert comes_true(lambda: bool(server.engine.running))
    assert server.engine.running == {}
    assert len(server.engine.requests) == 1
    warned = [one.getMessage() for one in caplog.records if one.levelno > logging.INFO]
    assert warned == ["the server ended before 2 requests of batches were answered"]


def test_a_server_whose_batches_are_answered_ends_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with scripted(tmp_path, slots=2) as server:
        responses(server, {"prompt": "Hi"})
    assert [one for one in caplog.records if one.levelno > logging.INFO] == []
