"""The routes: Cloudflare's addresses -> runs of the models."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from runtime.errors import (
    BadAccount,
    EngineClosed,
    EngineError,
    LlamaletError,
    NoRoute,
    UnknownModel,
    Unsupported,
    WrongMethod,
)
from runtime.server.guards import Access, Guard, read_body
from runtime.server.replies import refusal, reply
from runtime.server.streams import EventStream, until_gone
from runtime.wire import envelope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from runtime.aio import AsyncRuntime

log = logging.getLogger("llamalet.server")

RUN = "/ai/run/{model:path}"
NO_ROUTE = "No route for that URI"
HINT = (
    "llamalet answers POST /ai/run/{model}, with or without /client/v4/accounts/{id}, GET /healthz, /readyz and /loaded"
)


def application(
    ai: AsyncRuntime,
    *,
    model: str | None = None,
    loaded: Callable[[Exception | None], None] = lambda error: None,
) -> Starlette:
    """An ASGI application that answers with `ai`, and closes it in the end. Raises `ConfigError`.

    model: loaded at the start; `loaded` is told when it is there, or why not.
    """
    access = Access.of(ai.settings)
    middleware = [Middleware(Guard, access, parity=ai.settings.parity)]
    if access.origins:
        shown = ("cf-ai-req-id", "retry-after")
        allowed: dict[str, Any] = {"allow_methods": ("GET", "POST"), "allow_headers": ("*",), "expose_headers": shown}
        middleware.insert(0, Middleware(CORSMiddleware, allow_origins=access.origins, **allowed))
    app = Starlette(
        routes=[
            Route(f"/client/v4/accounts/{{account_id}}{RUN}", run, methods=["POST"]),
            Route(RUN, run, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/loaded", loaded_models),
        ],
        middleware=middleware,
        exception_handlers={
            LlamaletError: _refused,
            HTTPException: _not_routed,
            ClientDisconnect: _left,
            Exception: _failed,
        },
        lifespan=lambda app: _life(app, model, loaded),
    )
    app.router.redirect_slashes = False  # a redirected POST loses its body in many clients
    app.state.ai, app.state.loading = ai, None
    return app


async def run(request: Request) -> Any:
    """Answer a body with a model, whole or as a stream."""
    ai: AsyncRuntime = request.app.state.ai
    _check_account(request.path_params.get("account_id"), request.scope["path"])
    if request.query_params.get("queueRequest", "false") != "false":
        raise Unsupported("queueRequest is not supported yet.", "Leave it out: the answer comes at once.")
    body = envelope.decode(await read_body(request))
    if isinstance(body, dict) and body.get("grammar") is not None:
        raise Unsupported("grammar is for callers in Python only.", "Ask for response_format with a JSON Schema.")
    try:
        job = await ai.prepare(request.path_params["model"], body)
    except UnknownModel as error:
        raise NoRoute(NO_ROUTE, str(error)) from None
    if job.inputs.stream:
        return EventStream(ai, job)
    result = await until_gone(request.receive, ai.answer(job))
    noted = () if ai.settings.parity else (job.inputs.ignored, job.inputs.deprecated)
    return reply(request.scope, envelope.success(result, *noted))


async def healthz(request: Request) -> Response:
    """The process lives."""
    return reply(request.scope, {"status": "ok"})


async def readyz(request: Request) -> Response:
    """Whether the model that was to be loaded at the start is there."""
    loading: asyncio.Task[bool] | None = request.app.state.loading
    if loading is None or (loading.done() and loading.result()):
        return reply(request.scope, {"status": "ready"})
    return reply(request.scope, {"status": "failed" if loading.done() else "loading"}, 503, retry_after="1")


async def loaded_models(request: Request) -> Response:
    """What is in memory, for `llamalet ps`. Asking prolongs nothing."""
    ai: AsyncRuntime = request.app.state.ai
    return reply(request.scope, {"loaded": [asdict(one) for one in ai.loaded()]})


@contextlib.asynccontextmanager
async def _life(app: Starlette, model: str | None, loaded: Callable[[Exception | None], None]) -> AsyncIterator[None]:
    if model is not None:
        app.state.loading = asyncio.create_task(_load(app.state.ai, model, loaded))
    try:
        yield
    finally:
        await app.state.ai.close()


async def _load(ai: AsyncRuntime, model: str, loaded: Callable[[Exception | None], None]) -> bool:
    """Whether it is there now."""
    try:
        await ai.load(model)
    except EngineClosed:
        log.info("the server ended before the model was loaded")
        return False
    except Exception as error:  # whatever it is, the caller is told
        loaded(error)
        return False
    loaded(None)
    return True


def _check_account(account: str | None, path: str) -> None:
    """An account's id is 32 hexadecimal digits; all are the same to us."""
    if account is not None and not re.fullmatch("[0-9a-f]{32}", account, re.IGNORECASE):
        raise BadAccount(
            f"Could not route to {path[:200]}, perhaps your object identifier is invalid?",
            f"An account id has 32 hexadecimal digits; any will do, such as {'0' * 32}.",
        )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, LlamaletError)  # noqa: S101 - as it is registered
    return refusal(request.scope, error, parity=request.app.state.ai.settings.parity)


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as it is registered
    wrong_method = error.status_code == WrongMethod.status
    method = f"{request.method[:20]} not supported for requested URI."
    response = await _refused(request, WrongMethod(method) if wrong_method else NoRoute(NO_ROUTE, HINT))
    response.headers.update(error.headers or {})  # which methods there are
    return response


async def _left(request: Request, error: Exception) -> Response:
    """The client went away while it sent its body: nobody reads this."""
    return Response()


async def _failed(request: Request, error: Exception) -> Response:
    """A fault of ours, which the server logs."""
    return await _refused(request, EngineError("Internal error.", "The server's log says more."))
