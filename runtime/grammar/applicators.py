"""Keywords that put schemas side by side: `$ref`, `allOf`, `anyOf`, `not`, `if`, dependencies that are schemas.

Together they make one formula. `oneOf` is not among them, since it depends on which branches can hold at once.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from runtime.grammar.document import shown
from runtime.grammar.formula import ANY, Formula, Is, every, negation, some
from runtime.grammar.keywords import DRAFT_3, REFUSED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.grammar.document import Node


_BESIDE = frozenset({"$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas", "dependencies"})


def only_reference(node: Node) -> bool:
    """Does the draft that the document names read nothing beside this `$ref`?"""
    return "$ref" in node.schema and node.document.draft <= 7


def come_first(node: Node) -> bool:
    """Do these keywords, or `oneOf`, stand before `properties`?"""
    before = takewhile(lambda keyword: keyword != "properties", node.schema)
    return "properties" in node.schema and not _BESIDE.isdisjoint(before)


def applied(node: Node) -> Formula:
    """What these keywords ask for together."""
    for keyword in sorted(REFUSED.intersection(node.schema)):
        if node.schema[keyword] not in (True, {}):
            raise node.refuse(keyword, "it is not supported", "Name the properties where they are allowed.")
    for keyword in sorted(DRAFT_3.intersection(node.schema) if node.document.draft == 3 else ()):
        raise node.refuse(keyword, "draft 3 is not supported", "Write it in draft 2020-12.")
    parts = []
    if "$ref" in node.schema:
        target = node.document.resolve(node, node.schema["$ref"])
        parts.append(target.formula())
    if not only_reference(node):
        parts += _parts(node)
    return every(*parts)


def _parts(node: Node) -> Iterator[Formula]:
    schema = node.schema
    if "allOf" in schema:
        yield every(*branches(node, "allOf"))
    if "anyOf" in schema:
        yield some(*branches(node, "anyOf"))
    if "not" in schema:
        yield negation(node.formula("not"))
    if "if" in schema:
        yield _conditional(node)
    for keyword in ("dependentSchemas", "dependencies"):
        if isinstance(schema.get(keyword), dict):
            for name, wanted in schema[keyword].items():
                if isinstance(wanted, dict | bool):
                    yield some(negation(having(node, name)), node.formula(keyword, name))


def branches(node: Node, keyword: str) -> list[Formula]:
    value = node.schema[keyword]
    if not isinstance(value, list):
        raise node.refuse(keyword, f"expected an array of schemas, found {shown(value)}")
    return [node.formula(keyword, index) for index in range(len(value))]


def having(node: Node, name: str) -> Formula:
    """The value is an object with that key."""
    implied = {"type": "object", "required": [name]}
    return Is(node.document.virtual(node, f"having {name}", implied))


def _conditional(node: Node) -> Formula:
    test = node.formula("if")
    then = node.formula("then") if "then" in node.schema else ANY
    otherwise = node.formula("else") if "else" in node.schema else ANY
    if then == otherwise:
        return then
    return some(every(test, then), every(negation(test), otherwise))
