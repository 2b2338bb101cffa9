"""Every bound on schemas and grammars, in one place.

Cost is bounded by size, depth, automaton states, alternatives and time, and not by counting keywords: a schema that
stays within these is compiled however it is written.
"""

from __future__ import annotations

from typing import Final

# What goes in.
SCHEMA_BYTES: Final = 1 << 20
SCHEMA_DEPTH: Final = 128

# What comes out, and what a caller's own grammar may be.
GRAMMAR_BYTES: Final = 1_000_000
RULES: Final = 20_000
NESTING: Final = 100  # of parentheses; llama.cpp's parser recurses, and overflows the stack at some 20,000
# llama.cpp makes `x{m,n}` unbounded, silently, where n > 2,000; longer counts are chains of blocks.
REPEAT: Final = 1_000
# Of what may be empty, where each round may be any of those to come: ways grow with the square, and time with more.
EMPTY_ROUNDS: Final = 32
# Rules in a group times its repetitions, MAX_REPETITION_THRESHOLD of llama-grammar.cpp.
REPEATED: Final = 2_000
# Elements after llama.cpp has unrolled every repetition; a literal of 50 KB {2000} took 1.9 GB.
UNROLLED: Final = 2_000_000

# llama.cpp's check for left recursion and its expansion of a state both walk every path through the rules that a rule
# can begin with, and remember nothing.
LEFT_CHAIN: Final = 5_000
LEFT_PATHS: Final = 2_000_000
# Ways in which the engine may stand in a grammar at once; each costs time at every token.
STACKS: Final = 4_000
# Characters that the search for an ambiguous recursion looks ahead.
LOOKAHEAD: Final = 450
# Texts that it follows at once, those with the most ways.
CROWDS: Final = 4
# Ways that it looks at in all; for schemas of applications, 20,000 were the most. It takes a second.
CROWD_WORK: Final = 100_000
# Rules with alternatives that begin alike, from which on a schema's grammar is searched for an explosion in any case.
FORKS: Final = 8

# What following a grammar may remember: stacks and steps, some 12 MB of them. Beyond that all is forgotten.
STEPS: Final = 30_000
# Characters that are told at once of a text that must come.
FORCED: Final = 1_000
# Characters to the end of a document; an end further away counts as none.
END: Final = 1_000_000

# What the compiler may spend.
SECONDS: Final = 5.0
STATES: Final = 5_000  # of one automaton
EDGES: Final = 60_000  # of one automaton
MINIMISING: Final = 60_000  # states that are looked at to make an automaton smaller; chains of many need more
# Where pattern, format and `maxLength` together need too many states, the texts are kept so short that it is about this
# many; but not below `LONG` characters.
LONG_STATES: Final = 1_500
LONG: Final = 60
ALTERNATIVES: Final = 64  # of one JSON type, after intersection
WORK: Final = 500_000  # intersections and comparisons of two alternatives
GROUPS: Final = 64  # nested groups of a regular expression
UNIQUE_STATES: Final = 1_000  # sets of items already used, for uniqueItems
