"""What there is, over loopback: the addresses of models, schemas, tasks, authors and finetunes."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from cloudflare import Cloudflare

from runtime.wire import published
from tests.servers import ACCOUNT, code_of, said_by, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Scripted

LISTS = ["/ai/models/search", "/ai/tasks/search", "/ai/authors/search", "/ai/finetunes", "/ai/finetunes/public"]
SCHEMA = "/ai/models/schema"
MODEL = "@cf/meta/llama-3.2-3b-instruct"
PREFIXES = ["", f"/client/v4/accounts/{ACCOUNT}"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted(tmp_path_factory.mktemp("models")) as one:
        yield one


@pytest.fixture(scope="module")
def client(server: Scripted) -> Cloudflare:
    return Cloudflare(api_token="any", base_url=f"{server.running.url}/client/v4")


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("path", LISTS)
def test_a_list_comes_in_the_envelope_with_its_page(server: Scripted, prefix: str, path: str) -> None:
    reply = server.http.get(prefix + path)
    body = reply.json()
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    assert list(body) == ["result", "success", "errors", "messages", "result_info"]
    assert body["result_info"] == {
        "count": len(body["result"]),
        "page": 1,
        "per_page": 20,
        "total_count": len(body["result"]),
    }
    assert body["result"]
    assert "cf-ai-req-id" in reply.headers


@pytest.mark.parametrize("path", [*LISTS, SCHEMA])
def test_an_account_that_cannot_be_one_is_refused(server: Scripted, path: str) -> None:
    assert code_of(server.http.get(f"/client/v4/accounts/anonymous{path}")) == (404, 7003)


@pytest.mark.parametrize("path", [*LISTS, SCHEMA])
def test_another_method_is_refused(server: Scripted, path: str) -> None:
    assert code_of(server.http.put(path)) == (405, 7001)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    "name", [MODEL, "@cf%2Fmeta%2Fllama-3.2-3b-instruct", "%40cf%2Fmeta%2Fllama-3.2-3b-instruct", "3b"]
)
def test_the_schemas_of_a_model_are_those_published(server: Scripted, prefix: str, name: str) -> None:
    result = server.http.get(f"{prefix}{SCHEMA}?model={name}").json()["result"]
    kept = json.loads((resources.files("runtime.wire") / "schemas/llama-3.2-3b-instruct.json").read_text("utf-8"))
    assert result["input"] == kept["input"]
    assert result["output"] == published.schemas("llama-3.2-1b-instruct")["output"]


@pytest.mark.parametrize("name", ["tiny", "8b", "1b:Q4_K_M"])
def test_a_model_without_a_published_schema_has_the_one_that_it_is_held_to(server: Scripted, name: str) -> None:
    assert server.http.get(SCHEMA, params={"model": name}).json()["result"] == published.schemas(
        "llama-3.2-1b-instruct"
    )


def test_a_schema_of_no_model_is_refused(server: Scripted) -> None:
    assert code_of(server.http.get(SCHEMA)) == (400, 5006)


def test_a_schema_of_an_unknown_model_is_refused_in_the_services_words(server: Scripted) -> None:
    reply = server.http.get(SCHEMA, params={"model": "@cf/x/y"})
    assert code_of(reply) == (400, 5007)
    assert said_by(reply).startswith(
        "AiError: No such model: No such model @cf/x/y or task: There is no model '@cf/x/y'."
    )


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("path", ["/ai/finetunes", "/ai/finetunes/x/finetune-assets"])
def test_no_finetune_comes_over_http(server: Scripted, prefix: str, path: str) -> None:
    reply = server.http.post(prefix + path, files={"file": b"x" * 1000})
    assert code_of(reply) == (400, 5006)
    assert "Creating finetunes is not supported" in said_by(reply)
    assert server.ask().is_success


def test_the_adapters_are_those_of_the_models_file(server: Scripted) -> None:
    items = server.http.get("/ai/finetunes").json()["result"]
    assert [(one["model"], one["name"]) for one in items if "tiny" in one["model"]] == [("@cf/meta/tiny", "tales")]


@pytest.mark.parametrize("per_page", [1, 3, 20])
def test_cloudflares_client_reads_every_page_and_comes_to_an_end(client: Cloudflare, per_page: int) -> None:
    found: list[Any] = list(client.ai.models.list(account_id=ACCOUNT, per_page=per_page))
    assert [one["name"].rpartition("/")[2] for one in found] == [
        "llama-3.2-1b-instruct",
        "llama-3.2-3b-instruct",
        "llama-3.1-8b-instruct",
        "tiny",
    ]


def test_cloudflares_client_sends_filters_as_they_are_read(client: Cloudflare) -> None:
    found: list[Any] = list(
        client.ai.models.list(
            account_id=ACCOUNT,
            author="meta",
            hide_experimental=True,
            include_deprecated=False,
            search="llama-3.2",
            source=1,
            task="Text Generation",
        )
    )
    assert [one["name"] for one in found] == ["@cf/meta/llama-3.2-1b-instruct"]


def test_cloudflares_client_reads_schemas_tasks_authors_and_finetunes(client: Cloudflare) -> None:
    schema: Any = client.ai.models.schema.get(account_id=ACCOUNT, model=MODEL)
    assert schema.input.type == "object"
    tasks: list[Any] = list(client.ai.tasks.list(account_id=ACCOUNT))
    authors: list[Any] = list(client.ai.authors.list(account_id=ACCOUNT))
    assert ([one["name"] for one in tasks], authors) == (["Text Generation"], [{"name": "meta"}])
    finetunes: Any = client.ai.finetunes.list(account_id=ACCOUNT)
    assert {one.name for one in finetunes} == {"tales"}
    public = list(client.ai.finetunes.public.list(account_id=ACCOUNT, limit=1, order_by="name"))
    assert [(one.name, one.public) for one in public] == [("tales", True)]


def test_in_parity_a_list_has_nothing_of_ours(tmp_path: Path) -> None:
    with scripted(tmp_path, parity=True) as strict:
        body = strict.http.get("/ai/models/search?colour=red").json()
    known = {one["property_id"] for item in body["result"] for one in item["properties"]}
    assert (known, body["messages"]) == ({"beta", "context_window", "terms"}, [])
