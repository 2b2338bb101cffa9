"""Output pieces -> text that may be shown.

The engine feeds the bytes of each token; what comes back are whole characters, and never the beginning of a stop
string that might still complete.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class OutputText:
    """The text of one answer, as it comes.

    Bytes that are no UTF-8 become U+FFFD. A character that is still incomplete at the end of the answer is left out:
    `max_tokens` may fall between the tokens of one character.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(stop)
        self._held = ""
        self.stopped = False

    def feed(self, piece: bytes) -> str:
        """The text that `piece` makes certain. Once a stop string is complete, `stopped` is true and no more comes."""
        if self.stopped:
            return ""
        text = self._held + self._decoder.decode(piece)
        at = self._first_stop(text)
        if at is not None:
            self.stopped, self._held = True, ""
            return text[:at]
        certain = len(text) - self._possible_stop(text)
        self._held = text[certain:]
        return text[:certain]

    def finish(self) -> str:
        """The text held back for a stop string that did not come."""
        held, self._held = self._held, ""
        return held

    def _first_stop(self, text: str) -> int | None:
        found = [at for stop in self._stop if (at := text.find(stop)) >= 0]
        return min(found, default=None)

    def _possible_stop(self, text: str) -> int:
        """The length of the longest end of `text` that begins a stop string."""
        return max((self._overlap(text, stop) for stop in self._stop), default=0)

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        longest = min(len(text), len(stop) - 1)
        return next((n for n in range(longest, 0, -1) if stop.startswith(text[-n:])), 0)
