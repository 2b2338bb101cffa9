"""Real and random schemas in volume: what llama.cpp takes of ours, how fast, and that all that comes of it is valid.

Each grammar is followed as the engine does, for up to 64 tokens drawn at random from all that are allowed, then closed
the shortest way. FUZZ_EXAMPLES is how many random schemas to try.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
from jsonschema.validators import Draft202012Validator, extend, validator_for

from runtime.engine.constraint import Constraint
from runtime.engine.llama import GrammarSampler, Model
from runtime.engine.meter import Meter
from runtime.engine.pieces import Pieces
from runtime.errors import LlamaletError, UnsupportedSchema
from runtime.grammar import compile_schema
from tests import random_schemas
from tests.counts import examples, seeds, tell
from tests.models import random_model
from tests.schemas import SCHEMAS
from tests.shared import SHARED
from tests.test_grammar_properties import unique_pairs
from tests.test_grammar_suite import DRAFTS, SUITE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jsonschema.protocols import Validator
    from numpy.typing import NDArray

TOKENS = 64
SOME = 24  # of the tokens that are asked about, but for each sixteenth time
INIT_SECONDS, MASK_SECONDS = 0.5, 0.25  # of a thread
GROWTH = 200 << 20  # bytes


@dataclass
class Walker:
    """Follows grammars over one vocabulary."""

    model: Model
    pieces: Pieces
    slowest: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)

    def walk(self, schema: Any, dice: random.Random, *, closed: bool) -> None:
        """Raises for what is slow, no JSON, or not valid."""
        try:
            grammar = compile_schema(schema, closed=closed)
        except UnsupportedSchema:
            self.found["refused"] += 1
            return
        began = time.thread_time()
        GrammarSampler(self.model, grammar).free()
        self._took("init", began, INIT_SECONDS)
        constraint = Constraint(grammar, self.model, self.pieces, Meter())
        try:
            self._judge(schema, self._written(constraint, dice))
        finally:
            constraint.free()

    def _written(self, constraint: Constraint, dice: random.Random) -> bytes:
        text = b""
        for at in range(TOKENS):
            if constraint.is_over:
                return text
            token = int(dice.choice(self._allowed(constraint, dice, whole=at % 16 == 0)))
            if self.model.is_end(token):
                return text
            constraint.accept(token)
            text += self.model.piece(token)
        for token in constraint.ending():
            constraint.accept(token)
            text += self.model.piece(token)
        return text

    def _allowed(self, constraint: Constraint, dice: random.Random, *, whole: bool) -> NDArray[np.integer[Any]]:
        """All tokens that may come, or of some of them."""
        possible = constraint.possible()
        if not whole:
            some = np.array(dice.sample(possible.tolist(), min(SOME, len(possible))))
            if len(found := some[constraint.allowed(some)]):
                return found
        began = time.thread_time()
        found = possible[constraint.allowed(possible)]
        self._took("mask", began, MASK_SECONDS)
        return found

    def _took(self, what: str, began: float, most: float) -> None:
        took = time.thread_time() - began
        self.slowest[what] = max(self.slowest[what], took)  # type: ignore[assignment]
        assert took <= most, f"{what} took {took:.2f} s"

    def _judge(self, schema: Any, text: bytes) -> None:
        try:
            value = json.loads(text, object_pairs_hook=unique_pairs, parse_float=Decimal)
        except LookupError:
            self.found["a key twice"] += 1  # what docs/json-schema.md says of free keys
            return
        with localcontext(prec=500):
            assert exact(schema).is_valid(value), text
        self.found["valid"] += 1


def exact(schema: Any) -> Validator:
    """A validator that does not round: a double takes 2.3 * 10^20 + 0.1 for a whole number."""
    made: Any = extend(validator_for(schema, Draft202012Validator), type_checker=EXACT)  # type: ignore[no-untyped-call]
    validator: Validator = made(json.loads(json.dumps(schema), parse_float=Decimal))
    return validator


def is_number(_: object, value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def is_integer(_: object, value: Any) -> bool:
    return is_number(_, value) and value == int(value)


EXACT = Draft202012Validator.TYPE_CHECKER.redefine_many({"number": is_number, "integer": is_integer})


@pytest.fixture(scope="module")
def walker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walker]:
    path = tmp_path_factory.mktemp("models") / "random.gguf"
    random_model(path, layers=1)
    model = Model(path, vocab_only=True)
    yield Walker(model, Pieces(model))
    model.free()


def walk_all(walker: Walker, schemas: Iterable[tuple[str, Any, bool]]) -> None:
    """Each schema, by its name, and whether it is closed. RSS may not grow by much."""
    process = psutil.Process()
    before = process.memory_info().rss
    walker.found.clear()
    for name, schema, closed in schemas:
        try:
            walker.walk(schema, random.Random(name), closed=closed)
        except (AssertionError, LlamaletError) as wrong:
            raise AssertionError(f"{name}, {closed=}: {json.dumps(schema)[:2000]}: {wrong}") from None
    grown = process.memory_info().rss - before
    tell(**walker.found, slowest=dict(walker.slowest), grown=grown)
    assert grown <= GROWTH


def real_schemas() -> list[tuple[str, Any]]:
    """Our own, and those that are at hand of applications and of the JSON Schema Test Suite."""
    found = [(f"own {at}", schema) for at, schema in enumerate(SCHEMAS)]
    if SHARED:
        paths = sorted((SHARED / "data" / "schemas").glob("*.json"))
        found += [(path.stem, json.loads(path.read_text("utf-8"))["schema"]) for path in paths]
    for draft, meta in DRAFTS.items():
        for path in sorted((SUITE / draft).glob("*.json")):
            cases = json.loads(path.read_text("utf-8"))
            for at, schema in enumerate(case["schema"] for case in cases):
                whole = {"$schema": meta, **schema} if isinstance(schema, dict) else schema
                found.append((f"{draft} {path.stem} {at}", whole))
    return found


def test_all_that_comes_of_real_schemas_is_valid_and_in_time(walker: Walker) -> None:
    schemas = real_schemas()
    both = [(name, schema, closed) for closed in (True, False) for name, schema in schemas]
    walk_all(walker, both[: examples(1500)])
    assert walker.found["valid"] >= 0.75 * walker.found.total()


def test_all_that_comes_of_random_schemas_is_valid_and_in_time(walker: Walker) -> None:
    walk_all(
        walker, ((f"random {seed}", random_schemas.schema(random.Random(seed)), seed % 2 == 0) for seed in seeds(1000))
    )
    assert walker.found["valid"] >= 0.5 * walker.found.total()
