"""The routes: Cloudflare's addresses -> runs of the models."""

from __future__ import annotations

import asyncio
import contextlib
import logging
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
    EngineClosed,
    EngineError,
    LlamaletError,
    NoRoute,
    UnknownModel,
    WrongMethod,
)
from runtime.server import batches, native, openai, playground
from runtime.server.guards import ACCOUNT, MAX_BODY, Access, Guard, check_account, check_inputs, read_body
from runtime.server.logs import Traced
from runtime.server.metrics import Metrics, metrics
from runtime.server.replies import NO_ROUTE, refusal, reply
from runtime.server.streams import EventStream, Native, until_gone
from runtime.server.turns import Turns, bounded
from runtime.wire import envelope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from runtime.aio import AsyncRuntime
    from runtime.settings import Settings

log = logging.getLogger("llamalet.server")

RUN = "/ai/run/{model:path}"
HINT = (
    "llamalet answers POST /ai/run/{model} and /ai/v1/chat/completions, GET /ai/models/search, /ai/models/schema, "
    "/ai/tasks/search, /ai/authors/search and /ai/finetunes, with or without /client/v4/accounts/{id}, "
    "/v1/chat/completions, /v1/completions, /v1/responses, GET /v1/models, /, /healthz, /readyz, /loaded and /metrics"
)


def application(
    ai: AsyncRuntime,
    *,
    model: str | None = None,
    loaded: Callable[[Exception | None], None] = lambda error: None,
    is_ending: Callable[[], bool] = lambda: False,
) -> Starlette:
    """An ASGI application that answers with `ai`, and closes it in the end. Raises `ConfigError`.

    model: loaded at the start; `loaded` is told when it is there, or why not. is_ending: whether nobody new is to come.
    """
    counted, access = Metrics(ai), Access.of(ai.settings)
    ai.observe(Turns(counted, access.tokens, ai.settings.slots))
    app = Starlette(
        routes=[
            Route(f"{ACCOUNT}{RUN}", run, methods=["POST"]),
            Route(RUN, run, methods=["POST"]),
            *native.ROUTES,
            *openai.ROUTES,
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/loaded", loaded_models),
            Route("/metrics", metrics),
            *([] if ai.settings.parity else playground.routes()),  # the service has no page there
        ],
        middleware=_middleware(ai.settings, access, counted),
        exception_handlers={
            LlamaletError: _refused,
            HTTPException: _not_routed,
            ClientDisconnect: _left,
            Exception: _failed,
        },
        lifespan=lambda app: _life(app, model, loaded),
    )
    app.router.redirect_slashes = False  # a redirected POST loses its body in many clients
    app.state.ai, app.state.loading, app.state.batches = ai, None, batches.Batches(ai)
    app.state.metrics, app.state.is_ending = counted, is_ending
    return app


def _middleware(settings: Settings, access: Access, counted: Metrics) -> list[Middleware]:
    """Outermost first."""
    if settings.log_prompts:
        log.warning("log_prompts is set: whoever reads the log reads what users ask")
    found = [Middleware(Traced, counted.ended), Middleware(Guard, access, parity=settings.parity)]
    if access.origins:
        shown = ("cf-ai-req-id", "retry-after", "x-request-id")
        allowed: dict[str, Any] = {"allow_methods": ("GET", "POST"), "allow_headers": ("*",), "expose_headers": shown}
        found.insert(1, Middleware(CORSMiddleware, allow_origins=access.origins, **allowed))
    return found


async def run(request: Request) -> Any:
    """Answer a body with a model, whole or as a stream, or take a batch of them in.

    The service takes batches for other models only; so in parity there are none.
    """
    ai: AsyncRuntime = request.app.state.ai
    check_account(request)
    model, kept = request.path_params["model"], request.app.state.batches
    is_queued = not ai.settings.parity and request.query_params.get("queueRequest", "false") != "false"
    try:
        sent = await read_body(request, batches.MAX_BODY if is_queued else MAX_BODY)
        body = envelope.decode(sent)
        if is_queued or (batches.is_poll(body) and not ai.settings.parity):
            return reply(request.scope, kept.take(model, body, len(sent)))
        check_inputs(body)
        job = bounded(await ai.prepare(model, body), ai.settings.wait)
    except UnknownModel as error:
        raise NoRoute(NO_ROUTE, str(error)) from None
    if job.inputs.stream:
        return EventStream(ai, (job,), Native())
    result = await until_gone(request.receive, ai.answer(job))
    noted = () if ai.settings.parity else (job.inputs.ignored, job.inputs.deprecated)
    return reply(request.scope, envelope.success(result, *noted))


async def healthz(request: Request) -> Response:
    """The process lives."""
    return reply(request.scope, {"status": "ok"})


async def readyz(request: Request) -> Response:
    """Whether the model that was to be loaded at the start is there, and the server is not about to end."""
    if request.app.state.is_ending():
        return reply(request.scope, {"status": "ending"}, 503, retry_after="1")
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
        await app.state.batches.close()
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
    """A fault of ours, which the server logs. uvicorn closes the connection then, so its client is told not to use it
    again."""
    response = await _refused(request, EngineError("Internal error.", "The server's log says more."))
    response.headers["connection"] = "close"
    return response
