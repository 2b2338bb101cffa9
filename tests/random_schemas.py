"""Random JSON Schemas, more of a kind as applications write them than those of hypothesis: with references that lead
back, formats, patterns, larger bounds and keywords side by side. The same number makes the same schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

WORDS = ("a", "b", "name", "kind", "items", "in key", "größe", 'quo"te', "\\", "\n", "{", "<|eot_id|>")
PATTERNS = ("^a+$", "^[A-Z]{2,4}-\\d{3}$", "x|y", "^(foo|bar)*$", "[^a]", "^.{1,8}$", "\\w+@\\w+", "^(a|ab)(c|bcd)$")
FORMATS = ("date", "time", "date-time", "uuid", "ipv4", "email", "uri", "hostname")
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
_DEFINED = 3


def schema(dice: Random) -> Any:
    """One whole schema, with definitions that may refer to one another."""
    made = _any(dice, 3)
    if not isinstance(made, dict):
        return made
    return {**made, "$defs": {f"d{at}": _any(dice, 2) for at in range(_DEFINED)}}


def _any(dice: Random, depth: int) -> Any:
    if dice.random() < 0.03:
        return dice.random() < 0.8
    if dice.random() < 0.12:
        return {"$ref": dice.choice(["#", *(f"#/$defs/d{at}" for at in range(_DEFINED))])}
    if depth and dice.random() < 0.2:
        return _combined(dice, depth)
    kind = dice.choice([*TYPES, *("array", "object", "object")] if depth else TYPES[:5])
    made = _KINDS[kind](dice, depth) if kind in _KINDS else {}
    if dice.random() < 0.15:
        made["enum"] = [_value(dice, 1) for _ in range(dice.randint(1, 6))]
    return {"type": kind if dice.random() < 0.85 else [kind, "null"], **made}


def _combined(dice: Random, depth: int) -> dict[str, Any]:
    match dice.choice(("anyOf", "oneOf", "allOf", "not", "if", "const")):
        case "not":
            return {**_any_object(dice, depth - 1), "not": _any(dice, depth - 1)}
        case "if":
            return {"if": _any(dice, depth - 1), "then": _any(dice, depth - 1), "else": _any(dice, depth - 1)}
        case "const":
            return {"const": _value(dice, 2)}
        case keyword:
            return {keyword: [_any(dice, depth - 1) for _ in range(dice.randint(1, 4))]}


def _any_object(dice: Random, depth: int) -> dict[str, Any]:
    made = _any(dice, depth)
    return made if isinstance(made, dict) else {}


def _string(dice: Random, _: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if dice.random() < 0.3:
        made["maxLength"] = dice.choice((0, 1, 5, 40, 300, 5000))
    if dice.random() < 0.2:
        made["minLength"] = dice.choice((0, 1, 3, 30))
    if dice.random() < 0.25:
        made["pattern"] = dice.choice(PATTERNS)
    elif dice.random() < 0.15:
        made["format"] = dice.choice(FORMATS)
    return made


def _number(dice: Random, _: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    low = dice.choice((-(10**12), -40, -1, 0, 0.5, 3, 17))
    if dice.random() < 0.4:
        made[dice.choice(("minimum", "exclusiveMinimum"))] = low
    if dice.random() < 0.4:
        made[dice.choice(("maximum", "exclusiveMaximum"))] = low + dice.choice((0, 1, 7, 2.5, 10**9))
    if dice.random() < 0.15:
        made["multipleOf"] = dice.choice((1, 2, 5, 7, 0.25, 100))
    return made


def _array(dice: Random, depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {"items": _any(dice, depth - 1)}
    if dice.random() < 0.2:
        made["prefixItems"] = [_any(dice, depth - 1) for _ in range(dice.randint(1, 3))]
    if dice.random() < 0.3:
        made["minItems"] = dice.choice((0, 1, 2, 8))
    if dice.random() < 0.3:
        made["maxItems"] = dice.choice((0, 1, 3, 50, 3000))
    if dice.random() < 0.1:
        made["contains"] = _any(dice, depth - 1)
    return made


def _object(dice: Random, depth: int) -> dict[str, Any]:
    names = dice.sample(WORDS, dice.choice((0, 1, 2, 2, 3, 5)))
    made: dict[str, Any] = {"properties": {name: _any(dice, depth - 1) for name in names}}
    made["required"] = [name for name in (*names, *WORDS[:1]) if dice.random() < 0.5]
    if dice.random() < 0.5:
        made["additionalProperties"] = dice.choice((False, False, _any(dice, depth - 1)))
    if dice.random() < 0.1:
        made["patternProperties"] = {dice.choice(PATTERNS): _any(dice, depth - 1)}
    if dice.random() < 0.1:
        made[dice.choice(("minProperties", "maxProperties"))] = dice.randint(0, 4)
    if names and dice.random() < 0.1:
        made["dependentRequired"] = {names[0]: dice.sample(WORDS, 2)}
    return {key: value for key, value in made.items() if value != [] or key != "required"}


def _value(dice: Random, depth: int) -> Any:
    match dice.randrange(8 if depth else 6):
        case 0:
            return None
        case 1:
            return dice.random() < 0.5
        case 2:
            return dice.choice((0, 1, -7, 10**15, 0.5, -2.25, 1e10))
        case 3 | 4 | 5:
            return dice.choice(WORDS)
        case 6:
            return [_value(dice, depth - 1) for _ in range(dice.randint(0, 3))]
        case _:
            return {name: _value(dice, depth - 1) for name in dice.sample(WORDS, dice.randint(0, 2))}


_KINDS = {"string": _string, "integer": _number, "number": _number, "array": _array, "object": _object}
