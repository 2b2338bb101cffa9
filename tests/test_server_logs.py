"""The line that each request has in the log: what it tells, and what it never does."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from runtime import settings
from runtime.errors import EngineError, InvalidRequest
from runtime.server import logs
from runtime.server.logs import JsonLines
from runtime.values import Failed, Progress, Text
from tests.fake_engine import FakeEngine, answer
from tests.gate import comes_true
from tests.servers import ACCOUNT, PATIENCE, request, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Scripted

TOKEN = "s3cret-t0ken-of-these-tests"
SECRET = "what nobody else is to read"
PROMPT = {"prompt": SECRET}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted(tmp_path_factory.mktemp("models")) as one:
        yield one


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    folder = tmp_path_factory.mktemp("locked")
    (folder / "tokens").write_text(f"ann {TOKEN}\n")
    with scripted(folder, token_file=folder / "tokens") as one:
        yield one


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "llamalet")
    caplog.set_level(logging.INFO, "llamalet.access")
    return caplog


def lines(told: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.fields for record in told.records if hasattr(record, "fields")]


def line(told: pytest.LogCaptureFixture) -> dict[str, Any]:
    """The one of the one request, which may come after its client has read its answer."""
    assert comes_true(lambda: bool(lines(told)))
    (found,) = lines(told)
    return found


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_told_with_its_tokens_and_times(
    server: Scripted, told: pytest.LogCaptureFixture, stream: bool
) -> None:
    server.will([Progress(1, 2), *answer("Hi", " there", prompt_tokens=7)])
    reply = server.ask(PROMPT | {"stream": stream}, path=f"/client/v4/accounts/{ACCOUNT}/ai/run/@cf/meta/tiny")
    found = line(told)
    assert 0 <= found.pop("queued") <= found.pop("first") <= found.pop("total")
    assert found == {
        "id": reply.headers["cf-ai-req-id"],
        "peer": "loopback",
        "method": "POST",
        "path": "/client/v4/accounts/{account_id}/ai/run/{model}",
        "model": "t",
        "status": 200,
        "outcome": "ok",
        "finish": "stop",
        "prompt_tokens": 7,
        "cached_tokens": 0,
        "completion_tokens": 2,
    }


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/ai/run/tiny", {"prompt": 3}, {"path": "/ai/run/{model}", "model": "t", "status": 400, "outcome": "5006"}),
        ("/ai/run/nobody-knows", PROMPT, {"path": "/ai/run/{model}", "status": 400, "outcome": "7000"}),
        ("/nowhere", PROMPT, {"status": 400, "outcome": "7000"}),
        ("/healthz", PROMPT, {"path": "/healthz", "status": 405, "outcome": "7001"}),
    ],
)  # fmt: skip
def test_a_refusal_is_told_with_its_code_and_nothing_of_what_the_client_wrote(
    server: Scripted, told: pytest.LogCaptureFixture, path: str, body: Any, expected: dict[str, Any]
) -> None:
    server.ask(body, path=path)
    found = line(told)
    assert {name: found.get(name) for name in ("path", "model", "status", "outcome")} == {
        "path": None,
        "model": None,
        **expected,
    }
    assert "nobody-knows" not in told.text
    assert "nowhere" not in told.text


def test_an_engine_that_refuses_is_told_with_the_errors_code(server: Scripted, told: pytest.LogCaptureFixture) -> None:
    server.will(InvalidRequest("no")).ask(PROMPT)
    found = line(told)
    assert (found["status"], found["outcome"]) == (400, "5006")


def test_a_stream_that_fails_is_told_with_its_status_and_the_errors_code(
    server: Scripted, told: pytest.LogCaptureFixture
) -> None:
    server.will([Text("Hi"), Failed(EngineError("broken"))]).ask(PROMPT | {"stream": True})
    found = line(told)
    assert (found["status"], found["outcome"], "finish" in found) == (200, "5000", False)


def test_a_fault_of_ours_is_a_500(server: Scripted, told: pytest.LogCaptureFixture) -> None:
    assert server.will(ZeroDivisionError()).ask(PROMPT).status_code == 500
    found = line(told)
    assert (found["status"], found["outcome"]) == (500, "5000")


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_is_told_with_the_tokens_it_has_cost(
    server: Scripted, told: pytest.LogCaptureFixture, stream: bool
) -> None:
    server.will([Text("Hi")])
    body = json.dumps(PROMPT | {"stream": stream}).encode()
    with server.connection() as connection:
        connection.sendall(request(body))
        if stream:
            connection.recv(100)
        else:
            assert comes_true(lambda: bool(server.engine.running))
    found = line(told)
    assert (found["outcome"], found["finish"], found["prompt_tokens"]) == ("cancelled", "cancelled", 5)
    assert found.get("status") == (200 if stream else None)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_while_its_model_is_loaded_is_told_at_once(
    tmp_path: Path, told: pytest.LogCaptureFixture, stream: bool
) -> None:
    begun, gate = threading.Event(), threading.Event()

    def make(*_: object) -> FakeEngine:
        begun.set()
        assert gate.wait(PATIENCE)
        return FakeEngine()

    with scripted(tmp_path / "models", make_engine=make) as server:
        try:
            with server.connection() as connection:
                connection.sendall(request(json.dumps(PROMPT | {"stream": stream}).encode()))
                assert begun.wait(PATIENCE)
            found = line(told)
        finally:
            gate.set()
    assert (found["outcome"], found["model"], "prompt_tokens" in found) == ("cancelled", "t", False)
    assert found["total"] < logs.CANCEL_SECONDS


def test_a_client_that_leaves_within_its_body_is_told(server: Scripted, told: pytest.LogCaptureFixture) -> None:
    with server.connection() as connection:
        connection.sendall(request()[:-1])
    assert line(told)["outcome"] == "cancelled"


def test_whose_token_it_is_is_told_and_not_the_token(locked: Scripted, told: pytest.LogCaptureFixture) -> None:
    locked.ask(PROMPT, headers={"authorization": f"Bearer {TOKEN}"})
    assert line(told)["user"] == "ann"
    assert TOKEN not in told.text


def test_a_wrong_token_is_told_and_shown_to_nobody(locked: Scripted, told: pytest.LogCaptureFixture) -> None:
    locked.ask(PROMPT, headers={"authorization": "Bearer a-wrong-token-of-somebody"})
    found = line(told)
    assert (found["outcome"], found["path"], "user" in found) == ("10000", "/ai/run/{model}", False)
    assert "a-wrong-token" not in told.text


@pytest.mark.parametrize("given", ["abc", 'a b="c" \\', "x" * 128])
@pytest.mark.parametrize("body", [PROMPT, PROMPT | {"stream": True}, {}])
def test_a_clients_own_id_goes_back_to_it_and_into_the_log(
    server: Scripted, told: pytest.LogCaptureFixture, given: str, body: Any
) -> None:
    reply = server.ask(body, headers={"x-request-id": given})
    assert (reply.headers["x-request-id"], line(told)["client_id"]) == (given, given)


@pytest.mark.parametrize("given", ["x" * 129, "", "ümläut".encode("latin-1"), "ümläut".encode()])
def test_what_is_no_id_is_left_out(server: Scripted, told: pytest.LogCaptureFixture, given: Any) -> None:
    reply = server.ask(PROMPT, headers={"x-request-id": given})
    assert (reply.status_code, "x-request-id" in reply.headers, "client_id" in line(told)) == (200, False, False)


def test_no_prompt_is_told_at_level_debug(server: Scripted, told: pytest.LogCaptureFixture) -> None:
    told.set_level(logging.DEBUG)
    server.will(answer("an answer that is private")).ask({"prompt": SECRET, "of a client": 1})
    server.ask({"messages": [{"role": SECRET, "content": SECRET}]})
    assert comes_true(lambda: len(lines(told)) == 2)
    assert SECRET not in told.text
    assert "private" not in told.text
    assert SECRET not in str(lines(told))


def test_prompts_are_told_where_the_setting_asks_and_the_log_warns(
    tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    with scripted(tmp_path / "asked", log_prompts=True) as server:
        server.ask(PROMPT)
        assert SECRET in line(told)["prompt"]
    warned = [record.message for record in told.records if record.levelname == "WARNING"]
    assert warned == ["log_prompts is set: whoever reads the log reads what users ask"]


def test_a_line_of_text_is_names_and_values() -> None:
    assert logs._line({"id": "a", "status": 200, "client_id": 'b "c"=\\', "prompt": "two\nlines"}) == (
        'id=a status=200 client_id="b \\"c\\"=\\\\" prompt="two\\nlines"'
    )


def record(message: str, *args: object, **given: Any) -> logging.LogRecord:
    made = logging.LogRecord("llamalet.server", logging.WARNING, "x.py", 1, message, args, given.pop("exc_info", None))
    made.created = 1784992142.25
    made.__dict__ |= given
    return made


def test_a_line_of_json_has_the_time_in_utc_and_the_fields() -> None:
    assert json.loads(JsonLines().format(record("x", fields={"id": "a", "status": 200}))) == {
        "time": "2026-07-25T15:09:02.250Z",
        "level": "warning",
        "logger": "llamalet.server",
        "id": "a",
        "status": 200,
    }


def test_whatever_else_is_logged_is_a_line_of_json_too() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        made = record("no %d", 1, exc_info=(ValueError, error, error.__traceback__))
    text = JsonLines().format(made)
    shown = json.loads(text)
    assert "\n" not in text
    assert shown["message"] == "no 1"
    assert shown["exception"].endswith("ValueError: two\nlines")


@pytest.mark.parametrize(
    ("client", "server", "kind"),
    [
        (("127.0.0.1", 1), ("127.0.0.1", 8788), "loopback"),
        (("::1", 1), ("::1", 8788), "loopback"),
        (("::ffff:127.0.0.1", 1), ("::", 8788), "loopback"),
        (("192.0.2.1", 1), ("192.0.2.2", 8788), "remote"),
        (("fe80::1%eth0", 1), ("::", 8788), "remote"),
        (None, ("/run/llamalet.sock", None), "unix"),
        (None, None, "unknown"),
    ],
)
def test_a_client_is_told_by_its_kind_and_not_by_its_address(client: Any, server: Any, kind: str) -> None:
    assert logs._peer({"type": "http", "client": client, "server": server}) == kind


@pytest.mark.parametrize(("given", "level"), [({}, logging.INFO), ({"log": "warning"}, logging.NOTSET)])
def test_the_lines_are_shown_unless_a_level_was_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: dict[str, Any], level: int
) -> None:
    for name in logs.LOGGERS:
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)
    logs.show(settings.load(given, env={}, folder=tmp_path))
    assert [logging.getLogger(name).level for name in logs.LOGGERS] == [level, level]
