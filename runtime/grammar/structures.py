"""What keywords say of arrays and objects: rows for the table of `assertions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.grammar import automaton, pattern
from runtime.grammar.automaton import ANYTHING, TooLarge
from runtime.grammar.document import shown
from runtime.grammar.formula import ANY, negation
from runtime.grammar.shapes import Array, Counted, Items, Members, Object, Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.grammar.automaton import Automaton
    from runtime.grammar.document import Node
    from runtime.grammar.formula import Formula
    from runtime.grammar.shapes import Clause, Shape


def count(node: Node, keyword: str) -> int:
    """The whole number, at least 0, that the keyword has."""
    value = node.schema[keyword]
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
        raise node.refuse(keyword, f"expected a whole number, found {shown(value)}")
    return int(value)


def names(node: Node, keyword: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise node.refuse(keyword, f"expected an array of names, found {shown(value)}")
    return value


def _table(node: Node, keyword: str) -> dict[str, Any]:
    value = node.schema.get(keyword, {})
    if not isinstance(value, dict):
        raise node.refuse(keyword, f"expected an object, found {shown(value)}")
    return value


# --- Arrays -----------------------------------------------------------------------------------------------------------


def _layer(node: Node) -> Items:
    """`items` is for all elements, or, as an array and up to 2019-09, what `prefixItems` is now."""
    first = "items" if isinstance(node.schema.get("items"), list) else "prefixItems"
    after = "additionalItems" if first == "items" else "items"
    prefix = node.schema.get(first, [])
    if not isinstance(prefix, list):
        raise node.refuse(first, f"expected an array of schemas, found {shown(prefix)}")
    rest = node.formula(after) if after in node.schema else ANY
    return Items(tuple(node.formula(first, index) for index in range(len(prefix))), rest)


def _items(node: Node) -> Array:
    layer = _layer(node)
    return Array(layers=(layer,)) if layer.prefix or layer.rest != ANY else Array()


def _other_items(node: Node) -> tuple[Array, ...]:
    """One element is not as it has to be."""
    layer = _layer(node)
    found = []
    for index, formula in enumerate(layer.prefix):
        if formula != ANY:
            wrong = Items((*(ANY,) * index, negation(formula)), ANY)
            found.append(Array(layers=(wrong,), low=index + 1))
    if layer.rest != ANY:
        found.append(Array(counts=(Counted(negation(layer.rest), start=len(layer.prefix)),)))
    return tuple(found)


def _contains(node: Node) -> Counted | None:
    if "contains" not in node.schema:
        return None
    low = count(node, "minContains") if "minContains" in node.schema else 1
    high = count(node, "maxContains") if "maxContains" in node.schema else None
    return Counted(node.formula("contains"), low, high)


def _counts(node: Node) -> Array:
    found = _contains(node)
    return Array(counts=(found,)) if found else Array()


def _other_counts(node: Node) -> tuple[Array, ...]:
    found = _contains(node)
    if not found:
        return ()
    fewer = (Counted(found.formula, 0, found.low - 1),) if found.low else ()
    more = (Counted(found.formula, found.high + 1),) if found.high is not None else ()
    return tuple(Array(counts=(each,)) for each in (*fewer, *more))


def _unique(node: Node) -> Array:
    return Array(unique=node.schema["uniqueItems"] is True)


def _not_unique(node: Node) -> tuple[Array, ...]:
    if node.schema["uniqueItems"] is not True:
        return ()
    raise node.refuse("uniqueItems", "that two items are equal cannot be asked for", "Leave it out below `not`.")


# --- Objects ----------------------------------------------------------------------------------------------------------


def _language(node: Node, text: str) -> Automaton:
    """The names that a key of `patternProperties` matches."""
    try:
        found = pattern.language(text)
        return automaton.with_length(found.language, found.low, found.high, unrolled=True)
    except TooLarge:
        raise node.refuse("patternProperties", f"{shown(text)} needs too many states") from None
    except ValueError as error:
        why = f"not a regular expression that a grammar can follow: {error}"
        raise node.refuse("patternProperties", why) from None


def _members(node: Node) -> Members:
    return Members(
        {name: node.formula("properties", name) for name in _table(node, "properties")},
        tuple(
            (_language(node, text), node.formula("patternProperties", text))
            for text in _table(node, "patternProperties")
        ),
        node.formula("additionalProperties") if "additionalProperties" in node.schema else ANY,
        "additionalProperties" in node.schema,
    )


def _object(node: Node) -> Object:
    return Object(layers=(_members(node),), clauses=tuple(present(name) for name in _required_in_draft_3(node)))


def _required_in_draft_3(node: Node) -> list[str]:
    """Draft 3 wrote `required` into the property."""
    if node.document.draft != 3:
        return []
    properties = _table(node, "properties")
    return [name for name, one in properties.items() if isinstance(one, dict) and one.get("required") is True]


def _other_members(node: Node) -> tuple[Object, ...]:
    """One member is not as it has to be."""
    members = _members(node)
    found = [
        Object(clauses=(present(name, negation(formula)),))
        for name, formula in members.properties.items()
        if formula != ANY
    ]
    asked = [*members.patterns]
    if members.rest != ANY:
        known = [automaton.words(members.properties), *(language for language, _ in members.patterns)]
        asked.append((automaton.complement(automaton.union(*known)), members.rest))
    found += [
        Object(witnesses=(Witness(language, ANY, negation(formula)),)) for language, formula in asked if formula != ANY
    ]
    found += [Object(clauses=(absent(name),)) for name in _required_in_draft_3(node)]
    return tuple(found)


def present(name: str, value: Formula = ANY) -> Clause:
    return frozenset({(name, True, value)})


def absent(name: str) -> Clause:
    return frozenset({(name, False, ANY)})


def _required(node: Node) -> Object:
    return Object(clauses=tuple(present(name) for name in names(node, "required", _wanted(node))))


def _wanted(node: Node) -> Any:
    # A boolean is draft 3's, and read with `properties`; no later draft reads one.
    return [] if isinstance(node.schema["required"], bool) else node.schema["required"]


def _not_required(node: Node) -> tuple[Object, ...]:
    wanted = names(node, "required", _wanted(node))
    return (Object(clauses=(frozenset().union(*map(absent, wanted)),)),) if wanted else ()


def _dependents(node: Node) -> Iterator[tuple[str, str]]:
    for keyword in ("dependentRequired", "dependencies"):
        for name, wanted in _table(node, keyword).items():
            if isinstance(wanted, dict | bool) and keyword == "dependencies":
                continue  # a schema: see `applicators`
            wanted = [wanted] if isinstance(wanted, str) else wanted
            yield from ((name, other) for other in names(node, keyword, wanted))


def _dependent(node: Node) -> Object:
    return Object(clauses=tuple(absent(name) | present(other) for name, other in _dependents(node)))


def _not_dependent(node: Node) -> tuple[Object, ...]:
    return tuple(Object(clauses=(present(name), absent(other))) for name, other in _dependents(node))


def _names(node: Node) -> Object:
    wanted = node.formula("propertyNames")
    return Object(names=(wanted,)) if wanted != ANY else Object()


def _other_names(node: Node) -> tuple[Object, ...]:
    wanted = node.formula("propertyNames")
    return (Object(witnesses=(Witness(ANYTHING, negation(wanted), ANY),)),) if wanted != ANY else ()


# --- Rows -------------------------------------------------------------------------------------------------------------


def _sizes(
    keyword: str, kind: str, shape: type[Array] | type[Object], *, least: bool
) -> tuple[tuple[str, ...], str, Callable[[Node], Shape], Callable[[Node], tuple[Shape, ...]]]:
    """The row of a bound on the number of items or members."""

    def holds(node: Node) -> Shape:
        number = count(node, keyword)
        return shape(low=number) if least else shape(high=number)

    def fails(node: Node) -> tuple[Shape, ...]:
        number = count(node, keyword)
        if least:
            return (shape(high=number - 1),) if number else ()
        return (shape(low=number + 1),)

    return (keyword,), kind, holds, fails


_ITEMS = ("items", "prefixItems", "additionalItems")
_CONTAINS = ("contains", "minContains", "maxContains")
_PROPERTIES = ("properties", "patternProperties", "additionalProperties")

Row = tuple[tuple[str, ...], str, "Callable[[Node], Shape]", "Callable[[Node], tuple[Shape, ...]]"]

ROWS: tuple[Row, ...] = (
    (_ITEMS, "array", _items, _other_items),
    (_CONTAINS, "array", _counts, _other_counts),
    (("uniqueItems",), "array", _unique, _not_unique),
    _sizes("minItems", "array", Array, least=True),
    _sizes("maxItems", "array", Array, least=False),
    (_PROPERTIES, "object", _object, _other_members),
    (("required",), "object", _required, _not_required),
    (("dependentRequired", "dependencies"), "object", _dependent, _not_dependent),
    (("propertyNames",), "object", _names, _other_names),
    _sizes("minProperties", "object", Object, least=True),
    _sizes("maxProperties", "object", Object, least=False),
)
