"""What `/metrics` counts, read as Prometheus reads it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

import runtime
from runtime.aio import AsyncRuntime
from runtime.errors import EngineError, QueueFull
from runtime.server.app import application
from runtime.values import Done, Failed, Progress, Text, Timings, Usage
from tests.fake_engine import FakeEngine, answer
from tests.gate import comes_true
from tests.servers import ACCOUNT, PATIENCE, request, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Scripted

TOKEN = "s3cret-t0ken-of-these-tests"
PROMPT = {"prompt": "Hi"}
STREAM = json.dumps(PROMPT | {"stream": True}).encode()
MODEL = {"model": "t"}  # the alias of the tiny model


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Scripted]:
    with scripted(tmp_path / "models") as one:
        yield one


class Counted:
    """What a server says at one moment."""

    def __init__(self, server: Scripted, **headers: str) -> None:
        self.reply = server.http.get("/metrics", headers=headers)
        assert self.reply.status_code == 200, self.reply.text
        self.kinds = {one.name: one.type for one in text_string_to_metric_families(self.reply.text)}
        self._samples = [each for one in text_string_to_metric_families(self.reply.text) for each in one.samples]

    def value(self, name: str, **labels: str) -> float:
        """Of the one sample that has these labels among its own; 0 where nothing was counted."""
        found = [one.value for one in self._samples if one.name == name and labels.items() <= one.labels.items()]
        assert len(found) < 2, found
        return found[0] if found else 0

    def labels(self, name: str) -> list[dict[str, str]]:
        return [dict(one.labels) for one in self._samples if one.name == name]

    def names(self) -> set[str]:
        return {one.name for one in self._samples}


def requests(server: Scripted, **labels: str) -> float:
    return Counted(server).value("llamalet_requests_total", **labels)


def comes_to(server: Scripted, name: str, value: float, **labels: str) -> bool:
    """A request is counted when it has ended, which its client may know before."""
    return comes_true(lambda: Counted(server).value(name, **labels) == value)


def done(prompt: int, completion: int, cached: int = 0, forced: int = 0, decode: float = 0.5) -> Done:
    return Done("stop", Usage(prompt, completion, cached, forced), Timings(0.1, 0.2, decode))


def test_it_is_prometheus_text_format_without_the_dates_of_another(server: Scripted) -> None:
    server.ask(PROMPT)
    counted = Counted(server)
    assert counted.reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert counted.reply.headers["cf-ai-req-id"]
    assert [name for name in counted.names() if name.endswith("_created")] == []
    kinds = (counted.kinds["llamalet_requests"], counted.kinds["llamalet_time_to_first_token_seconds"])
    assert kinds == ("counter", "histogram")


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_counted_by_surface_model_and_outcome(server: Scripted, stream: bool) -> None:
    server.ask(PROMPT | {"stream": stream}, path=f"/client/v4/accounts/{ACCOUNT}/ai/run/@cf/meta/tiny")
    assert comes_to(server, "llamalet_requests_total", 1, surface="native", outcome="ok", **MODEL)
    expected = {"surface": "native", "model": "t", "outcome": "ok", "user": ""}
    assert expected in Counted(server).labels("llamalet_requests_total")


def test_a_refusal_is_counted_by_its_code(server: Scripted) -> None:
    server.ask({"prompt": 3})
    assert comes_to(server, "llamalet_requests_total", 1, outcome="5006", **MODEL)


def test_a_failed_stream_is_counted_by_its_code_though_it_began_well(server: Scripted) -> None:
    server.will([Text("Hi"), Failed(EngineError("broken"))]).ask(PROMPT | {"stream": True})
    assert comes_to(server, "llamalet_requests_total", 1, outcome="5000", **MODEL)


@pytest.mark.parametrize("body", [STREAM, json.dumps(PROMPT).encode()], ids=["stream", "whole"])
def test_a_client_that_leaves_is_counted_as_cancelled(server: Scripted, body: bytes) -> None:
    server.will([Text("Hi")])
    with server.connection() as connection:
        connection.sendall(request(body))
        assert comes_true(lambda: bool(server.engine.running))
    assert comes_to(server, "llamalet_requests_total", 1, outcome="cancelled", **MODEL)
    assert Counted(server).value("llamalet_prompt_tokens_total", **MODEL) == 5


def test_no_label_has_what_clients_write(server: Scripted) -> None:
    words = ["whatever-path", "whatever-model", "whatever-method", "whatever-id"]
    server.http.request("WHATEVER-METHOD", "/whatever-path?whatever-path", headers={"x-request-id": "whatever-id"})
    server.ask(PROMPT, path="/ai/run/whatever-model")
    assert comes_to(server, "llamalet_requests_total", 1, surface="native", model="", outcome="7000")
    text = Counted(server).reply.text.lower()
    assert [word for word in words if word in text] == []


def test_tokens_are_those_of_the_engines_usage(server: Scripted) -> None:
    server.will([Text("a"), done(10, 4, cached=6, forced=3)], [Text("b"), done(20, 5)])
    server.ask(PROMPT)
    server.ask(PROMPT | {"stream": True})
    counted = Counted(server)
    names = ("prompt_tokens", "completion_tokens", "cached_tokens", "forced_tokens", "prefix_cache_hits")
    assert [counted.value(f"llamalet_{name}_total", **MODEL) for name in names] == [30, 9, 6, 3, 1]


def test_the_decode_rate_is_that_of_the_tokens_after_the_first(server: Scripted) -> None:
    server.will([Text("a"), done(10, 11, decode=0.5)], [Text("a"), done(10, 1, decode=0.5)])  # 20 a second; no rate
    server.ask(PROMPT)
    server.ask(PROMPT)
    counted, name = Counted(server), "llamalet_decode_tokens_per_second"
    assert (counted.value(f"{name}_count", **MODEL), counted.value(f"{name}_sum", **MODEL)) == (1, 20)
    assert [counted.value(f"{name}_bucket", le=le) for le in ("10.0", "20.0", "+Inf")] == [0, 1, 1]


def test_the_time_to_the_first_token_counts_from_the_requests_arrival_to_the_first_piece(server: Scripted) -> None:
    begun = time.monotonic()
    server.will([Progress(1, 2)])
    asking = threading.Thread(target=server.ask, args=(PROMPT,))
    asking.start()
    assert comes_true(lambda: bool(server.engine.running))
    (emit,) = server.engine.running.values()
    threading.Event().wait(0.1)  # what the prompt takes
    for event in answer("Hi"):
        emit(event)
    asking.join(PATIENCE)
    name = "llamalet_time_to_first_token_seconds"
    assert comes_to(server, f"{name}_count", 1, **MODEL)
    assert 0.1 <= Counted(server).value(f"{name}_sum", **MODEL) <= time.monotonic() - begun


def test_an_answer_without_a_piece_has_no_time_to_it(server: Scripted) -> None:
    server.will(QueueFull("full")).ask(PROMPT)
    assert comes_to(server, "llamalet_requests_total", 1, outcome="3040", **MODEL)
    assert Counted(server).value("llamalet_time_to_first_token_seconds_count", **MODEL) == 0


def now(server: Scripted) -> tuple[float, float]:
    counted = Counted(server)
    return counted.value("llamalet_waiting"), counted.value("llamalet_running")


def test_a_run_waits_runs_and_is_gone(server: Scripted) -> None:
    assert now(server) == (0, 0)
    server.will([])
    with server.connection() as connection:
        connection.sendall(request(STREAM))
        assert comes_true(lambda: bool(server.engine.running))
        assert now(server) == (1, 0)
        (emit,) = server.engine.running.values()
        emit(Progress(1, 2))
        assert now(server) == (0, 1)
    assert comes_true(lambda: now(server) == (0, 0))


def test_a_run_that_is_refused_waits_no_more(server: Scripted) -> None:
    server.will(QueueFull("full")).ask(PROMPT)
    assert comes_true(lambda: now(server) == (0, 0))


def test_those_who_wait_for_a_load_are_counted_and_the_load_with_its_time(tmp_path: Path) -> None:
    gate = threading.Event()

    def make(*_: object) -> FakeEngine:
        assert gate.wait(PATIENCE)
        return FakeEngine()

    with scripted(tmp_path / "models", make_engine=make) as server:
        threads = [threading.Thread(target=server.ask, args=(PROMPT,)) for _ in range(8)]  # more than threads that load
        for one in threads:
            one.start()
        try:
            assert comes_true(lambda: now(server) == (8, 0))
            assert Counted(server).value("llamalet_model_load_seconds_count", **MODEL) == 0
        finally:
            gate.set()
        for one in threads:
            one.join(PATIENCE)
        counted = Counted(server)
    assert (counted.value("llamalet_waiting"), counted.value("llamalet_model_load_seconds_count", **MODEL)) == (0, 1)
    assert 0 < counted.value("llamalet_model_load_seconds_sum", **MODEL) < PATIENCE


def test_memory_is_that_of_the_models_that_are_there_by_their_plan(server: Scripted) -> None:
    assert Counted(server).labels("llamalet_model_memory_bytes") == []
    server.ask(PROMPT)
    (one,) = server.running.ai.loaded()
    assert Counted(server).value("llamalet_model_memory_bytes", quant="GGUF", **MODEL) == one.memory > 0
    server.ask(PROMPT | {"keep_alive": 0})
    assert comes_to(server, "llamalet_model_unloads_total", 1, **MODEL)
    assert Counted(server).labels("llamalet_model_memory_bytes") == []


def test_the_process_and_the_build_are_told(server: Scripted) -> None:
    counted = Counted(server)
    assert counted.value("process_start_time_seconds") == pytest.approx(psutil.Process().create_time())
    assert counted.value("process_resident_memory_bytes") > 2**20
    (build,) = counted.labels("llamalet_build_info")
    assert (build["version"], set(build)) == (runtime.__version__, {"version", "python", "llama_cpp_python"})


def test_two_servers_in_a_process_count_each_their_own(tmp_path: Path) -> None:
    with scripted(tmp_path / "one") as one, scripted(tmp_path / "two") as two:
        one.ask(PROMPT)
        assert comes_to(one, "llamalet_requests_total", 1, surface="native")
        assert requests(two, surface="native") == 0


def test_it_needs_the_token_and_counts_by_whose_it_is(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"ann {TOKEN}\n")
    good = {"authorization": f"Bearer {TOKEN}"}
    with scripted(tmp_path / "models", token_file=tmp_path / "tokens") as server:
        assert server.http.get("/metrics").status_code == 400
        server.ask(PROMPT, headers=good)
        server.ask(PROMPT, headers={"authorization": "Bearer another-token-of-nobody"})
        refused = {"outcome": "10000", "user": ""}
        assert comes_true(lambda: Counted(server, **good).value("llamalet_requests_total", **refused) == 1)
        counted = Counted(server, **good)
    assert counted.value("llamalet_requests_total", outcome="ok", user="ann", surface="native") == 1
    assert TOKEN not in counted.reply.text


# -- the states ------------------------------------------------------------------------------------------------------


def states(ending: bool) -> list[tuple[int, Any]]:
    """What the two states are."""

    async def ask() -> list[tuple[int, Any]]:
        app = application(AsyncRuntime(), is_ending=lambda: ending)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            replies = [await client.get(path) for path in ("/readyz", "/healthz")]
        await app.state.ai.close()
        return [(reply.status_code, reply.json()) for reply in replies]

    return asyncio.run(ask())


def test_a_server_that_ends_is_alive_and_not_ready() -> None:
    assert states(ending=True) == [(503, {"status": "ending"}), (200, {"status": "ok"})]


def test_a_server_that_does_not_is_both() -> None:
    assert states(ending=False) == [(200, {"status": "ready"}), (200, {"status": "ok"})]
