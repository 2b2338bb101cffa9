"""How much of what people write is compiled, and right. It may not fall."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runtime.errors import UnsupportedSchema
from runtime.grammar import compile_schema
from tests.shared import needs_shared, shared

if TYPE_CHECKING:
    from tests.grammars import Judge

# Schemas as applications have them, each with instances in the order of its keys.
GOLDEN: list[dict[str, Any]] = json.loads((Path(__file__).parent / "golden" / "schemas.json").read_text("utf-8"))


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: str(case["name"]))
def test_a_usual_schema_takes_its_valid_instances_and_no_others(judge: Judge, case: dict[str, Any]) -> None:
    for closed in (False, True):
        grammar = compile_schema(case["schema"], closed=closed)
        for value in case["valid"]:
            assert judge.accepts(grammar, json.dumps(value)), value
        for value in case["invalid"]:
            assert not judge.accepts(grammar, json.dumps(value)), value


@needs_shared("data/schemas")
def test_of_real_schemas_few_are_refused_and_few_wrong_and_none_too_wide(judge: Judge) -> None:
    found: Counter[str] = Counter()
    for path in sorted(shared("data/schemas").glob("*.json"))[::5]:
        document = json.loads(path.read_text("utf-8"))
        try:
            grammar = compile_schema(document["schema"])
        except UnsupportedSchema:
            found["refused"] += 1
            continue
        instances = [one for one in document["tests"] if len(json.dumps(one["data"])) < 4000]
        taken = [
            (one["valid"], judge.accepts(grammar, json.dumps(one["data"], ensure_ascii=False))) for one in instances
        ]
        wide = (False, True) in taken
        found["wide" if wide else "narrow" if (True, False) in taken else "right"] += 1
    assert found["wide"] == 0
    assert found["refused"] <= 2
    assert found["narrow"] <= 6  # most of them by the order of keys alone
