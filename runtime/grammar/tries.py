"""Lists of texts to rules, by their common beginnings: enums, and the keys that are none of the declared ones.

llama.cpp follows every alternative that begins alike at once: a flat enum of 2,000 values took half a second a token, a
trie the time of any other rule.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Any

from runtime.grammar import automaton, characters
from runtime.grammar.gbnf import EMPTY, Expr, Literal, Ref, choice, sequence
from runtime.grammar.shapes import exact, kind_of
from runtime.grammar.strings import QUOTE, spell, walk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.grammar.shapes import Consts
    from runtime.grammar.writer import Writer

_DEPTH = 12  # of nested groups, before a rule begins
OTHER_THAN = "other-than-"  # begins the names of rules for a single character, its code point in hexadecimal digits
_LONG = 60  # characters of a key, each of which nests a group
_ESCAPED = re.compile(r'[\x00-\x1f"\\\ud800-\udfff]')
_PLAIN = characters.difference(characters.ALL, ((0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)))


def spelled(value: Any, *, compact: bool = False) -> str:
    """The value as JSON, with a space behind commas and colons or, where it is `compact`, without."""
    separators = (",", ":") if compact else (", ", ": ")
    text = json.dumps(value, ensure_ascii=False, separators=separators)
    # A lone surrogate has no other form than the escape.
    return text if text.isascii() or _is_text(text) else json.dumps(value, separators=separators)


def _is_text(text: str) -> bool:
    return not any(0xD800 <= ord(char) <= 0xDFFF for char in text)


def of_values(writer: Writer, shape: Consts, hint: str) -> Expr:
    """One of the values; by the standard in any of its usual ways of writing."""
    texts: set[str] = set()
    for const in shape.values:
        texts.add(spelled(const.value))
        if not writer.closed:
            texts.add(spelled(const.value, compact=True))
        if kind_of(const.value) == "number" and exact(const.value).denominator == 1:
            texts |= {str(int(const.value)), f"{int(const.value)}.0" if writer.zero_fraction else spelled(const.value)}
    return of_texts(writer, sorted(texts), hint)


def of_texts(writer: Writer, texts: list[str], hint: str, depth: int = 0) -> Expr:
    """One of the texts, which are sorted."""
    prefix = _common(texts[0], texts[-1])
    rests = [text[len(prefix) :] for text in texts]
    if len(rests) == 1:
        return Literal(prefix)
    options: list[Expr] = []
    for first, group in groupby(rests, key=lambda rest: rest[:1]):
        members = list(group)
        if not first:
            options.append(EMPTY)
        elif depth < _DEPTH:
            options.append(of_texts(writer, members, hint, depth + 1))
        else:
            options.append(_later(writer, members, hint))
    return sequence(Literal(prefix), choice(*options))


def _common(one: str, other: str) -> str:
    """What both begin with."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(char for char, _ in same)


def _later(writer: Writer, texts: list[str], hint: str) -> Expr:
    return writer.rule(("texts", tuple(texts)), hint, lambda: of_texts(writer, texts, hint), sure=True)


def other_text(writer: Writer, known: Iterable[str], after: Expr = EMPTY) -> Expr:
    """A string that is none of the known ones, behind its first quote, and then `after`."""
    if all(len(name) <= _LONG and not _ESCAPED.search(name) for name in known):
        return sequence(_unlike(writer, tuple(sorted(known))), after)
    others = automaton.complement(automaton.words(known))
    return walk(writer, others, "key", lambda _: sequence(QUOTE, after))


def _unlike(writer: Writer, rests: tuple[str, ...]) -> Expr:
    """A text with its quote at the end, that is none of these. Ends of names are shared by all objects."""
    if not rests:
        return writer.static("text")
    if rests == ("",):
        return writer.static("longer")
    for name in ("escape", "longer"):  # to which `_other_than` and `_elsewhere` lead
        writer.static(name)
    return writer.rule(("unlike", rests), "key", lambda: _fork(writer, rests, 0), sure=True)


def _fork(writer: Writer, rests: tuple[str, ...], depth: int) -> Expr:
    if len(rests) == 1:
        for char in rests[0]:
            _include(writer, char)
        return _not_the_end(rests[0])
    following: dict[str, list[str]] = {}
    for rest in rests:
        if rest:
            following.setdefault(rest[0], []).append(rest[1:])
    if len(following) == 1 and "" not in rests and depth < _DEPTH:
        ((first, ends),) = following.items()
        _include(writer, first)
        return choice(sequence(Literal(first), _fork(writer, tuple(ends), depth + 1)), _other_than(first))
    forks = [sequence(Literal(first), _unlike(writer, tuple(ends))) for first, ends in following.items()]
    return choice(*([] if "" in rests else [QUOTE]), *forks, _elsewhere("".join(following)))


def _include(writer: Writer, char: str) -> None:
    """Have the rule in the grammar that `_other_than` refers to."""
    writer.fixed(_other_than(char).name, choice(QUOTE, _elsewhere(char)))


@lru_cache(maxsize=4096)
def _not_the_end(rest: str) -> Expr:
    """A text with its quote at the end, that is not this one."""
    if not rest:
        return Ref("longer")
    return choice(sequence(Literal(rest[0]), _not_the_end(rest[1:])), _other_than(rest[0]))


def _other_than(char: str) -> Ref:
    """The rule of texts that end here, or go on with another character."""
    return Ref(f"{OTHER_THAN}{ord(char):x}")


@lru_cache(maxsize=1024)
def _elsewhere(following: str) -> Expr:
    """A text that begins with none of these characters, and its quote."""
    other = characters.difference(_PLAIN, characters.of(following))
    return sequence(choice(spell(other), Ref("escape")), Ref("text"))
