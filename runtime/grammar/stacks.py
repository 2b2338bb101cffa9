"""Stacks: the ways in which a text so far can be read.

llama.cpp keeps a stack for each, of what is still to be matched, and pays for all of them at every token (reference:
llama-grammar.cpp, `llama_grammar_advance_stack`). Here a stack is a linked list, each list is made once, and what one
turns into before its next character is remembered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from runtime.grammar import characters
from runtime.grammar.gbnf import Chars, Choice, Expr, Grammar, Literal, Ref, Repeat, Sequence


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """An expression still to be matched, and what is to follow it.

    Of a literal, the first `at` characters are behind us; of a repetition, `at` rounds, as far as it counts them.
    """

    expr: Expr
    at: int
    rest: Stack


_WRITABLE = characters.difference(characters.ALL, ((0, 0),))

END = Sequence(())  # what is on top of the empty stack

Stack = Cell | None  # None is the empty stack: the text may end
_Top = tuple[Expr, int, Stack]  # a cell that nothing has to remember


class Stacks:
    """The stacks of one grammar. Those it has made are equal when they are the same object."""

    def __init__(self, grammar: Grammar, *, most: float = math.inf) -> None:
        """A stack that turns into more than `most` others is followed no further."""
        self._rules, self._most = grammar.rules, most
        self._cells: dict[tuple[int, int, Stack], Cell] = {}
        self._leaves: dict[Stack, frozenset[Stack]] = {}
        self._root = Ref("root")

    def start(self) -> Stack:
        return self._push(self._root, 0, None)

    def leaves(self, stack: Stack) -> frozenset[Stack]:
        """What the stack may turn into: stacks with a character on top, and the empty one where the text may end."""
        found = self._leaves.get(stack)
        if found is None:
            found = self._leaves[stack] = self._unfolded(stack)
        return found

    def after(self, leaf: Cell) -> Stack:
        """What is left of a leaf once its character has come."""
        if isinstance(leaf.expr, Literal) and leaf.at + 1 < len(leaf.expr.text):
            return self._push(leaf.expr, leaf.at + 1, leaf.rest)
        return leaf.rest

    def forget(self) -> None:
        """Drop what is remembered. Stacks made before stay good, but equal ones made later are other objects."""
        self._cells.clear()
        self._leaves.clear()

    def _push(self, expr: Expr, at: int, rest: Stack) -> Cell:
        key = (id(expr), at, rest)  # expressions live as long as the grammar
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = Cell(expr, at, rest)
        return cell

    def _unfolded(self, stack: Stack) -> frozenset[Stack]:
        found: set[Stack] = set()
        todo = [_opened(stack)]
        seen: set[tuple[int, int, Stack]] = set()
        while todo and len(found) <= self._most:
            expr, at, rest = top = todo.pop()
            if isinstance(expr, Chars) or (isinstance(expr, Literal) and expr.text):
                found.add(self._push(*top))
            elif expr is END:
                found.add(None)
            elif (id(expr), at, rest) not in seen:
                seen.add((id(expr), at, rest))
                todo += self._expanded(*top)
        return frozenset(found)

    def _expanded(self, expr: Expr, at: int, rest: Stack) -> list[_Top]:
        match expr:
            case Ref(name):
                return [(self._rules[name], 0, rest)]
            case Choice(options):
                return [(option, 0, rest) for option in options]
            case Sequence(items) if items:
                for item in items[:0:-1]:
                    rest = self._push(item, 0, rest)
                return [(items[0], 0, rest)]
            case Repeat(item, low, high):
                done = [] if at < low else [_opened(rest)]
                if at == high:
                    return done
                rounds = min(at + 1, low) if high is None else at + 1
                return [(item, 0, rest if rounds == high else self._push(expr, rounds, rest)), *done]
        return [_opened(rest)]


def _opened(stack: Stack) -> _Top:
    return (stack.expr, stack.at, stack.rest) if stack else (END, 0, None)


def takes(leaf: Cell, code: int) -> bool:
    """May the character come next on this stack?"""
    expr = leaf.expr
    if isinstance(expr, Literal):
        return ord(expr.text[leaf.at]) == code
    return isinstance(expr, Chars) and characters.contains(expr.ranges, code) is not expr.negated


@lru_cache(maxsize=1024)
def writable(expr: Expr, at: int = 0) -> characters.Ranges:
    """The characters that may come. No NUL, which ends a token's text in llama.cpp, and no surrogates."""
    if isinstance(expr, Literal):
        code = ord(expr.text[at])
        return characters.intersection(((code, code),), _WRITABLE)
    if isinstance(expr, Chars):
        return characters.intersection(characters.complement(expr.ranges) if expr.negated else expr.ranges, _WRITABLE)
    return characters.NONE
