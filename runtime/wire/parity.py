"""A body as the service itself reads it: nothing but the published schema, and its own words for what is wrong.

The words are those of the service's validator, published as cloudflare/cabidela, where errors seen in the wild agree
with it. They are the first error of each branch, in the order of the branches, each text once. A oneOf within shows as
the errors of its branches. Three things are ours, since theirs let them pass or name them otherwise, in ways that
changed between its versions: an array or object option of another type is a type mismatch; a property of a tool is
named by its whole path; and the errors of branches that failed beside one that was met are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from runtime.errors import InvalidRequest
from runtime.messages import json_text
from runtime.values import Message
from runtime.wire import published
from runtime.wire.body import MAX_TOKENS, cut

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

    from runtime.wire.published import Title

BUSY = {"rejectIfBusy": True}  # documented (features, reject-if-busy), though no schema has it


def read(body: dict[str, Any], model: str) -> tuple[dict[str, Any], list[str]]:
    """The published options, and the names of the others. Raises `InvalidRequest` in the service's words."""
    # Its validator counts an empty array as nothing given, so it is no conversation.
    given = {key: value for key, value in body.items() if key != "messages" or value != []}
    title = _met(given, published.name_for(model))
    known = published.branch(published.name_for(model), title)["properties"]
    read = {key: value for key, value in given.items() if key in known}
    if title == "Messages":  # role and content are all that is published of a message
        read["messages"] = tuple(Message(message["role"], message["content"]) for message in given["messages"])
    _check_max_tokens(read.get("max_tokens", 1))
    if _is_busy_asked(given.get("options")):
        known, read = {**known, "options": {}}, {**read, "options": BUSY}
    return read, sorted(given.keys() - known.keys())


def _check_max_tokens(count: float) -> None:
    """Published without bounds, but fewer than one is no answer, and more than this cannot be counted."""
    if not 1 <= count <= MAX_TOKENS:
        raise InvalidRequest(f"'/max_tokens' must be {'>= 1' if count < 1 else f'<= {MAX_TOKENS}'}")


def _is_busy_asked(options: Any) -> bool:
    return isinstance(options, Mapping) and options.get("rejectIfBusy") is True


def _met(given: dict[str, Any], name: str) -> Title:
    """The branch that is met, if it is exactly one."""
    firsts = {title: next(published.validator(name, title).iter_errors(given), None) for title in published.TITLES}
    met = [title for title, error in firsts.items() if error is None]
    if len(met) == 1:
        return met[0]
    words = [text for error in firsts.values() if error is not None for text in _words(error)]
    detail = f": {', '.join(dict.fromkeys(words))}" if words else ""
    raise InvalidRequest(f"oneOf at '/' not met, {len(met)} matches{detail}")


def _words(error: ValidationError) -> list[str]:
    """One error; of a oneOf within, those of its branches."""
    if error.validator == "oneOf":
        firsts = published.first_of_branches(error)
        path = _path(error)
        return [text for first in firsts for text in _words(first)] or [f"oneOf at '{path}' not met, 2 matches"]
    return [_text(error, _path(error), error.validator_value)]


def _text(error: ValidationError, path: str, bound: Any) -> str:
    rule, schema = error.validator, cast("dict[str, Any]", error.schema)
    required = schema.get("required")
    if rule == "required" or (rule == "type" and bound == "object" and required):
        return f"required properties at '{path}' are '{','.join(required or ())}'"
    if "enum" in schema:  # which they look at before the type
        return f"enum {_shown(error.instance)} not in {','.join(map(str, schema['enum']))} at '{path}'"
    if rule == "type":
        found = "','".join(_types(error.instance))
        return f"Type mismatch of '{path}', '{bound}' not in '{found}'"
    return {
        "minLength": f"Length of '{path}' must be >= {bound} not met",
        "maxLength": f"Length of '{path}' must be <= {bound}",
        # No error of these was seen in the wild: the words are the validator's source alone.
        "minimum": f"'{path}' must be >= {bound}",
        "maximum": f"'{path}' must be <= {bound}",
    }.get(str(rule), f"{rule} at '{path}' not met")


def _path(error: ValidationError) -> str:
    return "/" + "/".join(cut(str(step)) for step in error.absolute_path)


def _types(value: Any) -> list[str]:
    """The names that their validator has for the type of a value: some have two."""
    if value is None:
        return ["null"]
    if isinstance(value, bool):
        return ["boolean"]
    if isinstance(value, str):
        return ["string"]
    if isinstance(value, int | float):
        return ["number", "integer"] if value == int(value) else ["number"]
    if isinstance(value, list):
        return ["array", "binary"] if all(_is_of_binary(item) for item in value) else ["array"]
    return ["object"]


def _is_of_binary(item: Any) -> bool:
    return isinstance(item, str | int | float) and not isinstance(item, bool)


def _shown(value: Any) -> str:
    return cut(value if isinstance(value, str) else json_text(value, "value"))
