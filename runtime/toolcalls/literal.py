"""A JSON or Python value, read as its text comes.

Strict JSON reads as `json.loads` reads it. Beyond it, what Llama 3 writes in its place: single quotes, True, False and
None, trailing commas, tuples, raw control characters in strings, backslashes that escape nothing. And one thing more,
the arguments of a call written as code, `(city="Rome", days=2)`; a positional one has its number as its key.

Not read: NaN and infinities, since JSON cannot hold them, nor anything else that is no literal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 64  # containers in each other, as `runtime.wire` allows in requests
MAX_DIGITS = 300  # of a number; a float ends at 1.8e308, and Python itself refuses to read whole ones of 4300 digits

CONSTANTS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_TOKEN = re.compile(r"\s++|[A-Za-z0-9_.+-]++|.", re.DOTALL)
_STRING = {quote: re.compile(rf"[^{quote}\\]*+(?:\\.[^{quote}\\]*+)*+", re.DOTALL) for quote in "\"'"}
_ESCAPE = re.compile(r"\\(?:(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))|(.))", re.DOTALL)
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "'": "'", "\\": "\\", "/": "/", "\n": ""}
_CLOSERS = {"{": "}", "[": "]", "(": ")"}


class Unfit(ValueError):
    """A token that no value has at this place."""


@dataclass(slots=True)
class _Frame:
    """An open container. `colon` is what stands between a key and its value; "" in arrays."""

    closer: str
    colon: str
    items: Any
    key: Any = None


class Literal:
    """One container from its opening bracket on. `read` it until `state` is no longer "open".

    While it is open, `root` is what has been read so far.
    """

    def __init__(self, *, arguments: bool = False) -> None:
        """arguments: what follows is inside the parenthesis of a call."""
        self.state = "open"  # then "whole", or "broken"
        self.root: Any = None
        self._frames: list[_Frame] = []
        self._expects = "value"  # or "first" (of a container, or after a comma), "colon", "comma"
        self._quote = ""
        self._escaped = False
        self._text: list[str] = []  # of the string or word that is being read
        if arguments:
            self._open("(", {}, "=")

    @property
    def depth(self) -> int:
        return len(self._frames)

    @property
    def key(self) -> Any:
        """The innermost key whose value is being read or is to come; None if there is none."""
        return self._frames[-1].key if self._frames else None

    @property
    def path(self) -> tuple[Any, ...]:
        """The keys, from the outermost on, whose values are being read or are to come."""
        return tuple(frame.key for frame in self._frames if frame.key is not None)

    @property
    def containers(self) -> tuple[Any, ...]:
        """What is open, from the outermost on."""
        return tuple(frame.items for frame in self._frames)

    @property
    def unread(self) -> str:
        """The string that is being read, as far as it is there."""
        return "".join(self._text) if self._quote else ""

    def read(self, text: str, at: int, shallow: int = 0) -> int:
        """Goes on with `text` from `at`; the index behind what was taken.

        Stops where the value ends, before what cannot be part of it, and after each token that leaves no more than
        `shallow` containers open.
        """
        while at < len(text) and self.state == "open":
            if self._quote:
                at = self._string(text, at)
            else:
                end = end_of(_TOKEN, text, at)
                try:
                    self._take(text[at:end])
                except Unfit:
                    self.state = "broken"
                    return at
                at = end
            if len(self._frames) <= shallow and not self._text:
                return at
        return at

    def _string(self, text: str, at: int) -> int:
        if self._escaped:  # the backslash ended the piece before
            self._text.append(text[at])
            self._escaped = False
            return at + 1
        end = end_of(_STRING[self._quote], text, at)
        self._text.append(text[at:end])
        if end == len(text):
            return end
        if text[end] == "\\":
            self._text.append("\\")
            self._escaped = True
        else:
            self._quote = ""
            self._put_text(unescaped(self._taken()))
        return end + 1

    def _taken(self) -> str:
        text = "".join(self._text)
        self._text.clear()
        return text

    def _take(self, token: str) -> None:
        first = token[0]
        if first.isalnum() or first in "_.+-":
            self._check_place()
            self._text.append(token)  # it may go on in the next piece
            return
        if self._text:
            self._put_word(self._taken())
        if first.isspace():
            return
        if first in "\"'":
            self._check_place(key=True)
            self._quote = first
        elif first in _CLOSERS:
            self._check_place()
            self._open(first, {} if first == "{" else [], ":" if first == "{" else "")
        elif first in "}])":
            self._close(first)
        else:
            self._separate(first)

    def _check_place(self, *, key: bool = False) -> None:
        """Refuses what stands where neither a value nor, if it may be one, the `key` of an object is expected."""
        in_object = bool(self._frames) and self._frames[-1].colon == ":"
        if self._expects != "value" and (self._expects != "first" or (in_object and not key)):
            raise Unfit

    def _open(self, bracket: str, items: Any, colon: str) -> None:
        if len(self._frames) == MAX_DEPTH:
            raise Unfit
        self._frames.append(_Frame(_CLOSERS[bracket], colon, items))
        self._expects = "first"
        if self.root is None:
            self.root = items

    def _close(self, bracket: str) -> None:
        if not self._frames or self._frames[-1].closer != bracket or self._expects not in ("first", "comma"):
            raise Unfit
        frame = self._frames.pop()
        value = frame.items
        if bracket == ")" and not frame.colon and len(value) == 1 and self._expects == "comma":
            value = value[0]  # parentheses around one value make no tuple
        if self._frames:
            self._put(value)
        else:
            self.state = "whole"

    def _separate(self, sign: str) -> None:
        if sign == "," and self._expects == "comma":
            self._expects = "first"
        elif self._expects == "colon" and sign == self._frames[-1].colon:
            self._expects = "value"
        else:
            raise Unfit

    def _put_word(self, word: str) -> None:
        in_call = self._expects == "first" and self._frames[-1].colon == "="
        if in_call and word not in CONSTANTS and NAME.fullmatch(word):
            self._put_key(word)
        else:
            self._put(scalar(word))

    def _put_text(self, text: str) -> None:
        if self._expects == "first" and self._frames[-1].colon == ":":
            self._put_key(text)
        else:
            self._put(text)

    def _put_key(self, key: str) -> None:
        self._frames[-1].key = key
        self._expects = "colon"

    def _put(self, value: Any) -> None:
        if not self._frames:
            raise Unfit  # a string or a number by itself
        frame = self._frames[-1]
        if isinstance(frame.items, list):
            frame.items.append(value)
        else:
            frame.items[len(frame.items) if frame.key is None else frame.key] = value
        frame.key = None
        self._expects = "comma"


def scalar(word: str) -> Any:
    """The number or constant that `word` is. Raises `Unfit` if it is neither, or too large."""
    if word in CONSTANTS:
        return CONSTANTS[word]
    if len(word) > MAX_DIGITS or not NUMBER.fullmatch(word):
        raise Unfit
    if not set(word) & set(".eE"):
        return int(word)
    number = float(word)
    if number in (float("inf"), float("-inf")):
        raise Unfit
    return number


def container(text: str) -> Any:
    """The array or object that is all of `text`. Raises `Unfit` if it is none."""
    literal = Literal()
    end = literal.read(text, 0) if text[:1] in _CLOSERS else 0
    if literal.state != "whole" or end < len(text):
        raise Unfit
    return literal.root


def unescaped(text: str) -> str:
    """What stands between the quotes, with its escapes read. Half of a surrogate pair becomes U+FFFD."""
    if "\\" not in text:
        return text
    text = _ESCAPE.sub(_escaped, text)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _escaped(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    return chr(int(code, 16)) if code else _ESCAPES.get(match[3], match[0])


def end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where `pattern` ends if it matches at `at`, else `at`."""
    match = pattern.match(text, at)
    return match.end() if match else at
