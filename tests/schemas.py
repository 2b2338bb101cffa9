"""Fifty schemas: two dozen as applications have them, and small ones that each ask for something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_USUAL = json.loads((Path(__file__).parent / "golden" / "schemas.json").read_text("utf-8"))

_TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "below": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
            "required": ["name"],
        }
    },
}

_SMALL: list[Any] = [
    True,
    {"type": "object"},
    {"type": "array"},
    {"type": "string"},
    {"type": "number"},
    {"type": "integer", "minimum": -7, "exclusiveMaximum": 1000, "multipleOf": 7},
    {"type": ["boolean", "null"]},
    {"const": {"deep": [{"er": "é"}]}},
    {"enum": ["north", "north-east", "nothing", 5, None, [1]]},
    {"type": "string", "minLength": 30, "maxLength": 40},
    {"type": "string", "pattern": "^[A-Z]{3}-\\d{4}$"},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "uuid"},
    {"type": "string", "format": "email", "maxLength": 40},
    {"type": "string", "format": "ipv4"},
    {"type": "array", "items": {"type": "integer"}, "minItems": 5, "maxItems": 9},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "boolean"}], "items": False, "minItems": 2},
    {"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True, "minItems": 2},
    {"type": "object", "additionalProperties": {"type": "number"}, "minProperties": 1, "maxProperties": 4},
    {"type": "object", "patternProperties": {"^x-[a-z]+$": {"type": "string"}}, "additionalProperties": False},
    {"anyOf": [{"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}, {"type": "integer"}]},
    {"oneOf": [{"properties": {"kind": {"const": k}}, "required": ["kind"], "type": "object"} for k in "abc"]},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}, {"required": ["a", "b"]}]},
    {
        "type": "object",
        "properties": {"card": {"type": "boolean"}, "number": {"type": "string", "pattern": "^\\d{4,16}$"}},
        "required": ["card"],
        "if": {"properties": {"card": {"const": True}}},
        "then": {"required": ["number"]},
    },
    {"type": "object", "properties": {"a": {"not": {"type": "string"}}}, "required": ["a"]},
    _TREE,
]

SCHEMAS: list[Any] = [*(case["schema"] for case in _USUAL), *_SMALL]
assert len(SCHEMAS) == 50
