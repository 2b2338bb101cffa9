"""The list of models, as OpenAI's API has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.catalog import PREFIX
from runtime.wire.listing import name_of

if TYPE_CHECKING:
    from runtime.catalog import Catalog, ModelSpec


def listed(catalog: Catalog) -> dict[str, Any]:
    """Every model of the catalogue, whether its file is here or not."""
    return {"object": "list", "data": [model(spec) for spec in catalog.models]}


def model(spec: ModelSpec) -> dict[str, Any]:
    """One of them. The catalogue has no dates, so `created` is 0."""
    owner = "meta" if spec.id.startswith(PREFIX) else "local"
    return {"id": name_of(spec), "object": "model", "created": 0, "owned_by": owner}
