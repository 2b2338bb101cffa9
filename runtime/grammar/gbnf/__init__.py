"""GBNF, llama.cpp's notation for grammars: syntax tree, parser and printer.

The parser takes what llama.cpp's own takes (its grammars/README.md and llama-grammar.cpp), but for token references,
`<...>`, which let a token pass and then refuse it, and that ends the process; and for empty classes, which the engine
reads as nothing at all. A grammar printed and parsed is the same.
"""

from runtime.grammar.gbnf.grammar import Grammar
from runtime.grammar.gbnf.parser import parse
from runtime.grammar.gbnf.tree import EMPTY, Chars, Choice, Expr, Literal, Ref, Repeat, Sequence, choice, sequence

__all__ = [
    "EMPTY",
    "Chars",
    "Choice",
    "Expr",
    "Grammar",
    "Literal",
    "Ref",
    "Repeat",
    "Sequence",
    "choice",
    "parse",
    "sequence",
]
