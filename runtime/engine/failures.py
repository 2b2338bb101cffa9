"""What goes wrong in one request, kept from the others: errors that its caller is told, and callers that raise some."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from runtime.errors import EngineError, LlamaletError

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.engine import Emit
    from runtime.values import Event, Request

log = logging.getLogger("llamalet.engine")


def as_ours(error: Exception) -> LlamaletError:
    """For a request's caller. What is no error of ours is a bug, which the log tells: its text may have some of a
    prompt in it, so only its kind is told."""
    if isinstance(error, LlamaletError):
        return error
    log.error("a bug of ours", exc_info=error)
    return EngineError(f"The engine failed: {type(error).__name__}.", "The log says more.")


def quietly(emit: Emit, request: Request, cancel: Callable[[str], None]) -> Emit:
    """`emit`, of which nothing that it raises reaches the engine's thread, where others' requests are: its own one is
    cancelled."""

    def tell(event: Event) -> None:
        try:
            emit(event)
        except Exception:
            log.exception("nobody takes the events of request %s: it is cancelled", request.id)
            cancel(request.id)

    return tell
