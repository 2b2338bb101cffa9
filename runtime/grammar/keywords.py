"""The keywords of JSON Schema, drafts 4 to 2020-12: enforced, read over, or refused.

A word that no draft defines is an annotation, as the standard has it; `runtime.grammar.explain` lists those it meets.
"""

from __future__ import annotations

# Where schemas are inside of schemas.
MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"})
LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
SINGLE = frozenset(
    {"not", "if", "then", "else", "items", "additionalItems", "contains", "additionalProperties", "propertyNames"}
)

# What the grammar enforces, or the compiler refuses by name.
ENFORCED = frozenset(
    {
        *("$ref", "type", "enum", "const"),
        *("allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("pattern", "format", "minLength", "maxLength"),
        *("items", "prefixItems", "additionalItems", "contains", "minContains", "maxContains"),
        *("minItems", "maxItems", "uniqueItems"),
        *("properties", "patternProperties", "additionalProperties", "propertyNames", "required"),
        *("minProperties", "maxProperties", "dependencies", "dependentRequired", "dependentSchemas"),
        *("unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef"),
    }
)

# Of these, what no grammar of ours expresses.
REFUSED = frozenset({"unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef"})

# What only draft 3 had, which is not supported: refused where `$schema` names it, and unknown words elsewhere.
DRAFT_3 = frozenset({"extends", "disallow", "divisibleBy"})

# What says nothing about which values are valid.
ANNOTATIONS = frozenset(
    {
        *("$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary", "$comment"),
        *("$defs", "definitions", "title", "description", "default", "examples"),
        *("deprecated", "readOnly", "writeOnly", "contentEncoding", "contentMediaType", "contentSchema"),
    }
)
