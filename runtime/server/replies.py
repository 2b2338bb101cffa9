"""What goes back: JSON in Cloudflare's envelope, or OpenAI's under `/v1`, with the id of the request."""

from __future__ import annotations

import math
import re
import uuid
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from runtime.errors import EngineClosed, EngineRestarting, ModelUnavailable, QueueFull, TimedOut, TooLarge, TooSlow
from runtime.wire import envelope
from runtime.wire.openai import errors

if TYPE_CHECKING:
    from starlette.types import Scope

    from runtime.errors import LlamaletError

_CLIENT_ID = re.compile(rb"[\x21-\x7e][\x20-\x7e]{0,127}")
OPENAI = "/v1/"  # the addresses whose errors are OpenAI's: clients that know nothing of Cloudflare come there
NO_ROUTE = "No route for that URI"
RETRY_AFTER = "2"  # seconds; on a CPU an answer takes that long at least


def state(scope: Scope) -> dict[str, Any]:
    """What is known of a request: `request_id`; `user`, whose token came with it; `error`, the code that it was refused
    or ended with."""
    known: dict[str, Any] = scope.setdefault("state", {})
    return known


def request_id(scope: Scope) -> str:
    """The id under which this request is known to its client."""
    name: str = state(scope).setdefault("request_id", str(uuid.uuid4()))
    return name


def client_id(scope: Scope) -> str | None:
    """The id that the client has given the request, where it is one."""
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    return given[0].decode("ascii") if len(given) == 1 and _CLIENT_ID.fullmatch(given[0]) else None


def is_by_file(scope: Scope) -> bool:
    """Whether the request came by a socket file, and not by an address."""
    server = scope.get("server")
    return server is not None and server[1] is None


def headers(scope: Scope) -> dict[str, str]:
    """Of every reply. The service names its requests so, and OpenAI's clients look for the other name, under which a
    client's own name for its request goes back to it too."""
    named, given = request_id(scope), client_id(scope)
    other = given or (named if _is_openai(scope) else None)
    return {"cf-ai-req-id": named, "cache-control": "no-store"} | ({"x-request-id": other} if other else {})


def reply(scope: Scope, body: Any, status: int = 200, **extra: str) -> Response:
    """`body` as JSON. Its type has no charset: the service's own binding takes nothing else for JSON."""
    named = {key.replace("_", "-"): value for key, value in extra.items()}
    return Response(envelope.encode(body), status, headers(scope) | named, "application/json")


def refusal(scope: Scope, error: LlamaletError, *, parity: bool = False) -> Response:
    """The reply that tells of an error."""
    extra: dict[str, str] = {}
    if isinstance(error, QueueFull | EngineClosed):
        extra["retry_after"] = RETRY_AFTER
    elif isinstance(error, EngineRestarting):
        extra["retry_after"] = str(math.ceil(error.facts.get("seconds", 1)))
    elif isinstance(error, TimedOut | ModelUnavailable):  # clients would try again by themselves, to no avail
        extra["x_should_retry"] = "false"
    if isinstance(error, TooLarge | TooSlow):  # the rest of the body is still on its way
        extra["connection"] = "close"
    status = errors.status(error) if _is_openai(scope) else error.status
    return reply(scope, failure(scope, error, parity=parity), status, **extra)


def failure(scope: Scope, error: LlamaletError, *, parity: bool = False) -> dict[str, Any]:
    """The JSON that tells of an error, which is what became of the request, in the words of the API that was asked."""
    state(scope)["error"] = error.code
    if _is_openai(scope):
        return errors.failure(error)
    return envelope.failure(error, request_id(scope), parity=parity)


def _is_openai(scope: Scope) -> bool:
    path: str = scope["path"]
    return path.startswith(OPENAI)
