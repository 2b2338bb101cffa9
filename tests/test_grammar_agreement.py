"""The matcher and llama.cpp's own grammar engine: every accept, every refusal and every end, at every prefix."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import InvalidRequest, UnsupportedSchema
from runtime.grammar import compile_grammar
from runtime.grammar.check import check as check_grammar
from runtime.grammar.gbnf import Expr, Grammar, parse
from tests.drawing import Drawer
from tests.following import CHARACTERS, Referee, changed, cut
from tests.grammars import Judge
from tests.shared import needs_shared, shared
from tests.test_grammar_gbnf import expressions
from tests.test_grammar_suite import SUITE, needs_suite, written

if TYPE_CHECKING:
    from collections.abc import Iterator

# Grammars of a caller's own: ways that begin alike, classes that exclude, dead ends, characters of several bytes.
OWN = {
    "sums": 'root ::= e ("+" e)*\ne ::= [0-9]+ | "(" root ")"',
    "the same beginnings": 'root ::= ("ab" | "abc" | "a" "bd" | [a-c]{3}) "e"?',
    "any characters": 'root ::= . "é" .* [^a] | "" ',
    "classes that exclude": 'root ::= [^é]* "€" [^"\\\\\\x00-\\x1F] [^😀-😂]{1,3}',
    "counts": 'root ::= ("ab"{2,4} "c"{0,3}){2} "d"{2,} ("x"? "y"){0,2} "z"{0}',
    "a dead end": 'root ::= "a" (dead | "b")\ndead ::= "x" dead',
    "nesting": 'root ::= "[" (root ("," root)*)? "]"',
    "characters of every length": 'root ::= ("a" | "é" | "€" | "😀" | [à-ÿ] | [가-힣] | [😁-🙏])*',
    "nothing": 'root ::= ""',
}


def compiled(schema: Any, *, closed: bool = False) -> Grammar | None:
    try:
        return compile_grammar(schema, closed=closed)
    except UnsupportedSchema:
        return None


@needs_shared("data/schemas")
@pytest.mark.parametrize("part", range(4))
def test_both_read_the_instances_of_real_schemas_alike(judge: Judge, part: int) -> None:
    for path in sorted(shared("data/schemas").glob("*.json"))[part::12]:
        found = json.loads(path.read_text("utf-8"))
        if grammar := compiled(found["schema"]):
            referee = Referee(judge, grammar)
            for test in found["tests"]:
                referee.compare_bytes(json.dumps(test["data"], ensure_ascii=False))


@needs_suite
def test_both_read_the_instances_of_the_suite_alike(judge: Judge) -> None:
    for path in sorted((SUITE / "draft2020-12").glob("*.json")):
        for case in json.loads(path.read_text("utf-8")):
            if grammar := compiled(case["schema"]):
                referee = Referee(judge, grammar)
                for test in case["tests"]:
                    referee.compare_bytes(written(test["data"]))


def suite_grammars() -> Iterator[Grammar]:
    for path in sorted((SUITE / "draft2020-12").glob("*.json")):
        for case in json.loads(path.read_text("utf-8"))[:6]:
            if grammar := compiled(case["schema"], closed=True):
                yield grammar


@needs_suite
def test_both_read_texts_drawn_from_grammars_alike_and_with_a_character_changed(judge: Judge) -> None:
    dice, lengths = random.Random(1), []
    for grammar in suite_grammars():
        referee, drawer = Referee(judge, grammar), Drawer(grammar, dice)
        for _ in range(3):
            text = drawer.draw(fuel=30)
            assert referee.compare_bytes(text) == len(text.encode())
            lengths.append(referee.compare_bytes(changed(text, dice)))
    assert len(lengths) > 300


def positive(grammar: Grammar) -> Grammar:
    """The grammar with other classes in the place of those that exclude, which are not drawn from."""
    return parse(str(grammar).replace("[^", "[é😀").replace(" .", " [a-zé-ü€]"))


@pytest.fixture(scope="module")
def texts() -> dict[str, list[list[bytes]]]:
    """For each grammar of `OWN`, random texts in pieces; many are refused somewhere."""
    dice = random.Random(2)
    found: dict[str, list[list[bytes]]] = {}
    for name, text in OWN.items():
        drawn = [Drawer(positive(parse(text)), dice).draw(fuel=12) for _ in range(40)] if name != "a dead end" else []
        random_ones = ["".join(dice.choices("abcdexy+()[],0é€😀" + CHARACTERS, k=6)) for _ in range(60)]
        several = [*drawn, *(changed(text, dice) for text in drawn), *random_ones]
        # llama.cpp reads a piece to its first NUL only; see the test of it in test_grammar_matcher.
        found[name] = [cut(text, dice) for text in several if "\0" not in text]
    return found


@pytest.fixture(scope="module")
def cutter(texts: dict[str, list[list[bytes]]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    """A judge whose tokens are all those pieces."""
    pieces = {piece: None for cases in texts.values() for case in cases for piece in case}
    judge = Judge(tmp_path_factory.mktemp("cutter") / "vocabulary.gguf", pieces)
    yield judge
    judge.close()


@pytest.mark.parametrize("name", OWN)
def test_both_read_pieces_alike_that_end_within_characters(
    cutter: Judge, texts: dict[str, list[list[bytes]]], name: str
) -> None:
    grammar = parse(OWN[name])
    check_grammar(grammar)
    referee = Referee(cutter, grammar)
    for pieces in texts[name]:
        referee.compare(pieces)


_chars = st.sampled_from('ab"é€😀')


@given(expressions, st.lists(st.text(_chars, max_size=8), max_size=5), st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_both_read_any_grammar_alike(judge: Judge, expr: Expr, texts: list[str], seed: int) -> None:
    grammar = Grammar({"root": expr})
    try:
        check_grammar(grammar)
    except InvalidRequest:
        return
    referee, dice = Referee(judge, grammar), random.Random(seed)
    drawn = [Drawer(grammar, dice).draw() for _ in range(4)]
    for text in (*texts, *drawn, *(changed(text, dice) for text in drawn)):
        referee.compare_bytes(text)
