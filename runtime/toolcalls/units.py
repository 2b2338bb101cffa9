"""The pieces of text that may turn out to be one call, each read as it comes.

A unit reads until its `state` is no longer "open": then it is "whole" and has its `call`, or it is "broken" and all of
its text was no call. `end` decides what the end of the text leaves open. While it is open, `refuted` says that it will
not be a call whatever comes; it is read to its end all the same, since what is inside data is no call either.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.toolcalls.literal import Literal, end_of
from runtime.toolcalls.objects import ARGUMENTS, KEYS, NAMES, Tools, call_of, made, name_in, refuted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.values import Tool, ToolCall

_BLANKS = re.compile(r"[ \t]*")
_FUNCTION_HEAD = re.compile(r"[\s>]*")
FUNCTION_END = "</function>"
DEEPEST = 3  # level where arguments begin, in OpenAI's form


class Begun(NamedTuple):
    """A call of the tool `name` whose arguments have begun: their text so far, and what ends the call behind them."""

    name: str
    arguments: str
    closing: str


class Unit:
    """What the three have in common.

    `name`: of the declared tool whose arguments have begun, if they are a JSON object; `closing`: what is to come
    behind them.
    """

    def __init__(self) -> None:
        self.state = "open"
        self.refuted = False
        self.call: ToolCall | None = None
        self.name: str | None = None
        self.closing = ""
        self._arguments: list[str] = []
        self._seen = 0  # of the pieces

    @property
    def arguments(self) -> str:
        return "".join(self._arguments)

    @property
    def begun(self) -> Begun | None:
        return Begun(self.name, self.arguments, self.closing) if self.name else None

    def more_arguments(self) -> str:
        """What has been added to `arguments` since this was last asked."""
        start, self._seen = self._seen, len(self._arguments)
        return "".join(self._arguments[start:])

    def read(self, text: str, at: int) -> int:
        """Goes on with `text` from `at`; the index behind what was taken."""
        raise NotImplementedError

    def end(self) -> None:
        """The text is over."""
        self.state = "broken"

    def _done(self, call: ToolCall | None) -> None:
        self.call = call
        self.state = "whole" if call else "broken"


class ObjectCall(Unit):
    """`{"name": "f", "parameters": {...}}`."""

    def __init__(self, tools: Tools) -> None:
        super().__init__()
        self._tools = tools
        self._literal = Literal()
        self._depth = 0  # of the arguments while they are read

    def read(self, text: str, at: int) -> int:
        literal = self._literal
        while at < len(text) and literal.state == "open":
            start, at = at, literal.read(text, at, self._shallow())
            if self._depth:
                self._arguments.append(text[start:at])
            self._judge()
        if literal.state == "broken":
            self.state = "broken"
        elif literal.state == "whole":
            self._done(None if self.refuted else call_of(literal.root, self._tools))
        elif not self.refuted:
            self.refuted = self._misnamed()
        return at

    def _shallow(self) -> int:
        """How many containers are open where something is decided."""
        if self.refuted:
            return 0
        if self._depth:
            return self._depth - 1
        return 1 if self.name else DEEPEST

    def _judge(self) -> None:
        literal = self._literal
        if literal.depth < self._depth:
            self._depth = 0
        if self.refuted or self.name or literal.state != "open" or literal.depth > DEEPEST:
            return
        if literal.depth == 1:
            self.refuted = refuted(literal.root, self._tools, literal.key)
            return
        path = literal.path
        if len(path) == literal.depth - 1 and path[-1] in ARGUMENTS and path[:-1] in ((), ("function",)):
            self._begin(*literal.containers[-2:])

    def _begin(self, holder: Any, arguments: Any) -> None:
        """The arguments have begun, if they are an object and the name stands before them."""
        name = name_in(holder)
        if isinstance(arguments, dict) and isinstance(name, str) and name in self._tools:
            self.name = name
            self._depth = self._literal.depth
            self.closing = "}" * (self._depth - 1)
            self._arguments.append("{")

    def _misnamed(self) -> bool:
        """Whether the first string that is being read where a key, or the name, of a call must stand begins none."""
        literal = self._literal
        if self.name or literal.depth != 1 or name_in(literal.root) is not None:
            return False
        known: Iterable[str] = KEYS
        if literal.key is not None:
            if literal.key not in NAMES:
                return False
            known = self._tools
        unread = literal.unread
        return "\\" not in unread and not any(one.startswith(unread) for one in known)  # an escape may say anything


class FunctionCall(Unit):
    """`<function=f>{...}`, from behind the name on."""

    def __init__(self, tool: Tool) -> None:
        super().__init__()
        self._tool = tool
        self._literal: Literal | None = None
        self._close = ""

    def read(self, text: str, at: int) -> int:
        if self._literal:
            return self._read_arguments(self._literal, text, at)
        if not self._close:
            at = end_of(_FUNCTION_HEAD, text, at)
        if at < len(text) and not self._close and text[at] == "{":
            self.name, self.closing = self._tool.name, FUNCTION_END
            self._literal = Literal()
            return self._read_arguments(self._literal, text, at)
        while at < len(text) and self.state == "open":
            at = self._read_close(text, at)
        return at

    def _read_arguments(self, literal: Literal, text: str, at: int) -> int:
        end = literal.read(text, at)
        self._arguments.append(text[at:end])
        if literal.state != "open":
            self._done(made(self._tool, literal.root) if literal.state == "whole" else None)
        return end

    def _read_close(self, text: str, at: int) -> int:
        """A tag closed at once is a call without arguments."""
        longer = self._close + text[at]
        if not FUNCTION_END.startswith(longer):
            self.state = "broken"
            return at
        self._close = longer
        if longer == FUNCTION_END:
            self._done(made(self._tool, {}))
        return at + 1


class CodeCall(Unit):
    """`f(a=1)`, from behind the parenthesis on. It stands alone: in a list, or on a line that ends behind it."""

    def __init__(self, tool: Tool) -> None:
        super().__init__()
        self._tool = tool
        self._literal = Literal(arguments=True)

    def read(self, text: str, at: int) -> int:
        literal = self._literal
        if literal.state == "open":
            at = literal.read(text, at)
        if literal.state == "broken":
            self.state = "broken"
        elif literal.state == "whole":
            at = end_of(_BLANKS, text, at)
            if at < len(text):
                self._done(made(self._tool, literal.root) if text[at] in ",;]\n\r<`" else None)
        return at

    def end(self) -> None:
        self._done(made(self._tool, self._literal.root) if self._literal.state == "whole" else None)
