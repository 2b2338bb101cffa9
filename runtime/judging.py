"""Validators whose time is bounded: patterns are matched by our automata, and nothing is fetched.

jsonschema matches them by Python's regular expressions, where `(a+)+$` takes twice as long for each character more; and
it fetches what a `$ref` names from wherever that is.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from runtime.errors import InvalidRequest
from runtime.grammar.automaton import TooLarge
from runtime.grammar.pattern import language

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator


def judge(schema: Any) -> Validator:
    """What judges values by a schema, of the draft that it names."""
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    kind = validator_for(schema, default=Draft202012Validator)
    return bounded(kind)(schema, registry=Registry())


@cache
def bounded(kind: type[Validator]) -> type[Validator]:
    """The same kind of validator, with patterns matched in linear time."""
    from jsonschema import validators

    ours = {"pattern": _pattern, "patternProperties": _pattern_properties, "additionalProperties": _additional}
    extended: type[Validator] = validators.extend(kind, ours)  # type: ignore[no-untyped-call]
    return extended


def matches(pattern: str, text: str) -> bool:
    """Whether the text holds a match. Raises `InvalidRequest` for a pattern that no automaton matches."""
    try:
        texts = language(pattern)
    except (ValueError, TooLarge) as error:
        raise InvalidRequest(f"The pattern {pattern[:60]!r} cannot be checked: {error}") from None
    is_long_enough = texts.low <= len(text) and (texts.high is None or len(text) <= texts.high)
    return is_long_enough and bool(texts.language.label(text))


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not matches(pattern, instance):
        yield _error(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        for pattern, inner in patterns.items():
            for key, value in instance.items():
                if matches(pattern, key):
                    yield from validator.descend(value, inner, path=key, schema_path=pattern)


def _additional(validator: Any, inner: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    others = [key for key in instance if key not in named and not any(matches(one, key) for one in patterns)]
    if validator.is_type(inner, "object"):
        for key in others:
            yield from validator.descend(instance[key], inner, path=key)
    elif not inner and others:
        yield _error(f"{', '.join(map(repr, others))} may not be there")


def _error(message: str) -> ValidationError:
    from jsonschema.exceptions import ValidationError

    return ValidationError(message)
