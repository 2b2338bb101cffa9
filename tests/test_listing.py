"""The catalogue as Cloudflare's API lists it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from runtime import catalog
from runtime.errors import InvalidRequest, Unsupported
from runtime.wire import listing

if TYPE_CHECKING:
    from pathlib import Path

SMALL, MIDDLE, LARGE = (
    "@cf/meta/llama-3.2-1b-instruct",
    "@cf/meta/llama-3.2-3b-instruct",
    "@cf/meta/llama-3.1-8b-instruct",
)
OWN = """
[[model]]
id = "mine"
path = "mine.gguf"
licence = "MIT"

[[adapter]]
name = "tales"
path = "tales.gguf"
models = ["mine", "1b"]

[[adapter]]
name = "ads"
path = "ads.gguf"
models = ["mine"]
scale = 0.5
"""


@pytest.fixture
def models(tmp_path: Path) -> catalog.Catalog:
    """The built-in models, one of the user's own, and a file of the command line."""
    (tmp_path / "models.toml").write_text(OWN)
    return catalog.load(tmp_path / "models.toml").with_files([tmp_path / "secret" / "Other-Q8_0.gguf"])


def names(models: catalog.Catalog, **query: str) -> list[str]:
    return [item["name"] for item in listing.models(models, query)["result"]]


def properties(item: dict[str, Any]) -> dict[str, str]:
    return {one["property_id"]: one["value"] for one in item["properties"]}


def test_every_model_is_listed_by_the_name_that_clients_ask_for(models: catalog.Catalog) -> None:
    assert names(models) == [SMALL, MIDDLE, LARGE, "mine", "Other-Q8_0.gguf"]


def test_no_path_of_this_machine_is_listed(models: catalog.Catalog) -> None:
    assert "secret" not in str(listing.models(models, {}))


def test_an_item_has_the_services_fields(models: catalog.Catalog) -> None:
    item = listing.models(models, {}, parity=True)["result"][0]
    assert item == {
        "id": "906a57fd-b018-4d6c-a43e-a296d4cc5839",
        "source": 1,
        "name": SMALL,
        "description": item["description"],
        "task": {
            "id": "c329a1f9-323d-4e91-b2aa-582dd4188d34",
            "name": "Text Generation",
            "description": item["task"]["description"],
        },
        "created_at": None,
        "tags": [],
        "properties": [
            {"property_id": "context_window", "value": "60000"},
            {
                "property_id": "terms",
                "value": "https://github.com/meta-llama/llama-models/blob/main/models/llama3_2/LICENSE",
            },
        ],
    }


def test_all_values_of_properties_are_strings(models: catalog.Catalog) -> None:
    for item in listing.models(models, {})["result"]:
        assert {type(value) for value in properties(item).values()} == {str}


def test_what_every_model_can_do_here_is_told_except_in_parity(models: catalog.Catalog) -> None:
    ours = {"function_calling": "true", "lora": "true", "async_queue": "true"}
    for parity in (False, True):
        for item in listing.models(models, {}, parity=parity)["result"]:
            assert (ours.items() <= properties(item).items()) is not parity


def test_a_model_of_the_users_own_has_an_id_that_stays(models: catalog.Catalog) -> None:
    first, second = (listing.models(models, {"search": "mine"})["result"][0] for _ in range(2))
    assert first == second
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", first["id"])
    assert properties(first)["terms"] == "MIT"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"search": "LLAMA-3.2"}, [SMALL, MIDDLE]),
        ({"search": "flavors"}, [LARGE]),  # of the description
        ({"search": "nothing"}, []),
        ({"task": "text generation"}, [SMALL, MIDDLE, LARGE, "mine", "Other-Q8_0.gguf"]),
        ({"task": "Text-to-Image"}, []),
        ({"author": "Meta"}, [SMALL, MIDDLE, LARGE]),
        ({"author": "mistral"}, []),
        ({"source": "1"}, [SMALL, MIDDLE, LARGE, "mine", "Other-Q8_0.gguf"]),
        ({"source": "1.0", "search": "3b"}, [MIDDLE]),
        ({"source": "2"}, []),
        ({"hide_experimental": "true"}, [SMALL, LARGE, "mine", "Other-Q8_0.gguf"]),
        ({"hide_experimental": "false", "search": "3b"}, [MIDDLE]),
        ({"include_deprecated": "True", "author": "meta"}, [SMALL, MIDDLE, LARGE]),
        ({"search": "", "task": listing.TASK["id"], "author": "meta"}, [SMALL, MIDDLE, LARGE]),
    ],
)
def test_the_published_filters_hold_together(models: catalog.Catalog, query: dict[str, str], found: list[str]) -> None:
    assert names(models, **query) == found


def test_a_page_says_where_it_is(models: catalog.Catalog) -> None:
    page = listing.models(models, {"page": "2", "per_page": "2"})
    assert [item["name"] for item in page["result"]] == [LARGE, "mine"]
    assert page["result_info"] == {"count": 2, "page": 2, "per_page": 2, "total_count": 5}


@pytest.mark.parametrize("page", ["4", "999999999"])
def test_a_page_past_the_end_is_empty(models: catalog.Catalog, page: str) -> None:
    past = listing.models(models, {"page": page, "per_page": "2"})
    assert (past["result"], past["result_info"]["count"], past["success"]) == ([], 0, True)


def test_a_page_of_nothing_or_of_far_too_many_is_one_within_bounds(models: catalog.Catalog) -> None:
    infos = [listing.models(models, {"per_page": count, "page": "0"})["result_info"] for count in ("0", "999999999")]
    assert [(info["page"], info["per_page"]) for info in infos] == [(1, 1), (1, 1000)]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *((name, value) for name in ("page", "per_page") for value in ("x", "-1", "1.5", "1e3", "9" * 5000, "²")),
        *(("source", value) for value in ("x", "nan", "-1", "1e5")),
        *((name, value) for name in ("hide_experimental", "include_deprecated") for value in ("yes", "1")),
    ],
)
def test_a_value_that_is_none_is_refused_by_the_name_of_its_option(
    models: catalog.Catalog, option: str, value: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"^{option}: must be ") as refused:
        listing.models(models, {option: value})
    assert len(refused.value.message) < 200


def test_another_format_is_refused_by_name(models: catalog.Catalog) -> None:
    with pytest.raises(Unsupported, match=r"^format=openrouter is not supported"):
        listing.models(models, {"format": "openrouter"})


def test_an_option_that_nobody_knows_is_named_except_in_parity(models: catalog.Catalog) -> None:
    (message,) = listing.models(models, {"colour": "red"})["messages"]
    assert message["message"] == "Ignored, since nobody knows them: colour."
    assert listing.models(models, {"colour": "red"}, parity=True)["messages"] == []


def test_there_is_one_task() -> None:
    assert [task["name"] for task in listing.tasks({})["result"]] == ["Text Generation"]
    assert listing.tasks({"page": "2"})["result"] == []


def test_the_authors_are_those_of_names(models: catalog.Catalog) -> None:
    assert listing.authors(models, {})["result"] == [{"name": "meta"}]


def test_finetunes_are_the_adapters_once_for_each_model(models: catalog.Catalog) -> None:
    items = listing.finetunes(models, {})["result"]
    assert [(item["model"], item["name"]) for item in items] == [(SMALL, "tales"), ("mine", "tales"), ("mine", "ads")]
    assert len({item["id"] for item in items}) == 3
    assert items[0].keys() == {"id", "model", "name", "description", "created_at", "modified_at"}
    assert items[2]["description"].endswith("at scale 0.5.")


def test_the_date_of_a_finetune_is_that_of_its_file(models: catalog.Catalog, tmp_path: Path) -> None:
    assert {item["created_at"] for item in listing.finetunes(models, {})["result"]} == {None}  # no file is there
    (tmp_path / "tales.gguf").touch()
    os.utime(tmp_path / "tales.gguf", (1577470279.117, 1577470279.117))
    tales, *_ = listing.finetunes(models, {})["result"]
    assert tales["created_at"] == tales["modified_at"] == "2019-12-27T18:11:19.117Z"


def test_public_finetunes_are_the_same_and_can_be_sorted_and_cut(models: catalog.Catalog) -> None:
    def told(**query: str) -> list[str]:
        return [f"{item['model']}/{item['name']}" for item in listing.public_finetunes(models, query)["result"]]

    assert all(item["public"] is True for item in listing.public_finetunes(models, {})["result"])
    assert told(orderBy="name") == ["mine/ads", f"{SMALL}/tales", "mine/tales"]
    assert told(orderBy="name", limit="1", offset="1") == [f"{SMALL}/tales"]
    assert told(offset="3") == []


def test_public_finetunes_are_not_sorted_by_what_they_do_not_have(models: catalog.Catalog) -> None:
    with pytest.raises(InvalidRequest, match=r"^orderBy: must be one of id, name, model"):
        listing.public_finetunes(models, {"orderBy": "path"})
