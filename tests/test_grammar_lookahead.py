"""What lies ahead, against exhaustive search on small grammars."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from runtime.errors import InvalidRequest
from runtime.grammar import characters
from runtime.grammar.check import check as check_grammar
from runtime.grammar.gbnf import Chars, Choice, Expr, Grammar, Literal, Ref, Repeat, Sequence
from runtime.grammar.matcher import Matcher

ALPHABET = "abé"
LONGEST = 4


class Reader:
    """Whether a text is one of the grammar, or begins one, by trying everything. Dead ends count, as in llama.cpp."""

    def __init__(self, grammar: Grammar, text: str) -> None:
        self._rules, self._text = grammar.rules, text
        self.wants = False  # a character more
        self.is_complete = len(text) in self._ends(Ref("root"), 0)

    def _ends(self, expr: Expr, at: int) -> set[int]:
        match expr:
            case Literal(text):
                ends = {at}
                for char in text:
                    ends = {end for start in ends for end in self._one(((ord(char), ord(char)),), start)}
                return ends
            case Chars(ranges):
                return self._one(ranges, at)
            case Ref(name):
                return self._ends(self._rules[name], at)
            case Sequence(items):
                ends = {at}
                for item in items:
                    ends = {end for start in ends for end in self._ends(item, start)}
                return ends
            case Choice(options):
                return {end for option in options for end in self._ends(option, at)}
            case Repeat(item, low, high):
                return self._rounds(item, low, high, at)

    def _one(self, ranges: characters.Ranges, at: int) -> set[int]:
        if at == len(self._text):
            self.wants = True
            return set()
        return {at + 1} if characters.contains(ranges, ord(self._text[at])) else set()

    def _rounds(self, item: Expr, low: int, high: int | None, at: int) -> set[int]:
        found, ends, rounds = set[int](), {at}, 0
        while ends and (high is None or rounds <= high) and rounds <= low + len(self._text) + 1:
            found |= ends if rounds >= low else set()
            ends, rounds = (
                {end for start in ends for end in self._ends(item, start)} if rounds != high else set(),
                rounds + 1,
            )
        return found


@dataclass
class Search:
    """All texts of up to `LONGEST` characters: those that begin a document, and those that are one."""

    begun: set[str]
    whole: set[str]

    def next(self, text: str) -> set[str]:
        return {char for char in ALPHABET if text + char in self.begun}

    def forced(self, text: str) -> str:
        found = ""
        while text + found not in self.whole and len(self.next(text + found)) == 1:
            found += self.next(text + found).pop()
        return found

    def shortest(self, text: str) -> int | None:
        return min((len(one) - len(text) for one in self.whole if one.startswith(text)), default=None)


def search(grammar: Grammar) -> Search:
    found = Search({""}, set())
    for length in range(LONGEST + 1):
        for text in map("".join, product(ALPHABET, repeat=length)):
            if text[:-1] in found.begun:
                reader = Reader(grammar, text)
                found.begun |= {text} if reader.wants or reader.is_complete else set()
                found.whole |= {text} if reader.is_complete else set()
    return found


_leaves = st.one_of(
    st.text(ALPHABET, max_size=3).map(Literal),
    st.text(ALPHABET, min_size=1, max_size=2).map(lambda text: Chars(characters.of(text))),
    st.sampled_from([Ref("one"), Ref("two")]),
)


def _inner(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    counts = st.sampled_from([(0, None), (1, None), (0, 1), (2, 2), (1, 3), (2, None), (0, 0)])
    return st.one_of(
        several.map(Sequence), several.map(Choice), st.builds(lambda item, pair: Repeat(item, *pair), inner, counts)
    )


_expressions = st.recursive(_leaves, _inner, max_leaves=6)
grammars = st.builds(
    lambda *bodies: Grammar(dict(zip(("root", "one", "two"), bodies, strict=True))), *[_expressions] * 3
)
relaxed = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)


def checked(grammar: Grammar) -> Grammar:
    try:
        check_grammar(grammar)
    except InvalidRequest:
        assume(False)
    return grammar


def after(grammar: Grammar, piece: str | bytes) -> Matcher:
    matcher = Matcher(grammar).accept(piece)
    assert matcher
    return matcher


@given(grammars)
@relaxed
def test_the_matcher_accepts_and_allows_what_exhaustive_search_finds(grammar: Grammar) -> None:
    found, first = search(checked(grammar)), Matcher(grammar)
    for length in range(LONGEST):
        for text in map("".join, product(ALPHABET, repeat=length)):
            matcher = first.accept(text)
            assert (matcher is not None) is (text in found.begun)
            if matcher:
                assert matcher.is_complete is (text in found.whole)
                assert matcher.allowed == characters.of("".join(found.next(text)))


@given(grammars)
@relaxed
def test_what_is_forced_is_what_exhaustive_search_leaves_no_choice_about(grammar: Grammar) -> None:
    found = search(checked(grammar))
    for text in found.begun:
        expected = found.forced(text)
        most = LONGEST - len(text)
        assert after(grammar, text).forced(most) == expected[:most], (text, str(grammar))


@given(grammars)
@relaxed
def test_the_shortest_end_is_as_long_as_the_shortest_that_exhaustive_search_finds(grammar: Grammar) -> None:
    found = search(checked(grammar))
    for text in found.begun:
        end, length = after(grammar, text).shortest_end(), found.shortest(text)
        if length is None:
            assert end is None or len(text + end) > LONGEST
        else:
            assert end is not None
            assert len(end) == length, (text, end, str(grammar))
        assert end is None or Reader(grammar, text + end).is_complete


@given(grammars)
@relaxed
def test_within_a_character_what_lies_ahead_begins_with_it(grammar: Grammar) -> None:
    found = search(checked(grammar))
    for text in found.begun:
        if "é" not in found.next(text) or len(text) == LONGEST:
            continue
        matcher, whole = after(grammar, text.encode() + b"\xc3"), text + "é"
        assert matcher.held == b"\xc3"
        assert not matcher.is_complete
        assert matcher.allowed == characters.of("é")
        assert matcher.forced(LONGEST - len(text)) == ("é" + found.forced(whole))[: LONGEST - len(text)]
        end, later = matcher.shortest_end(), after(grammar, whole).shortest_end()
        assert (end is None) is (later is None)
        if end is not None and later is not None:
            assert end[0] == "é"
            assert len(end) == 1 + len(later)
            assert Reader(grammar, text + end).is_complete
