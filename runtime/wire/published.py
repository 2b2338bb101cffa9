"""The schemas that Cloudflare publishes, kept verbatim in `schemas/`, and validators of the inputs.

That of inputs is a oneOf of two branches, called Prompt and Messages. A validator is built once for each branch of each
schema, and gives its errors in the schema's own order.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

Title = Literal["Prompt", "Messages"]
TITLES: tuple[Title, ...] = ("Prompt", "Messages")  # as the schemas have them in their oneOf

# The newest first. It holds for models that have none here: of Llama 3.1 8B the page has a table only, whose options
# are the newest's, and models of the user's own have no page.
NAMES = ("llama-3.2-1b-instruct", "llama-3.2-3b-instruct")


def name_for(model: str) -> str:
    """Whose schema holds for the model of this id, with the prefix or without."""
    name = model.removeprefix("@cf/meta/")
    return name if name in NAMES else NAMES[0]


@functools.cache
def schemas(model: str) -> dict[str, Any]:
    """`input` and `output` for the model of this id. Where a page as kept has no output, the newest's: it is what is
    answered."""
    newest, own = _kept(NAMES[0]), _kept(name_for(model))
    return {"input": own["input"], "output": own.get("output", newest["output"])}


@functools.cache
def _kept(name: str) -> dict[str, Any]:
    """What the page of `name` says, as far as it is kept."""
    file = resources.files("runtime.wire") / "schemas" / f"{name}.json"
    kept: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return kept


@functools.cache
def branch(name: str, title: Title) -> dict[str, Any]:
    """One branch of the input schema of `name`."""
    branches: list[dict[str, Any]] = _kept(name)["input"]["oneOf"]
    return next(branch for branch in branches if branch["title"] == title)


@functools.cache
def options(name: str, title: Title) -> dict[str, Any]:
    """Every option that any schema has; of several schemas for one, that of this branch, or else of this model.

    The schemas differ in where they have `raw`, `image`, `response_format`, `lora` and others, while all the models are
    served alike.
    """
    found: dict[str, Any] = {}
    for other in sorted(NAMES, key=lambda each: each != name):
        for branch_of_it in sorted(TITLES, key=lambda each: each != title):
            found = {**branch(other, branch_of_it)["properties"], **found}
    return {key: schema for key, schema in found.items() if key not in ("prompt", "messages")}


def compiled(schema: dict[str, Any]) -> Validator:
    """The validator of any schema."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema)


@functools.cache
def validator(name: str, title: Title) -> Validator:
    """The validator of one branch as it is published."""
    return compiled(branch(name, title))


def first_of_branches(error: ValidationError) -> list[ValidationError]:
    """The first error within each branch, where `error` is that none of several is met."""
    firsts: dict[int, ValidationError] = {}
    for each in error.context or ():
        firsts.setdefault(int(each.relative_schema_path[0]), each)
    return [firsts[index] for index in sorted(firsts)]
