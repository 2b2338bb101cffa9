"""What goes back: JSON in Cloudflare's envelope, with the id of the request."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from runtime.errors import EngineClosed, ModelUnavailable, QueueFull, TimedOut, TooLarge, TooSlow
from runtime.wire import envelope

if TYPE_CHECKING:
    from starlette.types import Scope

    from runtime.errors import LlamaletError

RETRY_AFTER = "2"  # seconds; on a CPU an answer takes that long at least


def request_id(scope: Scope) -> str:
    """The id under which this request is known to its client."""
    state: dict[str, Any] = scope.setdefault("state", {})
    name: str = state.setdefault("request_id", str(uuid.uuid4()))
    return name


def headers(scope: Scope) -> dict[str, str]:
    """Of every reply. The service names its requests so."""
    return {"cf-ai-req-id": request_id(scope), "cache-control": "no-store"}


def reply(scope: Scope, body: Any, status: int = 200, **extra: str) -> Response:
    """`body` as JSON. Its type has no charset: the service's own binding takes nothing else for JSON."""
    named = {key.replace("_", "-"): value for key, value in extra.items()}
    return Response(envelope.encode(body), status, headers(scope) | named, "application/json")


def refusal(scope: Scope, error: LlamaletError, *, parity: bool = False) -> Response:
    """The reply that tells of an error."""
    extra: dict[str, str] = {}
    if isinstance(error, QueueFull | EngineClosed):
        extra["retry_after"] = RETRY_AFTER
    elif isinstance(error, TimedOut | ModelUnavailable):  # clients would try again by themselves, to no avail
        extra["x_should_retry"] = "false"
    if isinstance(error, TooLarge | TooSlow):  # the rest of the body is still on its way
        extra["connection"] = "close"
    return reply(scope, envelope.failure(error, request_id(scope), parity=parity), error.status, **extra)
