"""What is kept away from llama.cpp's grammar engine. None of the refused grammars is ever given to it here."""

from __future__ import annotations

import time

import pytest

from runtime.catalog import data_file
from runtime.errors import InvalidRequest
from runtime.grammar.check import check
from runtime.grammar.gbnf import Grammar, Literal, Repeat, parse


def chain(length: int, form: str) -> str:
    """Rules each of which is the next, in some form."""
    rules = [f"r{at} ::= {form.format(f'r{at + 1}')}" for at in range(length)]
    return "\n".join(["root ::= r0", *rules, f'r{length} ::= "x"'])


# What each does to the process is in the comment: measured on llama-cpp-python 0.3.36.
KILLERS = {
    "left recursion behind an empty rule": 'root ::= a root "y" | "x"\na ::= b\nb ::= ""',  # memory until the end
    "left recursion behind a repetition": 'root ::= ("a"*) root "y" | "x"',  # the same
    "direct left recursion": 'root ::= root "a" | "b"',
    "indirect left recursion": 'root ::= a "x"\na ::= b\nb ::= root "y" | "z"',
    "a repetition of what may be empty": 'root ::= ("a"?)*',
    "the same further on": 'root ::= "0" ("0"{0})+',
    "500 rounds of what may be empty": 'root ::= "[" a{500} "]"\na ::= "" | [a-z] [0-9]?',
    "a repetition that ends before it begins": 'root ::= "a"{5,2}',  # allocates without end
    "the same in a rule that another replaces": 'root ::= "a"{5,2}\nroot ::= "b"',
    "doubled rules": chain(40, "{0} | {0}"),  # 2^40 steps
    "a chain of rules that begin with one another": chain(30_000, "{0}"),  # stack overflow
    "ambiguous recursion": 'root ::= "a" root "b" | "a" root "c" | "d"',  # four times the stacks a token
    "ambiguous recursion through another rule": 'root ::= t "+" root | t\nt ::= "(" root ")" | [0-9]',
    "ambiguous recursion behind a long key": 'root ::= "{the-same-key:" root "}" | "{the-same-key:" root "]" | "0"',
    "ambiguous recursion beside blanks": 'root ::= " "* ("a" root "b" | "a" root "c" | " " root | "d")',
    "many optional items": "root ::= " + '"a"? ' * 200,  # 20 s a token
    "many alternatives": "root ::= " + " | ".join(f'"v{at}"' for at in range(20_000)),  # 10 s a token
    "a large count": 'root ::= "a"{0,1000000}',  # silently without bound
    "counts of counts": 'root ::= (("a"{0,900}){0,900}){0,900}',
    "a long literal many times": f'root ::= "{"x" * 50_000}"{{1000}}',  # gigabytes
    "no root": 'start ::= "a"',
    "a rule that is not there": "root ::= other",
}


@pytest.mark.parametrize("name", KILLERS)
def test_a_grammar_that_kills_the_engine_is_refused_in_time(name: str) -> None:
    began = time.thread_time()
    with pytest.raises(InvalidRequest, match=r"^grammar"):
        check(parse(KILLERS[name]))
    assert time.thread_time() - began < 2


def test_too_many_rules_are_refused_with_their_number() -> None:
    with pytest.raises(InvalidRequest, match=r"20,001 rules; 20,000 are the most"):
        check(Grammar({"root": Literal("a")} | {f"r{at}": Literal("a") for at in range(20_000)}))


def test_a_tree_that_is_too_deep_is_refused() -> None:
    tree = Repeat(Literal("a"), 1, 1)
    for _ in range(300):
        tree = Repeat(tree, 1, 1)
    with pytest.raises(InvalidRequest, match="nested deeper"):
        check(Grammar({"root": tree}))


@pytest.mark.parametrize(
    "text",
    [
        'root ::= e ("+" e)*\ne ::= [0-9]+ | "(" root ")"',
        'root ::= "a" root | "b"',
        'root ::= "x"{1000}',
        'root ::= item ("," item)*\nitem ::= "-"? [0-9]{1,20} ("." [0-9]+)?',
        "root ::= " + " | ".join(f'"v{at}"' for at in range(500)),
        chain(500, '"a" {0} | "b"'),
    ],
)
def test_a_harmless_grammar_passes(text: str) -> None:
    check(parse(text))


def test_json_passes() -> None:
    text = (data_file("grammars") / "json.gbnf").read_text("utf-8")
    check(parse(f"root ::= value\n{text}"))
