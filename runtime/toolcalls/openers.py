"""How calls, and what goes with them, begin: the texts to look for, and which of them are not whole yet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runtime.toolcalls.markers import BEGIN, ENDS, HEADER, TAG
from runtime.toolcalls.units import FUNCTION_END, CodeCall, FunctionCall, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.values import Tool

FENCE = "```"
TICKS = re.compile(r"`{1,3}")
BLANKS = re.compile(r"\s+")
LANGUAGE = re.compile(r"[\w+`-]+")
# What begins nothing. Blanks are in it where more of it follows on their line.
PROSE = re.compile(
    r"""(?:
        [^\s{\[<`]++
        | [^\S\n]++(?=[^\s{\[<`])
        | \{(?=[^\s"'])
        | \[(?=[^\s{\w<`])
        | <(?=[^|/f]|\|[^a-z])
    )++""",
    re.VERBOSE,
)
# An object that may be a call has a key; in prose, blanks behind a brace are few. "open" is one that is not whole.
OBJECT = re.compile(r"""\{(?:\s{0,40}+["']|\s{41})""")
# One whose first key has no colon, up to what stands in its place. Long ones are found out by reading.
NO_OBJECT = re.compile(r"""\{\s{0,40}+(?:"[^"\\]{0,99}+"|'[^'\\]{0,99}+')\s{0,40}+(?=[^\s:])""")
OBJECT_OPEN = re.compile(r"\{\s*\Z")

# Those that may stand anywhere. None of them begins another, so that what is whole is what was meant.
SIGNS = (HEADER, TAG, *ENDS, BEGIN, FUNCTION_END)
MARKS = frozenset(SIGNS) - {TAG, FUNCTION_END}  # that mean nothing


class Openers:
    """The openers of the declared tools, and the signs."""

    def __init__(self, tools: Mapping[str, Tool]) -> None:
        self._tools = tools
        functions = [f"<function={name}" for name in tools]
        calls = [f"{name}{mark}" for name in tools for mark in ("(", ".call(")]
        whole = [*map(re.escape, (*SIGNS, *calls)), *(rf"{re.escape(function)}(?=[\s>{{])" for function in functions)]
        self._whole = re.compile("|".join(whole))
        self._texts = (*SIGNS, *calls, *(f"{function}>" for function in functions))
        self._longest = max(map(len, self._texts))

    def at(self, text: str, at: int) -> str:
        """The opener that is whole at `at`, or ""."""
        match = self._whole.match(text, at)
        return match[0] if match else ""

    def may_come(self, text: str, at: int) -> bool:
        """Whether `text` ends in an opener that began at `at`."""
        rest = text[at : at + self._longest]
        return at + len(rest) == len(text) and any(one.startswith(rest) for one in self._texts)

    def unit(self, opener: str) -> Unit:
        """What reads the call that `opener` begins."""
        if opener.startswith("<"):
            return FunctionCall(self._tools[opener.removeprefix("<function=")])
        name = opener.removesuffix("(")
        return CodeCall(self._tools[name] if name in self._tools else self._tools[name.removesuffix(".call")])
