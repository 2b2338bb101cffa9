"""The engine's stacks, followed on purpose into trouble.

llama.cpp keeps a stack for each way in which the text so far can be read, and pays for all of them at every token.
Where a rule leads back to itself in two ways that begin alike, they double with each level: fifteen tokens take ten
seconds (reference: llama-grammar.cpp, `llama_grammar_advance_stack`). `explodes` takes always the character that most
ways allow, and sees whether they run away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.grammar import characters, limits
from runtime.grammar.gbnf import Chars, Choice, Expr, Grammar, Literal, Ref, Repeat, Sequence

if TYPE_CHECKING:
    from collections.abc import Iterable

Stack = int  # a number for each stack: equal ones have the same


def explodes(grammar: Grammar) -> bool:
    """Do the ways of reading become more than `limits.STACKS` within some characters?"""
    stacks = Stacks(grammar)
    current = stacks.closure([stacks.push(Ref("root"), 0)])
    for step in range(limits.LOOKAHEAD):
        if stacks.work > limits.STACKS:
            return True
        if step == limits.LOOKAHEAD // 3 and stacks.work < 8:
            return False  # what multiplies has done so three times by now
        following = [stacks.step(current, code) for code in stacks.crowded(current)]
        if not following:
            return False
        stacks.work, current = max(following, key=lambda step: step[0])
    return False


class Stacks:
    """Stacks as linked lists of expressions still to be matched, each list made once."""

    def __init__(self, grammar: Grammar) -> None:
        self._rules = grammar.rules
        self._cells: list[tuple[Expr, Stack]] = [(Literal(""), 0)]  # number 0 is the empty stack
        self._numbers: dict[tuple[int, Stack], Stack] = {}
        self._leaves: dict[Stack, set[Stack]] = {}
        self.work = 0  # of the last step: stacks made, whether they are new or not
        self._parts: dict[tuple[int, int, int | None], Repeat] = {}
        self._ends: dict[str, Literal] = {}

    def push(self, expr: Expr, rest: Stack) -> Stack:
        key = (id(expr), rest)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._cells)
            self._cells.append((expr, rest))
        return number

    def closure(self, stacks: Iterable[Stack]) -> set[Stack]:
        """The stacks that have a character on top, after all that these may turn into."""
        found: set[Stack] = set()
        for stack in stacks:
            leaves = self._leaves.get(stack)
            if leaves is None:
                leaves = self._leaves[stack] = self._unfolded(stack)
            found |= leaves
            # The engine unfolds each by itself, and throws away afterwards what is there already.
            self.work += len(leaves)
            if self.work > limits.STACKS:
                break
        return found

    def _unfolded(self, stack: Stack) -> set[Stack]:
        found: set[Stack] = set()
        todo, seen = [stack], {stack}
        while todo and len(found) <= limits.STACKS:
            stack = todo.pop()
            expr, rest = self._cells[stack]
            if not stack or isinstance(expr, Chars) or (isinstance(expr, Literal) and expr.text):
                found.add(stack)
                continue
            new = [one for one in self._expanded(expr, rest) if one not in seen]
            seen.update(new)
            todo += new
        return found

    def _expanded(self, expr: Expr, rest: Stack) -> list[Stack]:
        match expr:
            case Ref(name):
                return [self.push(self._rules[name], rest)]
            case Choice(options):
                return [self.push(option, rest) for option in options]
            case Sequence(items):
                for item in reversed(items):
                    rest = self.push(item, rest)
                return [rest]
            case Repeat(item, low, high):
                return self._repeated(expr, item, low, high, rest)
        return [rest]

    def _repeated(self, expr: Repeat, item: Expr, low: int, high: int | None, rest: Stack) -> list[Stack]:
        if high is None:
            again = self.push(item, self.push(expr if not low else self._part(item, low - 1, None), rest))
        else:
            again = self.push(item, self.push(self._part(item, max(0, low - 1), high - 1), rest)) if high else rest
        return [again] if low else [again, rest]

    def _part(self, item: Expr, low: int, high: int | None) -> Repeat:
        """What is left of a repetition; one object for equal ones, as stacks are told apart by them."""
        key = (id(item), low, high)
        return self._parts.setdefault(key, Repeat(item, low, high))

    def step(self, stacks: set[Stack], code: int) -> tuple[int, set[Stack]]:
        """The work that a character makes, and the stacks after it."""
        self.work = 0
        found = []
        for stack in stacks:
            expr, rest = self._cells[stack]
            if isinstance(expr, Literal) and expr.text and ord(expr.text[0]) == code:
                found.append(self.push(self._behind(expr), rest))
            elif isinstance(expr, Chars) and characters.contains(expr.ranges, code) is not expr.negated:
                found.append(rest)
        after = self.closure(dict.fromkeys(found))
        return self.work, after

    def _behind(self, literal: Literal) -> Literal:
        """The literal without its first character."""
        text = literal.text[1:]
        return self._ends.setdefault(text, Literal(text))

    def crowded(self, stacks: set[Stack]) -> list[int]:
        """The characters that most stacks allow, a few of them."""
        tops = [expr for expr, _ in (self._cells[stack] for stack in stacks if stack)]
        votes: dict[int, int] = {}
        classes: dict[Chars, int] = {}
        for expr in tops:
            if isinstance(expr, Literal):
                votes[ord(expr.text[0])] = votes.get(ord(expr.text[0]), 0) + 1
            elif isinstance(expr, Chars):
                classes[expr] = classes.get(expr, 0) + 1
        for chars in list(classes):
            ranges = characters.complement(chars.ranges) if chars.negated else chars.ranges
            for low, high in ranges[:4]:
                votes.setdefault(low, 0)
                votes.setdefault(high, 0)
        for code in votes:
            votes[code] += sum(
                count
                for chars, count in classes.items()
                if characters.contains(chars.ranges, code) is not chars.negated
            )
        return sorted(votes, key=lambda code: -votes[code])[:4]
