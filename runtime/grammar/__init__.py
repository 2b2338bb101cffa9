"""Grammars: what the model may write, told to llama.cpp as GBNF.

`compile_schema` makes one from a JSON Schema. A caller's own grammar is read by `gbnf.parse` and judged by `check`.
"""

from __future__ import annotations

import contextlib
import gc
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from runtime.grammar.check import check
from runtime.grammar.document import canonical
from runtime.grammar.gbnf import Grammar, parse
from runtime.grammar.matcher import Matcher
from runtime.grammar.schema import grammar_of, printed

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Grammar", "Matcher", "compile_grammar", "compile_schema", "matcher_of"]


def compile_schema(schema: Any, *, closed: bool = False) -> str:
    """The JSON texts that are valid under the schema, as GBNF with the root rule `root`.

    By the standard an object may have keys that the schema does not speak of; with `closed` it may not, since small
    models would go on inventing some. Raises `UnsupportedSchema`, which names the place and the keyword.
    """
    return _compiled(canonical(schema), closed)[1]


def compile_grammar(schema: Any, *, closed: bool = False) -> Grammar:
    """The same as a syntax tree. Schemas seen before are remembered by their text."""
    return _compiled(canonical(schema), closed)[0]


@lru_cache(maxsize=32)
def matcher_of(text: str) -> Matcher:
    """The beginning of this grammar. Raises `InvalidRequest` for what is no GBNF, or would end or hang llama.cpp.

    Grammars seen before are remembered, with what their matchers have found out.
    """
    grammar = parse(text)
    check(grammar)
    return Matcher(grammar)


@lru_cache(maxsize=64)
def _compiled(text: str, closed: bool) -> tuple[Grammar, str]:
    with _uncollected():
        grammar = grammar_of(json.loads(text), closed=closed)
        return grammar, printed(grammar)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of cycles: what is made here is mostly kept, and looking through it again and again takes a
    sixth of the time (docs/measurements.md). It is on again when the first of several threads in here is through."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
