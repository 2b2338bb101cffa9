"""The scanner that takes an answer apart into what is said and what is called.

It reads each character once, in one of these states:

    prose      text that begins nothing
    lead       blanks, brackets, fences and tags, until it is clear what they belong to
    unit       inside what may be a call
    quotation  inside a code span or block that holds no call where it begins; nothing in it is one
    code       behind a tag, where a tool for code is declared

What is read and not decided is held: the lead, and the text of the unit. A call drops both, else they are said. So the
time is linear, and how the text is cut into pieces changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.toolcalls.code import STOP, STOPS, code_tool, run
from runtime.toolcalls.lead import CLOSERS, SEPARATORS, Lead
from runtime.toolcalls.literal import end_of
from runtime.toolcalls.markers import TAG
from runtime.toolcalls.openers import (
    BLANKS,
    FENCE,
    LANGUAGE,
    MARKS,
    NO_OBJECT,
    OBJECT,
    OBJECT_OPEN,
    PROSE,
    TICKS,
    Openers,
)
from runtime.toolcalls.output import Given, Output
from runtime.toolcalls.units import FUNCTION_END, Begun, FunctionCall, ObjectCall, Unit
from runtime.tools import declared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from runtime.values import Tool, ToolCall


class ToolCallParser:
    """The calls in one answer, as its text comes.

    `feed` and `finish` give what has become certain: text to be shown, and deltas of calls. Together they are what
    `parse` gives of the whole text. `calls` has the calls so far.
    """

    def __init__(
        self,
        tools: Iterable[Mapping[str, Any] | Tool] | None,
        *,
        pinned: bool = False,
        valid: Callable[[ToolCall], bool] = lambda call: True,
    ) -> None:
        """tools: definitions in either form, or `Tool`s.

        pinned: the arguments of a call, once begun, are held to their schema by a grammar and will be whole, so that
            their text is given as it grows. Without that no call is certain, and none is given, before its end.
        valid: whether a call that is whole is one; else its text is content.
        """
        self._tools = declared(tools)
        self._openers = Openers(self._tools)
        self._code_tool = code_tool(self._tools)
        self._pinned, self._valid = pinned, valid
        self._pin: Unit | None = None  # the unit of which that holds
        self._state: Callable[[str, int], int] = self._lead
        self._tail = ""  # the end of the last piece, where what follows decides how to read it
        self._over = False
        self._between = Lead()
        self._unit = Unit()
        self._held: list[str] = []  # the text of the unit, or the code
        self._quote = ""  # what closes the quotation
        self._output = Output()

    @property
    def calls(self) -> list[ToolCall]:
        return self._output.calls

    @property
    def begun(self) -> Begun | None:
        """The call that is being read, once its arguments have begun: here a grammar can take over.

        None where they are no JSON object, and where they stand before the name.
        """
        return self._unit.begun if self._state == self._in_unit else None

    def pin(self) -> None:
        """The call that has `begun` is held to its schema from here on, and will be whole."""
        self._pin = self._unit

    def feed(self, piece: str) -> Given:
        """The content and the deltas that `piece` makes certain."""
        self._read(self._tail + piece)
        return self._output.take()

    def finish(self, *, cut: bool = False) -> Given:
        """The content and the deltas that were held back. `cut`: the answer was cut off, so that code is not whole."""
        self._over = True
        self._read(self._tail)
        if self._state == self._in_unit:
            self._unit.end()
            self._settle()
        if self._state == self._code:
            self._end_code(cut=cut)
        self._output.say(self._between.finish())
        return self._output.finish()

    def _read(self, text: str) -> None:
        self._tail = ""
        at = 0
        while at < len(text):
            at = self._state(text, at)

    def _wait(self, text: str, at: int) -> int:
        self._tail = text[at:]
        return len(text)

    # The states, and what they branch into: each reads on in `text` from `at`, and gives the index behind what it read.

    def _prose(self, text: str, at: int) -> int:
        end = end_of(PROSE, text, at)
        self._output.say(text[at:end])
        if end < len(text):
            self._state = self._lead
        return end

    def _lead(self, text: str, at: int) -> int:
        char, between = text[at], self._between
        if char.isspace():
            return self._add(text, at, end_of(BLANKS, text, at))
        if char == "{":
            return self._brace(text, at)
        if between.takes_language and (end := end_of(LANGUAGE, text, at)) > at:
            return self._add(text, at, end)
        if char == "`":
            return self._ticks(text, at)
        if char == "[":
            if between.opens_list:  # a list of lists is none of calls
                self._spill(prose=True)
            return self._add(text, at, at + 1)
        if between.after_call and char in SEPARATORS + CLOSERS + ('"' if between.in_function else ""):
            between.close(char)
            return at + 1
        return self._opener(text, at)

    def _add(self, text: str, at: int, end: int) -> int:
        self._between.add(text[at:end])
        return end

    def _brace(self, text: str, at: int) -> int:
        if broken := NO_OBJECT.match(text, at):  # much faster than a unit, where hostile text is full of them
            self._held.append(broken[0])
            self._say_no_call()
            return broken.end()
        if OBJECT.match(text, at):
            return self._begin(ObjectCall(self._tools), at)
        return self._begin_prose(text, at) if self._over or not OBJECT_OPEN.match(text, at) else self._wait(text, at)

    def _ticks(self, text: str, at: int) -> int:
        """A fence may go with a call, and so may a span that is the whole answer. Other spans quote."""
        end = end_of(TICKS, text, at)
        ticks = text[at:end]
        if ticks != FENCE and end == len(text) and not self._over:
            return self._wait(text, at)
        if ticks == self._between.fence:
            self._between.close(ticks)
        elif ticks == FENCE or not self._between.said:
            self._between.add(ticks)
        else:
            self._spill(prose=True)
            self._output.say(ticks)
            self._quote, self._state = ticks, self._quotation
        return end

    def _opener(self, text: str, at: int) -> int:
        if text[at] != "<" and not self._may_call():
            return self._begin_prose(text, at)
        opener = self._openers.at(text, at)
        if not opener and not self._over and self._openers.may_come(text, at):
            return self._wait(text, at)
        end = at + len(opener)
        if opener == TAG:
            self._between.tag()
        elif opener == FUNCTION_END and self._between.in_function:
            self._between.close_function()
        elif opener.startswith("<function=") or (opener.endswith("(") and self._may_call(opener)):
            self._held.append(opener)
            return self._begin(self._openers.unit(opener), end)
        elif opener not in MARKS:
            return self._begin_prose(text, at)
        return end

    def _may_call(self, opener: str = ".call(") -> bool:
        """Whether code that calls may stand here: not in a sentence. `.call(` is Meta's own, and may begin any line."""
        between = self._between
        free = not between.said or between.after_call or between.tagged or between.opens_list
        return free or (between.ends_line and opener.endswith(".call("))

    def _begin(self, unit: Unit, at: int) -> int:
        self._unit, self._state = unit, self._in_unit
        return at

    def _begin_prose(self, text: str, at: int) -> int:
        if self._between.tagged and self._code_tool and text[at] != "{":
            self._begin_code()
            return at
        self._spill(prose=True)
        self._output.say(text[at])
        self._state = self._quotation if self._quote else self._prose
        return at + 1

    def _spill(self, *, prose: bool) -> None:
        self._quote = self._between.quote or self._quote
        self._output.say(self._between.spill(prose=prose))

    def _in_unit(self, text: str, at: int) -> int:
        unit = self._unit
        end = unit.read(text, at)
        self._held.append(text[at:end])
        if unit.refuted:
            self._show()
        elif unit.name and (self._pinned or unit is self._pin):
            self._output.stream(unit.name, unit.more_arguments())
        if unit.state != "open":
            self._settle()
        return end

    def _settle(self) -> None:
        """The unit is over."""
        unit = self._unit
        if unit.call and self._valid(unit.call):
            self._call(unit.call, in_function=isinstance(unit, FunctionCall) and unit.name is not None)
        elif self._output.streams:  # what has been given is not taken back
            self._output.end_stream(unit.arguments)
            self._drop()
        elif self._between.tagged and self._code_tool and not isinstance(unit, ObjectCall):
            self._begin_code()
        else:
            self._say_no_call()

    def _say_no_call(self) -> None:
        self._show()
        self._state = self._quotation if self._quote else self._prose

    def _call(self, call: ToolCall, *, in_function: bool = False) -> None:
        self._output.call(call)
        self._drop(in_function=in_function)

    def _drop(self, *, in_function: bool = False) -> None:
        self._held.clear()
        self._between.drop(in_function=in_function)
        self._state = self._lead

    def _show(self) -> None:
        """What is held is no call."""
        self._spill(prose=False)
        self._output.say("".join(self._held))
        self._held.clear()

    def _quotation(self, text: str, at: int) -> int:
        end = text.find(self._quote, at)
        line = text.find("\n", at, end if end >= 0 else None) if self._quote != FENCE else -1
        if line >= 0 or end >= 0:
            end = line if line >= 0 else end + len(self._quote)
            self._quote, self._state = "", self._prose
            self._output.say(text[at:end])
            return end
        certain = len(text) if self._over else max(at, len(text.rstrip("`")))
        self._output.say(text[at:certain])
        return self._wait(text, certain)

    def _begin_code(self) -> None:
        self._held.insert(0, self._between.untag())
        self._state = self._code

    def _code(self, text: str, at: int) -> int:
        stop = STOP.search(text, at)
        if stop:
            self._held.append(text[at : stop.start()])
            self._end_code()
            return stop.start()
        last = text.rfind("<", at)
        open_stop = last >= 0 and not self._over and any(stop.startswith(text[last:]) for stop in STOPS)
        certain = last if open_stop else len(text)
        self._held.append(text[at:certain])
        return self._wait(text, certain)

    def _end_code(self, *, cut: bool = False) -> None:
        code = "".join(self._held)
        call = run(self._code_tool, code) if self._code_tool and code.strip() and not cut else None
        if call and self._valid(call):
            self._call(call)
        else:
            self._show()
            self._state = self._lead
