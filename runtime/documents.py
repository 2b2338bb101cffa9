"""JSON documents that are asked for: the schema -> the grammar that an answer is held to; the answer -> its value.

What the grammar enforces needs no second look. What it cannot, and what a Python type demands beyond its schema, is
checked when the answer is there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.errors import DocumentRefused, InvalidRequest, UnsupportedSchema
from runtime.grammar import compile_schema
from runtime.grammar.document import canonical
from runtime.judging import judge

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from runtime.values import Document

# Keywords that are refused even where a document may be approximate: to check what no automaton matches may take for
# ever, and what a reference names that is not in the schema would have to be fetched.
_NEVER_CHECKED = ("pattern", "patternProperties", "$ref", "$dynamicRef", "$recursiveRef")
TRIES = 4  # answers to one request, where what the grammar cannot enforce may fail


class Result(dict[str, Any]):
    """The answer of a run: the JSON that Workers AI gives. `parsed` is its document, as the Python type that was asked
    for if one was; None where no document was."""

    parsed: Any = None


@dataclass(frozen=True, slots=True)
class Check:
    """What an answer's value has to pass, beyond the grammar. Without a type or what is left to check, all pass."""

    schema: Any = None
    python_type: TypeAdapter[Any] | None = None
    tries: int = 1

    def parsed(self, value: Any) -> Any:
        """The value, as the Python type if there is one. Raises `DocumentRefused`."""
        why = None if self.schema is None else _complaint(self.schema, value)
        if why is not None:
            raise DocumentRefused(f"{why}.")
        if self.python_type is None:
            return value
        from pydantic import ValidationError

        try:
            return self.python_type.validate_json(json.dumps(value))
        except ValidationError as error:
            raise DocumentRefused(f"the Python type refuses it: {_first(error)}.") from None


def compiled(document: Document, python_type: TypeAdapter[Any] | None = None) -> tuple[str, Check]:
    """The grammar of the documents, and what is still to be checked of one.

    Keys that the schema does not speak of are left out, since small models go on inventing some. Raises
    `UnsupportedSchema` for what no grammar enforces; where the document may be approximate, that is checked afterwards.
    """
    tries = TRIES if document.approximate else 1
    try:
        return compile_schema(document.schema, closed=True), Check(None, python_type, tries)
    except UnsupportedSchema:
        if not document.approximate:
            raise
    return _enforceable(document.schema), Check(document.schema, python_type, tries)


def without_types(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], TypeAdapter[Any] | None]:
    """A body whose `response_format` may be a Python type -> a body as the wire has it, and the type of its answers.

    The type is a Pydantic model, a dataclass or any other that Pydantic reads. Raises `InvalidRequest` for
    one that no JSON Schema describes.
    """
    asked = body.get("response_format") if isinstance(body, Mapping) else None  # what is no object is refused later
    if asked is None or isinstance(asked, Mapping | Sequence | bool | int | float):
        return body, None
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        python_type = TypeAdapter(asked)
        schema = python_type.json_schema()
    except (PydanticUserError, TypeError) as error:
        raise InvalidRequest(
            f"response_format: there is no JSON Schema of {asked!r}: {str(error).splitlines()[0]}",
            "Give a Pydantic model, a dataclass, or an object with type and json_schema.",
        ) from None
    return {**body, "response_format": {"type": "json_schema", "json_schema": schema}}, python_type


def _enforceable(schema: Any) -> str:
    """The grammar of the schema without what cannot be enforced: each refusal names a keyword, which is taken out."""
    schema = json.loads(canonical(schema))
    while True:
        try:
            return compile_schema(schema, closed=True)
        except UnsupportedSchema as error:
            if error.keyword in _NEVER_CHECKED or not error.keyword:
                raise
            if not _take_out(schema, error.pointer, error.keyword):
                raise


def _take_out(schema: Any, pointer: str, keyword: str) -> bool:
    """Whether the keyword was there."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        schema = schema[int(name)] if isinstance(schema, list) else schema[name]
    return schema.pop(keyword, schema) is not schema


def _complaint(schema: Any, value: Any) -> str | None:
    try:
        error = next(iter(judge(schema).iter_errors(value)), None)
    except InvalidRequest as wrong:
        return wrong.message.rstrip(".")
    return None if error is None else f"{error.json_path} fails {error.validator}"


def _first(error: Any) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or '$'}: {first['msg']}"
