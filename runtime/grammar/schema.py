"""JSON Schema to a grammar: document -> formula -> normal form -> rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.errors import InvalidRequest, UnsupportedSchema
from runtime.grammar import limits
from runtime.grammar.check import check
from runtime.grammar.cleaning import trimmed
from runtime.grammar.document import Document
from runtime.grammar.logic import Logic
from runtime.grammar.writer import Writer

if TYPE_CHECKING:
    from runtime.grammar.gbnf import Grammar


def grammar_of(schema: Any, *, closed: bool = False) -> Grammar:
    """The grammar of the JSON texts that are valid under the schema. Raises `UnsupportedSchema`.

    Objects may have keys that the schema does not speak of, unless it forbids them; with `closed`, they may not.
    """
    document = Document(schema)
    try:
        found = _compiled(document, closed=closed)
    except RecursionError:
        raise UnsupportedSchema(
            "The schema leads too deep through $ref, allOf, anyOf, oneOf, not or if.", "Write it flatter."
        ) from None
    if found is None:
        raise UnsupportedSchema("Nothing is valid under the schema.", "Look for keywords that contradict one another.")
    return found


def _compiled(document: Document, *, closed: bool) -> Grammar | None:
    """The grammar, or None if there is nothing to write. The engine can take it."""
    logic = Logic(document)
    for merged in (False, True):
        writer = Writer(logic, closed=closed, merged=merged)
        written = writer.grammar(document.root.formula())
        if writer.splits_again():
            continue  # merged, there are no splits
        found = trimmed(written, writer.sure)
        try:
            if found:
                check(found, ambiguous=writer.may_explode())
            return found
        except InvalidRequest as error:
            refusal = UnsupportedSchema(f"The schema's grammar cannot be run: {error.message}", error.hint)
    raise refusal


def printed(grammar: Grammar) -> str:
    """The text of a schema's grammar. Raises `UnsupportedSchema` for one that is too long."""
    text = str(grammar)
    if len(text) > limits.GRAMMAR_BYTES:
        raise UnsupportedSchema(f"The schema's grammar has {len(text):,} bytes; {limits.GRAMMAR_BYTES:,} are the most.")
    return text
