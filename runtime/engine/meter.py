"""How long the grammar of one request may compute.

No call into llama.cpp can be broken off, and every step of the engine's thread holds all its requests up. What a
grammar costs is bounded by its shape before it runs (`runtime.grammar.limits`); this is for what passes there and is
slow all the same. Time is that of the thread on a processor, so that a machine with much else to do is no fault.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from runtime.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds. On a desktop machine 0.25 for one token was seen to part what is slow from what never ends; a Raspberry Pi is
# four times slower.
TOKEN_SECONDS = 1.0
REQUEST_SECONDS = 10.0

_HINT = (
    "Simplify the schema: fewer alternatives that begin alike, fewer optional properties, fewer values in an enum, or "
    "shorter lengths and patterns."
)


class Meter:
    """Adds up what is spent in `with meter:` blocks, one within another too, for a token and for the whole request.

    What is too much is raised as an `EngineError` where more would begin, and by `check` within a block.
    """

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        """clock: seconds that this thread has computed."""
        self._clock = clock
        self._depth = 0
        self._begun = self._token = self._all = 0.0

    def next_token(self) -> None:
        """What was spent until now was for another token."""
        self._token = 0.0

    def check(self) -> None:
        """Within a block: raises `EngineError` when there was too much until now."""
        self._add()
        self._refuse()

    def _refuse(self) -> None:
        for spent, most, what in (
            (self._token, TOKEN_SECONDS, "one token"),
            (self._all, REQUEST_SECONDS, "one answer"),
        ):
            if spent > most:
                raise EngineError(
                    f"The grammar of the answer took {spent:.1f} s of computing for {what}; it may take {most:g} s.",
                    _HINT,
                )

    def _add(self) -> None:
        now = self._clock()
        self._token += now - self._begun
        self._all += now - self._begun
        self._begun = now

    def __enter__(self) -> Self:
        if not self._depth:
            self._refuse()
            self._begun = self._clock()
        self._depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._add()
