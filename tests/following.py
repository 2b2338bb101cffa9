"""The matcher and llama.cpp's grammar engine over the same texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.grammar.matcher import Matcher

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from runtime.grammar.gbnf import Grammar
    from tests.grammars import Judge

# What strings and numbers are made of, what ends them, and characters of every length in UTF-8.
CHARACTERS = 'abz09-+.eE"\\,:{}[] \n\té€😀\x7f\u2028'


class Referee:
    """Compares the two over one grammar."""

    def __init__(self, judge: Judge, grammar: Grammar) -> None:
        self._judge, self._text = judge, str(grammar)
        self._first = Matcher(grammar)

    def compare(self, pieces: Sequence[bytes]) -> int:
        """Raises unless both go equally far, and say at each prefix the same of an end. Returns how many pieces."""
        theirs = self._judge.ends(self._text, pieces)
        ours: list[bool] = []
        matcher: Matcher | None = self._first
        for piece in (*pieces, None):
            assert matcher
            # llama.cpp would let the text end within a character.
            ours.append(matcher.is_complete if not matcher.held or len(ours) >= len(theirs) else theirs[len(ours)])
            matcher = matcher.accept(piece) if piece is not None else None
            if not matcher:
                break
        assert ours == theirs, (
            f"{pieces!r}: {len(ours) - 1} against {len(theirs) - 1} pieces under\n{self._text[:2000]}"
        )
        return len(ours) - 1

    def compare_bytes(self, text: str) -> int:
        return self.compare(single(text))


def single(text: str) -> list[bytes]:
    return [bytes([byte]) for byte in text.encode()]


def changed(text: str, random: Random) -> str:
    """The text with one character replaced, left out or added."""
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice(["", *random.choices(CHARACTERS, k=3)]) + text[at + random.randrange(2) :]


def cut(text: str, random: Random, longest: int = 5) -> list[bytes]:
    """The bytes of the text in pieces, wherever they end."""
    data, pieces = text.encode(), []
    while data:
        size = random.randint(1, longest)
        pieces.append(data[:size])
        data = data[size:]
    return pieces
