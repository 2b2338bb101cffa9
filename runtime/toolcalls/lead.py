"""What stands before, between and behind calls, held until it is clear whether it belongs to them."""

from __future__ import annotations

from runtime.toolcalls.openers import FENCE

SEPARATORS = ";,"
CLOSERS = "]}"  # the list's own, and one brace too many


class Lead:
    """Blanks, brackets, fences, separators and tags since the last prose or call.

    said: prose came before. after_call: a call was the last that came. fence: what closes the code span or block that
    the last call stands in. in_function: the last call was in `<function=`, and has not been closed.
    """

    def __init__(self) -> None:
        self.said = False
        self.after_call = False
        self.fence = ""
        self.in_function = False
        self._pieces: list[str] = []
        self._tag: int | None = None  # how many pieces came before it
        self._gap = ""  # the blanks before the first of the calls in a row
        self._brackets = 0

    @property
    def tagged(self) -> bool:
        return self._tag is not None

    @property
    def quote(self) -> str:
        """The backticks in here, which open a quotation unless a call follows."""
        return next((piece for piece in self._pieces if piece.startswith("`")), "")

    @property
    def opens_list(self) -> bool:
        return next((piece == "[" for piece in reversed(self._pieces) if not piece.isspace()), False)

    @property
    def takes_language(self) -> bool:
        """The name of a language may follow: a fence is the last that came, but for that name's beginning."""
        return self.quote == FENCE and not self._pieces[-1].isspace() and self._pieces[-1] != "["

    @property
    def ends_line(self) -> bool:
        return any("\n" in piece for piece in self._pieces)

    def add(self, piece: str) -> None:
        self._pieces.append(piece)

    def tag(self) -> None:
        self._tag = len(self._pieces)

    def untag(self) -> str:
        """Takes the tag back, and what came behind it, which is returned."""
        text = "".join(self._pieces[self._tag :])
        del self._pieces[self._tag :]
        self._tag = None
        return text

    def close(self, sign: str) -> None:
        """Takes a sign that may close what was opened before the call."""
        if sign == "]" and self._brackets:
            self._brackets -= 1
        elif sign == self.fence:
            self.fence = ""
        else:
            self.add(sign)

    def close_function(self) -> None:
        """`</function>`, and the quote before it that Llama 3 likes to add."""
        self.in_function = False
        self._pieces = [piece for piece in self._pieces if piece != '"']

    def drop(self, *, in_function: bool = False) -> None:
        """A call follows."""
        text = "".join(self._pieces)
        if not self.after_call and self.said:
            self._gap = text[: len(text) - len(text.lstrip())]
        self._brackets += self._pieces.count("[")
        self.fence = self.quote or self.fence
        self.after_call, self.in_function = True, in_function
        self._pieces.clear()
        self._tag = None

    def spill(self, *, prose: bool) -> str:
        """No call follows: the text, to be said. Without `prose` what follows was meant as a call all the same.

        Calls leave no trace in what is said: of the blanks before and behind them one is enough.
        """
        text = "".join(self._pieces)
        if self.after_call:
            if not prose:
                text = "".join(piece for piece in self._pieces if piece not in SEPARATORS)
            if not self.said:
                text = text.lstrip()
            elif not text[:1].isspace():
                text = self._gap + text
        self.said, self.after_call = True, False
        self._pieces.clear()
        self._tag = None
        return text

    def finish(self) -> str:
        """The end of the text follows."""
        text = "".join(self._pieces)
        return "" if self.after_call and not text.strip(SEPARATORS + CLOSERS + " \t\r\n") else self.spill(prose=True)
