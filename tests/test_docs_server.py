"""The tables and examples of docs/server.md are what there is. Its commands are run by `test_docs.py`."""

from __future__ import annotations

import importlib
import json
import logging
import pkgutil
import re
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

import runtime
from runtime import settings
from runtime.engine import meter
from runtime.gguf import adapter
from runtime.server import turns
from runtime.wire import body
from runtime.wire.openai.body import MAX_CHOICES
from tests.gate import comes_true
from tests.servers import scripted
from tests.snippets import ROOT, the

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Scripted

PAGE = (ROOT / "docs" / "server.md").read_text("utf-8")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted(tmp_path_factory.mktemp("models")) as one:
        yield one


def test_the_table_has_every_metric_with_its_labels(server: Scripted) -> None:
    rows = re.findall(r"^\| `(\w+)` \|([\w, ]*)\|", PAGE, re.M)
    documented = {name: set(labels.replace(",", " ").split()) for name, labels in rows}
    assert server.ask().status_code == 200
    server.ask({"prompt": "Hi", "keep_alive": 0})  # a model that leaves is counted, and one that stays has memory
    assert comes_true(lambda: "llamalet_model_unloads_total{" in server.http.get("/metrics").text)
    server.ask()
    families = text_string_to_metric_families(server.http.get("/metrics").text)
    found = {
        one.name + ("_total" if one.type == "counter" else ""): set().union(*(s.labels for s in one.samples)) - {"le"}
        for one in families
    }
    assert found == documented


def test_the_line_of_the_log_is_what_a_request_has(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llamalet.access")
    (tmp_path / "tokens").write_text("ann r4xN0bq2t7Yw9sLkV3mE")
    shown = json.loads(the("docs/server.md", "json").text)
    with scripted(tmp_path / "models", token_file=tmp_path / "tokens") as server:
        named = {"authorization": "Bearer r4xN0bq2t7Yw9sLkV3mE", "x-request-id": shown["client_id"]}
        server.ask(headers=named)
        # Of another test's server a line may be on its way still, whose request had no id of its own.
        assert comes_true(lambda: any("client_id" in vars(one)["fields"] for one in caplog.records))
    (fields,) = (found for one in caplog.records if "client_id" in (found := vars(one)["fields"]))
    assert list(fields) == [name for name in shown if name not in ("time", "level", "logger")]
    same = ("client_id", "peer", "user", "method", "path", "status", "outcome", "finish")
    assert {name: fields[name] for name in same} == {name: shown[name] for name in same}


LIMITS = PAGE.split("## Limits\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("name", re.findall(r"`([a-z_.]+\.[A-Za-z_]+)`", LIMITS))
def test_a_limit_is_where_the_table_says(name: str) -> None:
    module, _, constant = name.rpartition(".")
    modules = [one.name for one in pkgutil.walk_packages(runtime.__path__, "runtime.") if "__main__" not in one.name]
    found = [one for one in modules if one == f"runtime.{module}" or one.endswith(f".{module}")]
    assert any(hasattr(importlib.import_module(one), constant) for one in found)


def test_the_numbers_of_the_limits_are_those_of_the_code() -> None:
    for number in (body.MAX_DEPTH, body.SCHEMA_DEPTH, body.STOPS, body.STOP_BYTES, *body.COUNTS.values()):
        assert re.search(rf"[^0-9,]{number:,}[^0-9,]", LIMITS)
    known = settings.load(env={})
    assert f"| requests that wait | {known.queue} |" in LIMITS
    assert f"| those of one caller | {turns.WAITING} |" in LIMITS
    assert f"| waiting for a place | {known.wait:g} s |" in LIMITS
    assert f"| a request in all | {known.timeout:g} s |" in LIMITS
    assert f"| {meter.TOKEN_SECONDS:g} s for a token, {meter.REQUEST_SECONDS:g} s for an answer" in LIMITS
    assert f"| choices of one request | {MAX_CHOICES} |" in LIMITS
    assert f"| rank {adapter.MAX_RANK}, {adapter.MAX_BYTES >> 20} MB" in LIMITS
