"""Engines: what turns a `Request` into `Event`s.

Requests and events are plain values, so an engine may live in this process (`runtime.engine.scheduler`) or in
another one, and a test can put a script in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from runtime.values import Event, Request

Emit = Callable[["Event"], None]


class Engine(Protocol):
    """One loaded model that answers any number of requests at once. Every method may be called from any thread."""

    @property
    def context(self) -> int:
        """Tokens that all live requests share, prompts and answers together."""

    def submit(self, request: Request, emit: Emit) -> None:
        """Queue `request`. `emit` gets its events in order, the last being `Done` or `Failed`, on the engine's thread:
        it must return at once and must not raise.

        Raises `InvalidRequest`, `ContextTooLong`, `UnknownAdapter`, `QueueFull` or `EngineClosed`, after which `emit`
        is never called.
        """

    def cancel(self, request_id: str) -> None:
        """Take a request back: it ends with `Done("cancelled")` soon. One that has ended or was never known is fine."""

    def close(self) -> None:
        """Free the model. Requests still running end with `Failed(EngineClosed)`. May be called more than once."""
