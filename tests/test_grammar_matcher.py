"""The matcher, a fact each. That it agrees with llama.cpp is test_grammar_agreement.py."""

from __future__ import annotations

import time

import pytest

from runtime.grammar import characters, compile_grammar, limits
from runtime.grammar.gbnf import parse
from runtime.grammar.matcher import Matcher

POINT = {
    "type": "object",
    "properties": {"kind": {"enum": ["circle", "cube"]}, "sizes": {"type": "array", "items": {"type": "integer"}}},
    "required": ["kind", "sizes"],
}


def matcher(text: str, begun: str | bytes = "") -> Matcher:
    found = Matcher(parse(text)).accept(begun)
    assert found
    return found


@pytest.fixture(scope="module")
def point() -> Matcher:
    return Matcher(compile_grammar(POINT, closed=True))


def test_braces_and_keys_are_forced(point: Matcher) -> None:
    assert point.forced() == '{"kind": "c'


def test_the_rest_of_an_enum_and_the_next_key_are_forced(point: Matcher) -> None:
    after = point.accept('{"kind": "ci')
    assert after
    assert after.forced() == 'rcle", "sizes": ['


def test_the_shortest_end_closes_what_is_open(point: Matcher) -> None:
    after = point.accept('{"kind": "cube", "sizes": [1, 2')
    assert after
    assert after.shortest_end() == "]}"
    assert point.shortest_end() == '{"kind": "cube", "sizes": []}'


def test_accepting_leaves_the_matcher_where_it_was(point: Matcher) -> None:
    before = point.allowed
    assert point.accept('{"kind": "') is not None
    assert point.allowed == before


def test_nothing_may_follow_a_closed_document(point: Matcher) -> None:
    after = point.accept('{"kind": "cube", "sizes": []}')
    assert after
    assert (after.is_complete, after.allowed, after.forced(), after.shortest_end()) == (True, (), "", "")
    assert after.accept(" ") is None


def test_nothing_is_forced_where_the_document_may_end() -> None:
    after = matcher('root ::= "a" "b"?', "a")
    assert (after.is_complete, after.forced()) == (True, "")
    assert after.allowed == characters.of("b")


def test_forced_text_comes_in_parts_of_bounded_length() -> None:
    endless = matcher('root ::= "ab" root | "abc"')
    assert endless.forced() == "ab"
    assert len(matcher('root ::= "a" root').forced()) == limits.FORCED
    assert matcher('root ::= "abc"').forced(2) == "ab"


def test_what_never_ends_has_no_shortest_end() -> None:
    assert matcher('root ::= "a" root').shortest_end() is None


def test_an_end_too_far_away_counts_as_none() -> None:
    doubled = "\n".join(f"r{at} ::= r{at + 1} r{at + 1}" for at in range(40))
    assert matcher(f'root ::= "a" r0\n{doubled}\nr40 ::= "x"').shortest_end() is None
    assert matcher(f'root ::= "a" r0\n{doubled}\nr40 ::= ""').shortest_end() == "a"


def test_the_shortest_end_avoids_dead_ends() -> None:
    assert matcher('root ::= "a" (dead | "long")\ndead ::= "x" dead').shortest_end() == "along"


def test_of_equal_ends_the_same_is_told_every_time() -> None:
    text = "root ::= " + " | ".join(f'"{a}{b}"' for a in "zyxcba" for b in "qp")
    assert {matcher(text).shortest_end() for _ in range(20)} == {"ap"}


def test_a_character_may_come_in_single_bytes() -> None:
    begun = matcher('root ::= "😀"', b"\xf0\x9f")
    assert begun.held == b"\xf0\x9f"
    assert begun.is_complete is False
    after = begun.accept(b"\x98\x80")
    assert after
    assert (after.held, after.is_complete) == (b"", True)


def test_bytes_that_no_allowed_character_begins_with_are_refused() -> None:
    assert matcher('root ::= "é" | "x"').accept(b"\xf0") is None
    assert matcher('root ::= "é" | "x"', b"\xc3").accept(b"\xa8") is None


def test_what_is_held_narrows_what_may_come() -> None:
    begun = matcher("root ::= [a-zà-ÿĀ-ſ]+", b"\xc4")
    assert begun.allowed == ((0x100, 0x13F),)
    assert begun.shortest_end() == "Ā"
    assert matcher('root ::= [a-z] | "é!"', b"\xc3").forced() == "é!"


@pytest.mark.parametrize(
    "piece", [b"\xc3a", b"\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"a\x00", "\ud800"]
)
def test_what_is_no_text_is_refused_by_any_grammar(piece: str | bytes) -> None:
    assert matcher("root ::= .*").accept(piece) is None


def test_no_end_holds_a_nul_which_would_end_the_piece() -> None:
    assert matcher("root ::= [\\x00-\\x05]").shortest_end() == "\x01"
    assert matcher('root ::= "\\x00" | "abc"').shortest_end() == "abc"


def test_text_behind_a_character_begun_is_refused() -> None:
    assert matcher("root ::= .*", b"\xc3").accept("a") is None


def test_an_empty_piece_changes_nothing() -> None:
    begun = matcher("root ::= .*", b"\xc3")
    for piece in ("", b""):
        after = begun.accept(piece)
        assert after
        assert after.held == b"\xc3"


def test_what_is_remembered_is_bounded_and_forgotten_without_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STEPS", 200)
    first = matcher('root ::= "[" (item ("," item)*)? "]"\nitem ::= [a-z]{0,50} | root')
    text = "[" + ",".join("abcdefghijklmnopqrstuvwxyz"[: at % 27] for at in range(100))
    current: Matcher | None = first
    for char in text:
        assert current
        current = current.accept(char)
        assert first._states._size < 300
        assert len(first._states._known) < 300
    assert current
    assert current.shortest_end() == "]"
    assert first.accept(text + "]]") is None


def test_deep_nesting_needs_no_recursion() -> None:
    deep = matcher('root ::= "[" root? "]"', "[" * 20_000)
    assert deep.shortest_end() == "]" * 20_000


def test_a_long_chain_of_rules_is_looked_through_at_once() -> None:
    rules = "\n".join(f'r{at} ::= "a" r{at + 1} | "b"' for at in range(15_000))
    began = time.thread_time()
    assert matcher(f'root ::= r0\n{rules}\nr15000 ::= "c"').shortest_end() == "b"
    assert time.thread_time() - began < 5
