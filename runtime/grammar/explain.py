"""What becomes of a schema: which keywords are enforced, which read over, what is refused and why.

The words behind a command line that shows a schema's grammar; nothing here compiles otherwise than `compile_schema`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.errors import UnsupportedSchema
from runtime.grammar import compile_schema
from runtime.grammar.document import Document, schemas
from runtime.grammar.keywords import ANNOTATIONS, ENFORCED
from runtime.grammar.logic import Logic

if TYPE_CHECKING:
    from collections.abc import Iterator

Place = tuple[str, str]  # JSON pointer of a schema, keyword in it


@dataclass(frozen=True, slots=True)
class Explanation:
    """Either `grammar` or `refusal` is there. `unknown` are words that no draft defines, and so annotations."""

    grammar: str | None
    refusal: UnsupportedSchema | None
    enforced: tuple[Place, ...] = ()
    annotations: tuple[Place, ...] = ()
    unknown: tuple[Place, ...] = ()


def explain(schema: Any, *, closed: bool = False) -> Explanation:
    """What the compiler makes of the schema. Never raises for what it refuses."""
    grammar, refusal = None, None
    try:
        grammar = compile_schema(schema, closed=closed)
    except UnsupportedSchema as error:
        refusal = error
    try:
        places = list(_places(Document(schema)))
    except UnsupportedSchema:
        return Explanation(grammar, refusal)
    return Explanation(
        grammar,
        refusal,
        tuple(place for place in places if place[1] in ENFORCED),
        tuple(place for place in places if place[1] in ANNOTATIONS),
        tuple(place for place in places if place[1] not in ENFORCED | ANNOTATIONS),
    )


def _places(document: Document) -> Iterator[Place]:
    for node in schemas(document.root):
        yield from ((node.pointer, keyword) for keyword in node.schema)


def admits(schema: Any, value: Any) -> bool:
    """Is the value valid, as the compiler understands the schema? The order of keys does not matter here.

    Raises `UnsupportedSchema` as `compile_schema` does.
    """
    document = Document(json.loads(json.dumps(schema)))
    return Logic(document).accepts(document.root.formula(), value)
