"""A schema document: its places by JSON pointer, and where its references lead.

References stay within the document, or lead to a metaschema that `jsonschema` brings. Nothing is ever fetched.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin

from runtime.errors import UnsupportedSchema
from runtime.grammar import limits
from runtime.grammar.formula import ANY, NEVER, Formula, Is
from runtime.grammar.keywords import DRAFT_3, ENFORCED, LISTS, MAPS, SINGLE

if TYPE_CHECKING:
    from collections.abc import Iterator

# The draft that a `$schema` names, by a part of it; a document that names none may use the keywords of all.
_DRAFTS = {"draft-03": 3, "draft-04": 4, "draft-06": 6, "draft-07": 7, "2019-09": 2019, "2020-12": 2020}
LATEST = 2020


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A schema at its place. There is one node for each place, so nodes are compared as objects.

    base: the URI that references in it are relative to; home: where the resource of that URI begins.
    """

    schema: Any
    pointer: str
    document: Document = field(repr=False)
    base: str = ""
    home: Node | None = field(default=None, repr=False)

    def at(self, *keys: str | int) -> Node:
        """The place that the keys lead to from here."""
        node = self
        for key in keys:
            node = self.document.below(node, key)
        return node

    def formula(self, *keys: str | int) -> Formula:
        """What the schema there asks for."""
        node = self.at(*keys)
        if not isinstance(node.schema, dict):
            if not isinstance(node.schema, bool):
                raise node.refuse("", f"a schema is an object or a boolean, found {shown(node.schema)}")
            return ANY if node.schema else NEVER
        return Is(self.document.target(node)) if not self.document.read.isdisjoint(node.schema) else ANY

    def refuse(self, keyword: str, why: str, hint: str | None = None) -> UnsupportedSchema:
        """The error that names this place and the keyword."""
        place = f"{self.pointer or '#'}{f', {keyword}' if keyword else ''}"
        return UnsupportedSchema(f"{place}: {why}.", hint, pointer=self.pointer, keyword=keyword)


class Document:
    """The schema that is compiled. Raises `UnsupportedSchema` where it is no JSON, too large or too deep."""

    def __init__(self, schema: Any) -> None:
        self.text = canonical(schema)
        named = schema.get("$schema") if isinstance(schema, dict) else None
        self.draft = next((draft for part, draft in _DRAFTS.items() if part in str(named)), LATEST)
        self.read = ENFORCED | DRAFT_3 if self.draft == 3 else ENFORCED
        self._nodes: dict[str, Node] = {}
        self._resources: dict[str, Node] | None = None
        self._anchors: dict[tuple[str, str], Node] = {}
        self.root = self._add(Node(schema, "", self, self._base(schema, "")))

    def below(self, node: Node, key: str | int) -> Node:
        """The node one step further, which is made when it is first asked for."""
        pointer = f"{node.pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"
        known = self._nodes.get(pointer)
        if known is None:
            schema = node.schema[key]
            base = self._base(schema, node.base)
            home = None if base != node.base else node.home or node
            known = self._add(Node(schema, pointer, self, base, home))
        return known

    def virtual(self, node: Node, name: str, schema: dict[str, Any]) -> Node:
        """A schema that the document only implies, as if it stood there under that name."""
        pointer = f"{node.pointer}/{name}"
        return self._nodes.get(pointer) or self._add(Node(schema, pointer, self, node.base, node.home or node))

    def resolve(self, node: Node, reference: Any, keyword: str = "$ref") -> Node:
        """Where a reference in the node leads."""
        if not isinstance(reference, str):
            raise node.refuse(keyword, f"expected a URI, found {shown(reference)}")
        uri, _, fragment = reference.partition("#")
        home = node.home or node
        if uri:
            full = _joined(node.base, uri)
            home = self._resource(full) or self._resource(uri) or self._metaschema(full, node, keyword)
        fragment = unquote(fragment)
        if not fragment or fragment.startswith("/"):
            return self._follow(home, fragment, node, keyword)
        self._survey()
        found = self._anchors.get((home.base, fragment))
        if found is None:
            raise node.refuse(keyword, f"there is no anchor {fragment!r} in this document")
        return found

    def _base(self, schema: Any, base: str) -> str:
        """The base that a schema sets for what is in it. A fragment alone names a place, and is no base."""
        if not isinstance(schema, dict) or ("$ref" in schema and self.draft <= 7):
            return base  # up to draft 7, nothing beside a $ref is read
        name = schema.get("id" if self.draft <= 4 else "$id")
        return _joined(base, name) if isinstance(name, str) and not name.startswith("#") else base

    def _named(self, node: Node, name: str) -> None:
        """Drafts 4 to 7 named places by a fragment alone; and where no draft is said, `id` may be meant as `$id`."""
        if name.startswith("#"):
            self._anchors[(node.base, name[1:])] = node
        elif self._resources is not None:
            self._resources.setdefault(_joined(node.base, name).rstrip("#"), node)

    def target(self, node: Node) -> Node:
        """Where a schema leads that is a reference and nothing else; so that two references to one place are equal."""
        seen = {node}
        while isinstance(node.schema, dict) and self.read.intersection(node.schema) == {"$ref"}:
            following = self.resolve(node, node.schema["$ref"])
            if following in seen or not isinstance(following.schema, dict) or self.read.isdisjoint(following.schema):
                break
            node = following
            seen.add(node)
        return node

    def _add(self, node: Node) -> Node:
        self._nodes[node.pointer] = node
        return node

    def _follow(self, home: Node, fragment: str, node: Node, keyword: str) -> Node:
        for place in (home, self.root):  # many write the whole document's pointers below an $id of its own
            try:
                return self._walk(place, fragment)
            except (KeyError, IndexError, TypeError):
                continue
        raise node.refuse(keyword, f"there is nothing at #{fragment} in this document")

    def _walk(self, place: Node, fragment: str) -> Node:
        for token in fragment.split("/")[1:]:
            key: str | int = token.replace("~1", "/").replace("~0", "~")
            if isinstance(place.schema, list) and str(key).isdigit():
                key = int(key)
            place = self.below(place, key)
        return place

    def _resource(self, uri: str) -> Node | None:
        self._survey()
        return (self._resources or {}).get(uri.rstrip("#"))

    def _metaschema(self, uri: str, node: Node, keyword: str) -> Node:
        from jsonschema_specifications import REGISTRY  # installed with jsonschema; heavy, and rarely needed

        for name in (uri, f"{uri}#"):
            if name in REGISTRY:
                known = Node(REGISTRY.contents(name), name, self, name)
                return self._nodes.get(name) or self._add(known)
        raise node.refuse(
            keyword, f"{uri[:200]} is outside of this document, and nothing is fetched", "Put it below $defs."
        )

    def _survey(self) -> None:
        """Find the URIs and anchors that the document gives its parts, once somebody asks."""
        if self._resources is None:
            self._resources = {self.root.base.rstrip("#"): self.root}
            for node in schemas(self.root):
                if node.home is None:
                    self._resources.setdefault(node.base.rstrip("#"), node)
                for key in ("$anchor", "$dynamicAnchor"):
                    if isinstance(name := node.schema.get(key), str):
                        self._anchors[(node.base, name)] = node
                for key in ("$id", "id"):
                    if isinstance(name := node.schema.get(key), str):
                        self._named(node, name)


def _joined(base: str, reference: str) -> str:
    """The URI that the reference is, seen from the base."""
    try:
        return urljoin(base, reference)
    except ValueError:  # no URI, such as http://[
        return reference


def shown(value: Any) -> str:
    """A value for an error message, not at length."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def canonical(schema: Any) -> str:
    """The schema as text. Keys keep their order, which is that of the grammar."""
    depth, level = 0, [schema]
    while level:
        depth += 1
        if depth > limits.SCHEMA_DEPTH:
            raise UnsupportedSchema(f"The schema is nested deeper than {limits.SCHEMA_DEPTH} levels.")
        level = [child for value in level for child in _children(value)]
    try:
        text = json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UnsupportedSchema(f"The schema is not JSON: {error}.") from None
    if len(text) > limits.SCHEMA_BYTES:
        raise UnsupportedSchema(f"The schema has {len(text):,} bytes; {limits.SCHEMA_BYTES:,} are the most.")
    return text


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        values = value.values() if isinstance(value, dict) else value
        yield from (one for one in values if isinstance(one, dict | list))


def schemas(root: Node) -> Iterator[Node]:
    """Every schema in the document, by the keywords that hold schemas."""
    todo = [root]
    while todo:
        node = todo.pop()
        if isinstance(node.schema, dict):
            yield node
            for keyword, value in node.schema.items():
                keys: list[str] | range = []
                if keyword in MAPS and isinstance(value, dict):
                    keys = list(value)
                elif keyword in LISTS and isinstance(value, list):
                    keys = range(len(value))
                elif keyword in SINGLE:
                    todo.append(node.at(keyword))
                todo += [node.at(keyword, key) for key in keys]
