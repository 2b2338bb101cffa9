"""The JSON Schema Test Suite: no invalid instance is accepted, and few schemas are refused.

It comes with the source of `jsonschema`, which scripts/test fetches, and is no part of this repository.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runtime.errors import UnsupportedSchema
from runtime.grammar import compile_schema

if TYPE_CHECKING:
    from tests.grammars import Judge

SUITE = Path(__file__).parents[1] / ".cache" / "json-schema-test-suite"
DRAFTS = {
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
    "draft7": "http://json-schema.org/draft-07/schema#",
}
# About what our compiler does not read: remote and dynamic references, unevaluated items and properties, vocabularies,
# and formats as annotations, which ours enforces.
LEFT_OUT = ("dynamicRef", "format", "refRemote", "unevaluatedItems", "unevaluatedProperties", "vocabulary")
FILES = [
    f"{draft}/{path.stem}"
    for draft in DRAFTS
    for path in sorted((SUITE / draft).glob("*.json"))  # the required ones; the optional are in folders of their own
    if path.stem not in LEFT_OUT
]

needs_suite = pytest.mark.skipif(not SUITE.is_dir(), reason=f"needs {SUITE.name} in .cache, where scripts/test puts it")
pytestmark = needs_suite

# Valid instances that our grammars do not write: keys in another order than ours, and what docs/json-schema.md says.
REJECTED = {"draft2020-12": 9, "draft7": 9}
# uniqueItems of any values, metaschemas, and a step of nine decimals.
REFUSED = {"draft2020-12": 7, "draft7": 5}


def verdicts(judge: Judge, file: str) -> Counter[str]:
    """How many instances are right, rejected and accepted against their label; how many schemas are refused."""
    draft = file.split("/")[0]
    found: Counter[str] = Counter()
    for case in json.loads((SUITE / f"{file}.json").read_text("utf-8")):
        schema = case["schema"]
        if isinstance(schema, dict):
            schema = {"$schema": DRAFTS[draft], **schema}
        try:
            grammar = compile_schema(schema)
        except UnsupportedSchema as refusal:
            if "Nothing is valid" not in str(refusal):
                found["refused"] += 1
                continue
            grammar = None
        for test in case["tests"]:
            accepted = grammar is not None and judge.accepts(grammar, written(test["data"]))
            same = accepted == test["valid"]
            found["right" if same else "accepted" if accepted else "rejected"] += 1
    return found


def written(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if any("\ud800" <= char <= "\udfff" for char in text) else text


@pytest.fixture(scope="module")
def results(judge: Judge) -> dict[str, Counter[str]]:
    return {file: verdicts(judge, file) for file in FILES}


@pytest.mark.parametrize("file", FILES)
def test_no_invalid_instance_is_accepted(results: dict[str, Counter[str]], file: str) -> None:
    assert results[file]["accepted"] == 0


@pytest.mark.parametrize("draft", DRAFTS)
def test_few_valid_instances_are_rejected_and_few_schemas_refused(results: dict[str, Counter[str]], draft: str) -> None:
    total = sum((found for file, found in results.items() if file.startswith(draft)), Counter[str]())
    assert total["rejected"] <= REJECTED[draft]
    assert total["refused"] <= REFUSED[draft]
    assert total["right"] > 700
