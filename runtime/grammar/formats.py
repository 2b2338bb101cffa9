"""`format`: the rules of `grammars/formats.gbnf` as automata. A format that has no rule there is an annotation."""

from __future__ import annotations

from functools import lru_cache

from runtime.catalog import data_file
from runtime.grammar import gbnf
from runtime.grammar.automaton import ANYTHING, Automaton
from runtime.grammar.regular import compiled

# Every format of draft 2020-12, section 7.3, that has a rule.
NAMES = frozenset(
    {
        *("date", "time", "date-time", "duration", "email", "idn-email", "hostname", "ipv4", "ipv6"),
        *("uri", "uri-reference", "iri", "iri-reference", "uri-template", "uuid"),
        *("json-pointer", "relative-json-pointer", "regex"),
    }
)
# Its rules are tables of Unicode (RFC 5891), and no text would be sure to be one.
REFUSED = frozenset({"idn-hostname"})


def language(name: str) -> Automaton:
    """The texts of a format; all texts, if there is no such format."""
    return _language(name) if name in NAMES else ANYTHING


@lru_cache
def _language(name: str) -> Automaton:
    rules = _rules().rules
    return compiled(rules[name], rules)


@lru_cache
def _rules() -> gbnf.Grammar:
    return gbnf.parse((data_file("grammars") / "formats.gbnf").read_text("utf-8"))
