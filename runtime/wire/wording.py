"""The service's own words for what went wrong, where it has some for it.

From its page of errors (developers.cloudflare.com/workers-ai/platform/errors); of 3040, 5021 and 5024 as they were
seen, which is otherwise than there. Clients look for them, so they stand before ours; in parity they stand alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime import errors
from runtime.wire.body import cut

if TYPE_CHECKING:
    from runtime.errors import LlamaletError

_BUSY = "Capacity temporarily exceeded, please try again."
_TOKENS = "Ai: The estimated number of input and maximum output tokens ({tokens}) exceeded this model"

# The first that an error is one of counts.
_WORDS: dict[type[LlamaletError], str] = {
    errors.ContextTooLong: f"{_TOKENS} context window limit ({{context}}).",
    errors.DocumentRefused: errors.NOT_MET,
    errors.NoBody: "Request is missing headers or body: {what}",
    errors.TooLarge: "Request is too large",
    errors.TimedOut: "Request timeout",
    errors.Cancelled: "Request was aborted",
    errors.QueueFull: _BUSY,
    errors.UnknownAdapter: "The model {model} does not support LoRa inference",
    errors.UnknownModel: "No such model {model} or task",
}
# "Try again" would be no good advice here, where the memory is what it is: so they are for parity alone.
_WORDS_OF_PARITY: dict[type[LlamaletError], str] = {errors.DoesNotFit: _BUSY}


def worded(error: LlamaletError, *, parity: bool) -> str:
    """What is said of an error. In parity without a hint."""
    ours = error.message if parity else str(error)
    known = _WORDS | (_WORDS_OF_PARITY if parity else {})
    pattern = next((words for kind, words in known.items() if isinstance(error, kind)), None)
    theirs = None if pattern is None else _filled(pattern, error.facts)
    if theirs is None or (not parity and ours.startswith(theirs)):
        return ours
    if parity:
        return theirs
    return f"{theirs} {ours}" if theirs.endswith(".") else f"{theirs}: {ours}"


def _filled(pattern: str, facts: dict[str, Any]) -> str | None:
    """None where who raised the error did not know them."""
    try:
        return pattern.format_map({name: cut(str(fact)) for name, fact in facts.items()})
    except KeyError:
        return None
