"""GBNF as llama.cpp's own parser reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.catalog import data_file
from runtime.errors import InvalidRequest
from runtime.grammar import characters
from runtime.grammar.check import check as check_grammar
from runtime.grammar.gbnf import (
    EMPTY,
    Chars,
    Choice,
    Expr,
    Grammar,
    Literal,
    Ref,
    Repeat,
    Sequence,
    choice,
    parse,
    sequence,
)

if TYPE_CHECKING:
    from tests.grammars import Judge


def test_a_rule_may_go_on_behind_a_bar_and_within_parentheses() -> None:
    assert parse('root ::= "a" |\n  "b"\n').rules["root"] == Choice((Literal("a"), Literal("b")))
    assert parse('root ::= ("a"\n  "b")\n').rules["root"] == Sequence((Literal("a"), Literal("b")))


def test_a_name_has_one_rule() -> None:
    with pytest.raises(InvalidRequest, match="line 2: there is a rule root already"):
        parse('root ::= "a"\nroot ::= "b"\n')


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ('root ::= ("a" "b"){1000}', True),
        ('root ::= ("a" ("b")){1000}', True),
        ('root ::= ("a" (("b"))){1000}', False),  # three groups
        ("root ::= (a b){1000}\na ::= [a]\nb ::= [b]", False),  # two names that were not met before
        ("a ::= [a]\nb ::= [b]\nroot ::= (a b){1000}", True),
        ('root ::= "a"{50}{40}', True),
        ('root ::= "a"{50}{41}', False),
        ('root ::= ("a"{0,40} "b"){49}', False),
        ('root ::= ("a"{40} "b"){49}', True),
    ],
)
def test_what_is_repeated_is_counted_as_llama_cpp_counts_it(judge: Judge, text: str, taken: bool) -> None:
    assert judge.takes(text) is taken
    if taken:
        parse(text)
    else:
        with pytest.raises(InvalidRequest, match=r"repeats .* rules; 2,000 are the most"):
            parse(text)


def test_escapes_are_read() -> None:
    assert parse(r'root ::= "\x41\u00e9\U0001F600\n\"\\"').rules["root"] == Literal('Aé😀\n"\\')


def test_classes_are_sorted_ranges() -> None:
    assert parse("root ::= [b-da\\]x-]").rules["root"] == Chars(
        ((0x2D, 0x2D), (0x5D, 0x5D), (0x61, 0x64), (0x78, 0x78))
    )
    assert parse("root ::= [^a] .").rules["root"] == Sequence((Chars(((97, 97),), True), Chars((), True)))


def test_repetitions_are_read() -> None:
    counts = [("*", 0, None), ("+", 1, None), ("?", 0, 1), ("{3}", 3, 3), ("{2,}", 2, None), ("{ 1 , 4 }", 1, 4)]
    for sign, low, high in counts:
        assert parse(f'root ::= ("a"{sign})').rules["root"] == Repeat(Literal("a"), low, high)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('root := "a"', "line 1: expected ::= after root"),
        ('\n\nroot ::= "a', "line 3: the text ends too early"),
        ('root ::= "\\q"', "unknown escape"),
        ("root ::= *", "nothing before"),
        ('root ::= "a" )', "expected the end of the line"),
        ('root ::= ("a"', r"expected \)"),
        ('root ::= "a"{2', "expected }"),
        ('root ::= "a"{99999999999}', "a count of at most nine digits"),
        ("root ::= <[7]>", "token references are not supported"),
        ("root ::= []", "an empty class"),
        ("root ::= [z-a]", "is empty"),
        ('root ::= "\\UFFFFFFFF"', "no character"),
        ("root ::= " + "(" * 101 + '"a"' + ")" * 101, "nested groups"),
    ],
)
def test_what_is_no_grammar_is_refused_with_its_line(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        parse(text)


def test_literals_side_by_side_become_one() -> None:
    assert sequence(Literal("a"), EMPTY, sequence(Literal("b"), Ref("x"))) == Sequence((Literal("ab"), Ref("x")))
    assert choice(choice(Literal("a"), Literal("b")), Ref("x")) == Choice((Literal("a"), Literal("b"), Ref("x")))


# The same texts for our parser and llama.cpp's: both take them, or both refuse. None of them harms the engine.
TEXTS = [
    'root ::= "a"',
    'root ::= "a" # comment\n',
    'root::="a"',
    '  root ::= "a"',
    'root ::= "a"\r\nother ::= "b"\r\n',
    'root ::=\n  "a"',
    'root ::= "a"\n  | "b"',
    'root ::= "a" |\n "b"',
    'root ::= ("a"\n| "b")*',
    'root ::= | "a"',
    'root ::= ""',
    'root ::= "" *',
    'root ::= "a"**',
    'root ::= "a"{2}{3}',
    'root ::= "a"{,3}',
    'root ::= "a"{1,x}',
    'root ::= "a" {2}',
    'root ::= "ab"+ [a-z]? .',
    "root ::= [a-]",
    "root ::= [-a]",
    r"root ::= [\]\[\\\n]",
    r"root ::= [\x41-\x5A\u00e9]",
    r'root ::= "\x4"',
    r'root ::= "\u12"',
    r'root ::= "\e"',
    "root ::= a_b",
    'root ::= a-1\na-1 ::= "x"',
    "root ::= (",
    "root ::= )",
    'root ::= "a',
    "root ::= [a",
    'root "a"',
    "root ::= %",
    'root ::= "é" [é-ü]',
]


@pytest.mark.parametrize("text", TEXTS)
def test_llama_cpp_takes_what_we_take_and_refuses_what_we_refuse(judge: Judge, text: str) -> None:
    try:
        check_grammar(parse(text))
        ours = True
    except InvalidRequest:
        ours = False
    assert judge.takes(text) is ours


@pytest.mark.parametrize("name", ["json", "formats"])
def test_the_static_rules_print_and_parse_as_they_are(name: str) -> None:
    grammar = parse((data_file("grammars") / f"{name}.gbnf").read_text("utf-8"))
    assert parse(str(grammar)) == grammar


_chars = st.characters(exclude_categories=["Cs"])
_classes = st.lists(_chars, min_size=1, max_size=4).map(lambda found: Chars(characters.of("".join(found))))


def _inner(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    several = st.lists(inner, min_size=2, max_size=3)
    counts = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(lambda pair: (pair[0], pair[0] + pair[1]))
    solid = inner.filter(lambda one: one != EMPTY)
    return st.one_of(
        several.map(lambda items: Sequence(tuple(items))),
        several.map(lambda options: Choice(tuple(options))),
        st.tuples(solid, counts).map(lambda pair: Repeat(pair[0], *pair[1])),
        solid.map(lambda item: Repeat(item, 1, None)),
    )


expressions = st.recursive(
    st.one_of(st.text(_chars, min_size=1, max_size=5).map(Literal), _classes), _inner, max_leaves=8
)


@given(expressions)
@settings(max_examples=150, deadline=None)
def test_a_printed_tree_says_the_same_when_parsed(expr: Expr) -> None:
    once = str(Grammar({"root": expr}))
    assert str(parse(once)) == once


@given(expressions)
@settings(max_examples=100, deadline=None)
def test_llama_cpp_takes_every_printed_tree_that_passes_the_check(judge: Judge, expr: Expr) -> None:
    grammar = Grammar({"root": expr})
    try:
        check_grammar(grammar)
    except InvalidRequest:
        return
    assert judge.takes(str(grammar))
