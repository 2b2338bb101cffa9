"""What stands before, between and behind calls, held until it is clear whether it belongs to them."""

from __future__ import annotations

from runtime.toolcalls.openers import FENCE

SEPARATORS = ";,"
CLOSERS = "]}"  # the list's own, and one brace too many
SIGNS = SEPARATORS + CLOSERS + '["'


class Lead:
    """Blanks, brackets, fences, separators and tags since the last prose or call.

    said: prose came before. after_call: a call was the last that came. fence: what closes the code span or block that
    the last call stands in. in_function: the last call was in `<function=`, and has not been closed.

    quote: the backticks that came, which open a quotation unless a call follows. takes_language: they are a fence, and
    the name of a language may go on. opens_list: a bracket was the last but blanks. ends_line: new lines came.
    """

    def __init__(self) -> None:
        self.said = False
        self.after_call = False
        self.fence = ""
        self.in_function = False
        self._gap = ""  # the blanks before the first of the calls in a row
        self._brackets = 0  # opened before a call, to be closed
        self._clear()

    def _clear(self) -> None:
        self.quote = ""
        self.takes_language = self.opens_list = self.ends_line = False
        self._pieces: list[str] = []
        self._tag: int | None = None  # how many pieces came before it

    @property
    def tagged(self) -> bool:
        return self._tag is not None

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        if piece.isspace():
            self.ends_line = self.ends_line or "\n" in piece
            self.takes_language = False
            return
        self.opens_list = piece == "["
        if piece[0] in SIGNS:
            self.takes_language = False
        elif not self.quote:  # else it is the language
            self.quote = piece
            self.takes_language = piece == FENCE

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
        self._clear()

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
        self._clear()
        return text

    def finish(self) -> str:
        """The end of the text follows."""
        text = "".join(self._pieces)
        return "" if self.after_call and not text.strip(SEPARATORS + CLOSERS + " \t\r\n") else self.spill(prose=True)
