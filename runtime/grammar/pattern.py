"""`pattern`: regular expressions of ECMA-262, as JSON Schema means them, to languages.

Greedy and lazy quantifiers match the same texts, and groups capture nothing here. What is not regular or looks around
is refused: look-aheads, look-behinds, back-references, word boundaries.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache
from typing import Any

from runtime.grammar import characters, limits
from runtime.grammar.characters import Ranges, complement, of, union
from runtime.grammar.gbnf import EMPTY, Chars, Choice, Repeat, Sequence
from runtime.grammar.regular import Anchor, compiled
from runtime.grammar.shapes import Text

_DIGIT = ((0x30, 0x39),)
_WORD = union(_DIGIT, ((0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)))
# WhiteSpace and LineTerminator of ECMA-262, but for the byte order mark: half of all engines do not count it.
_SPACE = of("\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B))))
_LINE_ENDS = of("\n\r\u2028\u2029")
_CLASSES = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CLASSES |= {name.upper(): complement(ranges) for name, ranges in _CLASSES.items()}
# What some engines call a space is no \S here, as the byte order mark is no \s: a text is good for both.
_CLASSES["S"] = characters.difference(_CLASSES["S"], of("\x1c\x1d\x1e\x1f\x85\ufeff"))
_CONTROLS = {"t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "0": "\0"}

_HEX = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}")
_LOW_SURROGATE = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_PROPERTY = re.compile(r"([pP])\{(?:(?:General_Category|gc)=)?(\w+)\}")
_COUNTS = re.compile(r"\{([0-9]{1,9})(?:(,)([0-9]{1,9})?)?\}")
_NAMED = re.compile(r"\?<[A-Za-z_$][\w$]*>")
_START, _END = Anchor(end=False), Anchor(end=True)

# Names of general categories (Unicode's PropertyValueAliases), for those that patterns use.
_CATEGORIES = {
    "Letter": "L",
    "Lowercase_Letter": "Ll",
    "Uppercase_Letter": "Lu",
    "Mark": "M",
    "Number": "N",
    "Decimal_Number": "Nd",
    "digit": "Nd",
    "Punctuation": "P",
    "punct": "P",
    "Symbol": "S",
    "Separator": "Z",
    "Space_Separator": "Zs",
    "Other": "C",
    "Control": "Cc",
}


@lru_cache(maxsize=512)
def language(pattern: str) -> Text:
    """The texts that hold a match of the pattern. Raises ValueError with the reason, `TooLarge` for a huge one."""
    tree = _Parser(pattern).whole()
    match tree:
        # One class, counted: the count is a bound on the length, and need not be unrolled.
        case Sequence((Anchor(end=False), Repeat(Chars() as item, low, high), Anchor(end=True))):
            return Text(compiled(Repeat(item, 0, None)), low, high)
    return Text(compiled(tree, search=True))


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._text, self._at, self._depth = pattern, 0, 0

    def whole(self) -> Any:
        tree = self._choice()
        if self._at < len(self._text):
            raise self._error("unbalanced )")
        return tree

    def _choice(self) -> Any:
        options = [self._sequence()]
        while self._take("|"):
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self) -> Any:
        items: list[Any] = []
        while self._peek() not in ("", "|", ")"):
            items.append(self._repeated(self._atom()))
        return Sequence(tuple(items)) if items else EMPTY

    def _repeated(self, atom: Any) -> Any:
        counts = _COUNTS.match(self._text, self._at)
        if counts:
            self._at = counts.end()
            low = int(counts[1])
            high = int(counts[3]) if counts[3] else None if counts[2] else low
        elif (sign := self._peek()) and sign in "*+?":
            self._at += 1
            low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        else:
            return atom
        if isinstance(atom, Anchor) or (high is not None and high < low):
            raise self._error("a quantifier that matches nothing")
        self._take("?")
        if self._peek() and self._peek() in "*+":
            raise self._error("nothing to repeat")
        return Repeat(atom, low, high)

    def _atom(self) -> Any:
        char = self._peek()
        self._at += 1
        match char:
            case "^":
                return _START
            case "$":
                return _END
            case ".":
                return Chars(complement(_LINE_ENDS))
            case "(":
                return self._group()
            case "[":
                return Chars(self._class())
            case "\\":
                return Chars(self._escape(in_class=False))
            case "*" | "+" | "?":
                raise self._error("nothing to repeat")
        if char == "{" and re.match(r",?[0-9]+,?\}", self._text[self._at :]):
            raise self._error("nothing to repeat")
        return Chars(of(char))

    def _group(self) -> Any:
        self._depth += 1
        if self._depth > limits.GROUPS:
            raise self._error(f"more than {limits.GROUPS} nested groups")
        named = _NAMED.match(self._text, self._at)
        if named:
            self._at = named.end()
        elif self._peek() == "?":
            if not self._text.startswith("?:", self._at):
                raise self._error(
                    f"({self._text[self._at : self._at + 3]} ... ), a group that looks around or sets flags"
                )
            self._at += 2
        inner = self._choice()
        if not self._take(")"):
            raise self._error("a group that does not end")
        self._depth -= 1
        return inner

    def _class(self) -> Ranges:
        negated = self._take("^")
        found: list[Ranges] = []
        while not self._take("]"):
            low = self._member()
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                found.append(self._range(low))
            else:
                found.append(low)
        ranges = union(*found)
        return complement(ranges) if negated else ranges

    def _range(self, low: Ranges) -> Ranges:
        self._at += 1
        high = self._member()
        if characters.size(low) != 1 or characters.size(high) != 1:
            return union(low, of("-"), high)  # [\w-.], where - is a character (ECMA-262, annex B.1.2)
        if high[0][0] < low[0][0]:
            raise self._error("a range that is out of order")
        return ((low[0][0], high[0][0]),)

    def _member(self) -> Ranges:
        char = self._peek()
        if not char:
            raise self._error("a class that does not end")
        self._at += 1
        return self._escape(in_class=True) if char == "\\" else of(char)

    def _escape(self, *, in_class: bool) -> Ranges:
        char = self._peek()
        if found := _HEX.match(self._text, self._at):
            self._at = found.end()
            return self._code_point(int(found[1] or found[2] or found[3], 16))
        if found := _PROPERTY.match(self._text, self._at):
            self._at = found.end()
            ranges = self._category(found[2])
            return complement(ranges) if found[1] == "P" else ranges
        self._at += 1
        if char in _CLASSES:
            return _CLASSES[char]
        if char in _CONTROLS and not (char == "0" and self._peek().isdigit()):
            return of(_CONTROLS[char])
        if in_class and char == "b":
            return of("\b")
        if char == "c" and self._peek().isascii() and self._peek().isalpha():
            self._at += 1
            return of(chr(ord(self._text[self._at - 1]) % 32))
        if not char or (char.isascii() and char.isalnum()):
            raise self._error(f"\\{char}, which is no character or class")
        return of(char)

    def _code_point(self, code: int) -> Ranges:
        pair = _LOW_SURROGATE.match(self._text, self._at) if 0xD800 <= code < 0xDC00 else None
        if pair:
            self._at = pair.end()
            code = 0x10000 + ((code - 0xD800) << 10) + int(pair[1], 16) - 0xDC00
        if code > characters.LAST:
            raise self._error(f"U+{code:X} is no character")
        return ((code, code),)

    def _category(self, name: str) -> Ranges:
        short = _CATEGORIES.get(name, name)
        if not re.fullmatch(r"[LMNPSZC][a-z]?", short):
            raise self._error(f"the Unicode property {name}")
        return _category(short)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, char: str) -> bool:
        found = self._peek() == char
        self._at += found
        return found

    def _error(self, why: str) -> ValueError:
        return ValueError(f"{why}, at character {self._at} of {self._text[:100]!r}")


@lru_cache(maxsize=32)
def _category(prefix: str) -> Ranges:
    """All characters of a general category. Takes a tenth of a second."""
    codes = (code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith(prefix))
    found: list[tuple[int, int]] = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1] = (found[-1][0], code)
        else:
            found.append((code, code))
    return characters.intersection(tuple(found), characters.ALL)
