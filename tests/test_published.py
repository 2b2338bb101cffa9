"""The schemas are those of the pages, and each model has its own."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

import pytest

from runtime.wire import published
from tests.shared import needs_shared, shared

SEEDS = {
    "llama-3.2-1b-instruct": "seeds/001_1bdb91c500ceba1c.txt",
    "llama-3.2-3b-instruct": "seeds/003_3b1a5b210f24fbbc.txt",
}


def kept(name: str) -> dict[str, Any]:
    file = resources.files("runtime.wire") / "schemas" / f"{name}.json"
    loaded: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return loaded


@pytest.mark.parametrize(
    ("name", "seed"), [pytest.param(name, seed, marks=needs_shared(seed)) for name, seed in SEEDS.items()]
)
def test_the_schemas_are_the_published_ones(name: str, seed: str) -> None:
    page = shared(seed).read_text("utf-8")
    begin = re.search(r'^ *(\{\s*"type": "object",\s*"oneOf")', page, re.MULTILINE)
    assert begin is not None
    decoder = json.JSONDecoder()
    ours = kept(name)
    theirs, end = decoder.raw_decode(page, begin.start(1))
    assert ours["input"] == theirs
    if "output" in ours:
        assert ours["output"] == decoder.raw_decode(page, end)[0]
    else:
        assert page[end:].strip() == ""  # the page ends before it


@pytest.mark.parametrize("name", published.NAMES)
def test_a_schema_names_its_page(name: str) -> None:
    assert kept(name)["source"].startswith(f"developers.cloudflare.com/workers-ai/models/{name}, section API Schemas")


@pytest.mark.parametrize("name", published.NAMES)
def test_a_branch_of_each_title_requires_what_it_is_called_after(name: str) -> None:
    for title in published.TITLES:
        assert published.branch(name, title)["required"] == [title.lower()]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("@cf/meta/llama-3.2-3b-instruct", "llama-3.2-3b-instruct"),
        ("llama-3.2-3b-instruct", "llama-3.2-3b-instruct"),
        ("@cf/meta/llama-3.2-1b-instruct", "llama-3.2-1b-instruct"),
        ("@cf/meta/llama-3.1-8b-instruct", "llama-3.2-1b-instruct"),
        ("my-own", "llama-3.2-1b-instruct"),
        ("", "llama-3.2-1b-instruct"),
    ],
)
def test_a_model_without_a_schema_has_that_of_the_newest(model: str, name: str) -> None:
    assert published.name_for(model) == name


@pytest.mark.parametrize("title", published.TITLES)
@pytest.mark.parametrize("name", published.NAMES)
def test_the_options_are_those_of_every_schema(name: str, title: published.Title) -> None:
    every = {key for each in published.NAMES for one in published.TITLES for key in keys(each, one)}
    assert set(published.options(name, title)) == every - {"prompt", "messages"}


def keys(name: str, title: published.Title) -> set[str]:
    return set(published.branch(name, title)["properties"])


def test_of_several_schemas_of_an_option_that_of_the_branch_counts() -> None:
    stream = published.options("llama-3.2-3b-instruct", "Messages")["stream"]
    assert stream == published.branch("llama-3.2-3b-instruct", "Messages")["properties"]["stream"]
    assert stream != published.branch("llama-3.2-3b-instruct", "Prompt")["properties"]["stream"]


def test_a_validator_is_built_once_for_each_branch_of_each_schema() -> None:
    built = [published.validator(name, title) for name in published.NAMES for title in published.TITLES]
    again = [published.validator(name, title) for name in published.NAMES for title in published.TITLES]
    assert len({id(one) for one in built}) == 4
    assert all(one is other for one, other in zip(built, again, strict=True))
