"""The control tokens of Llama 3 as text.

An engine that shows control tokens hands them on as text, and they are never part of what a user reads.
"""

from __future__ import annotations

import re

from runtime.toolcalls.literal import end_of

TAG = "<|python_tag|>"
ENDS = ("<|eom_id|>", "<|eot_id|>", "<|end_of_text|>")
BEGIN = "<|begin_of_text|>"
MARKERS = (TAG, *ENDS, BEGIN, "<|start_header_id|>", "<|end_header_id|>")
# Meta's own decoder takes the header of a message off (llama-models, models/llama3/api/chat_format.py).
HEADER = "<|start_header_id|>assistant<|end_header_id|>"

_BEGUN = frozenset(marker[:end] for marker in MARKERS for end in range(1, len(marker)))
_PLAIN = re.compile(r"[^<]*")


class Unmarked:
    """Text without markers, as it comes.

    What may be the beginning of a marker is held back, and still is when a marker inside it has been taken out: no
    order of pieces puts a marker together.
    """

    def __init__(self) -> None:
        self._begun: list[str] = []  # beginnings of markers, each inside the one before

    def feed(self, piece: str) -> str:
        shown: list[str] = []
        at = 0
        while at < len(piece):
            if not self._begun:
                end = end_of(_PLAIN, piece, at)
                shown.append(piece[at:end])
                self._begun += piece[end : end + 1]
                at = end + 1
            else:
                shown.append(self._next(piece[at]))
                at += 1
        return "".join(shown)

    def finish(self) -> str:
        held = "".join(self._begun)
        self._begun.clear()
        return held

    def _next(self, char: str) -> str:
        longer = self._begun[-1] + char
        if longer in MARKERS:
            self._begun.pop()
        elif longer in _BEGUN:
            self._begun[-1] = longer
        elif char == "<":
            self._begun.append(char)
        else:
            return self.finish() + char
        return ""
