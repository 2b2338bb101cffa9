"""The catalogue as Cloudflare's API lists it: models, tasks, authors, and LoRA adapters as finetunes.

Shapes as the service writes them: the values of properties are strings. A model's date is null, since the catalogue has
none, an adapter's is that of its file, and there are no prices, since there is none to pay.
"""

from __future__ import annotations

import datetime
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.catalog import PREFIX
from runtime.errors import InvalidRequest, Unsupported
from runtime.wire import envelope
from runtime.wire.body import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from runtime.catalog import Catalog, ModelSpec

    Item = dict[str, Any]

T = TypeVar("T")
PER_PAGE, MOST_PER_PAGE = 20, 1000  # ours: neither is published

TASK = {  # of all models here, as the service has it
    "id": "c329a1f9-323d-4e91-b2aa-582dd4188d34",
    "name": "Text Generation",
    "description": "Family of generative text models, such as large language models (LLM), that can be adapted for a "
    "variety of natural language tasks.",
}

_LICENCES = "https://github.com/meta-llama/llama-models/blob/main/models/"


@dataclass(frozen=True, slots=True)
class _Page:
    """What a model's page at developers.cloudflare.com/workers-ai/models has and the catalogue has not."""

    id: str
    description: str
    terms: str
    is_beta: bool = False


_SMALL = (
    "The Llama 3.2 instruction-tuned text only models are optimized for multilingual dialogue use cases, including "
    "agentic retrieval and summarization tasks."
)
_PAGES = {
    f"{PREFIX}llama-3.2-1b-instruct": _Page(
        "906a57fd-b018-4d6c-a43e-a296d4cc5839", _SMALL, f"{_LICENCES}llama3_2/LICENSE"
    ),
    f"{PREFIX}llama-3.2-3b-instruct": _Page(
        "d9dc8363-66f4-4bb0-8641-464ee7bfc131", _SMALL, f"{_LICENCES}llama3_2/LICENSE", is_beta=True
    ),
    f"{PREFIX}llama-3.1-8b-instruct": _Page(
        "41975cc2-c82e-4e98-b7b8-88ffb186a545",
        "Meta's latest class of model (Llama 3.1) launched with a variety of sizes & flavors. This 8B instruct-tuned "
        "version is fast and efficient.",
        f"{_LICENCES}llama3_1/LICENSE",
    ),
}
# What every model can do here; the service's own pages of these models do not say it.
_ABILITIES = {"function_calling": "true", "lora": "true", "async_queue": "true"}
_MODEL_OPTIONS = {
    *("search", "task", "author", "source", "hide_experimental", "include_deprecated", "page", "per_page", "format"),
}
_COLUMNS = ("id", "name", "model", "description", "created_at", "modified_at")


def models(catalog: Catalog, query: Mapping[str, str], *, parity: bool = False) -> Item:
    """The envelope of one page of the models that `query` leaves. Raises `InvalidRequest`.

    `source` is 1 for all, Cloudflare's own; a model is experimental where its page calls it beta; none is deprecated.
    """
    if query.get("format"):
        raise Unsupported(f"format={cut(query['format'])} is not supported.", "Leave it out.")
    _flag(query, "include_deprecated")
    no_beta, source = _flag(query, "hide_experimental"), _number(query, "source")
    found = []
    for spec in catalog.models:
        item = _model(spec, parity)
        shown = f"{item['name']}\n{item['description']}".lower()
        if (
            query.get("search", "").lower() in shown
            and query.get("task", TASK["name"]).lower() in (TASK["name"].lower(), TASK["id"])
            and query.get("author", _author(item["name"])).lower() == _author(item["name"])
            and source in (None, item["source"])
            and not (no_beta and _has(item, "beta"))
        ):
            found.append(item)
    return _paged(found, query, _MODEL_OPTIONS, parity)


def tasks(query: Mapping[str, str], *, parity: bool = False) -> Item:
    """The envelope of the one task there is."""
    return _paged([TASK], query, {"page", "per_page"}, parity)


def authors(catalog: Catalog, query: Mapping[str, str], *, parity: bool = False) -> Item:
    """The envelope of who made the models, as far as their names say it."""
    named = {_author(name_of(spec)) for spec in catalog.models} - {""}
    return _paged([{"name": name} for name in sorted(named)], query, {"page", "per_page"}, parity)


def finetunes(catalog: Catalog, query: Mapping[str, str], *, parity: bool = False) -> Item:
    """The envelope of the LoRA adapters, each once for every model that it is for."""
    return _paged(_adapters(catalog), query, {"page", "per_page"}, parity)


def public_finetunes(catalog: Catalog, query: Mapping[str, str], *, parity: bool = False) -> Item:
    """The same adapters, since every account is the same here; `limit`, `offset` and `orderBy` as published."""
    items: list[Item] = [{**item, "public": True} for item in _adapters(catalog)]
    column = query.get("orderBy", "")
    if column not in ("", *_COLUMNS):
        raise InvalidRequest(f"orderBy: must be one of {', '.join(_COLUMNS)}, found {cut(column)!r}.")
    if column:
        items.sort(key=lambda item: str(item[column]))
    offset = _whole(query, "offset", 0)
    some = items[offset : offset + _whole(query, "limit", len(items))]
    return _paged(some, query, {"limit", "offset", "orderBy", "page", "per_page"}, parity)


def name_of(spec: ModelSpec) -> str:
    """By which clients ask for a model. The id of a file from the command line is its path, which is not theirs."""
    is_of_command_line = spec.path is not None and spec.aliases == (spec.path.name,)
    return spec.aliases[0] if is_of_command_line else spec.id


def _model(spec: ModelSpec, parity: bool) -> Item:
    page, name = _PAGES.get(spec.id), name_of(spec)
    told = {
        "beta": "true" if page and page.is_beta else "",
        "context_window": str(spec.context_window or ""),
        "terms": page.terms if page else spec.licence,
        **({} if parity else _ABILITIES),
    }
    return {
        "id": page.id if page else _id(name),
        "source": 1,
        "name": name,
        "description": page.description if page else f"A model of this machine, in the {spec.family} chat format.",
        "task": TASK,
        "created_at": None,
        "tags": [],
        "properties": [{"property_id": key, "value": value} for key, value in told.items() if value],
    }


def _adapters(catalog: Catalog) -> list[Item]:
    return [
        {
            "id": _id(f"{name_of(spec)}/{adapter.name}"),
            "model": name_of(spec),
            "name": adapter.name,
            "description": f"A LoRA adapter of this machine, at scale {adapter.scale:g}.",
            "created_at": _date(adapter.path),
            "modified_at": _date(adapter.path),
        }
        for spec in catalog.models
        for adapter in spec.adapters
    ]


def _date(path: Path) -> str | None:
    """When the file was written last; None where there is none."""
    try:
        written = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    except OSError:
        return None
    return written.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _author(name: str) -> str:
    """The middle one of @cf/meta/llama-3.2-1b-instruct; "" where a name has none."""
    parts = name.split("/")
    return parts[1] if len(parts) == 3 and name.startswith("@") else ""


def _has(item: Item, property_id: str) -> bool:
    return any(one["property_id"] == property_id for one in item["properties"])


def _id(name: str) -> str:
    """The same for a name each time."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"llamalet:{name}"))


def _paged(items: list[Item], query: Mapping[str, str], known: Iterable[str], parity: bool) -> Item:
    """One page of the items. One past the end is empty: Cloudflare's clients ask for the next until one is."""
    page = max(1, _whole(query, "page", 1))
    per_page = min(max(1, _whole(query, "per_page", PER_PAGE)), MOST_PER_PAGE)
    some = items[(page - 1) * per_page : page * per_page]
    info = {"count": len(some), "page": page, "per_page": per_page, "total_count": len(items)}
    ignored = [] if parity else sorted(cut(name) for name in set(query) - set(known))
    return {**envelope.success(some, ignored), "result_info": info}


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    found = _read(query, name, r"\d{1,9}(\.0)?", "a whole number", lambda text: int(float(text)))
    return default if found is None else found


def _number(query: Mapping[str, str], name: str) -> float | None:
    return _read(query, name, r"\d{1,9}(\.\d{1,9})?", "a number", float)


def _flag(query: Mapping[str, str], name: str) -> bool:
    return _read(query, name, "true|false", "true or false", lambda text: text == "true") or False


def _read(query: Mapping[str, str], name: str, form: str, expected: str, read: Callable[[str], T]) -> T | None:
    """The value of an option; none where it is not there, or empty."""
    given = query.get(name, "")
    if not given:
        return None
    if not re.fullmatch(form, given.lower(), re.ASCII):
        raise InvalidRequest(f"{name}: must be {expected}, found {cut(given)!r}.")
    return read(given.lower())
