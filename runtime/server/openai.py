"""The routes of OpenAI's API. What they run is Workers AI's."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from starlette.responses import Response
from starlette.routing import Route

from runtime.errors import NoRoute, Unsupported, WrongMethod
from runtime.server.guards import ACCOUNT, check_account, read_body
from runtime.server.replies import NO_ROUTE, reply, request_id
from runtime.server.streams import EventStream, Script, until_gone
from runtime.server.turns import bounded
from runtime.wire import envelope
from runtime.wire.listing import name_of
from runtime.wire.openai import chat, completions, models, responses
from runtime.wire.openai.events import Responses
from runtime.wire.openai.head import Head

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from runtime.aio import AsyncRuntime
    from runtime.pipeline import Job
    from runtime.wire.openai.body import Asked

# Cloudflare's address, the short one beside /ai/run, and OpenAI's own.
PREFIXES = (f"{ACCOUNT}/ai/v1", "/ai/v1", "/v1")


class Shape(Script, Protocol):
    """How answers are written, as a stream or whole."""

    def whole(self, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The JSON of all runs together."""


async def chat_completions(request: Request) -> Any:
    """Chat completions, whole or as a stream."""
    asked = chat.read(await _body(request), parity=_ai(request).settings.parity)
    jobs = await _prepared(request, asked)
    return await _answered(request, jobs, chat.Chat(asked, _head(request, jobs)))


async def text_completions(request: Request) -> Any:
    """Completions of raw text, whole or as a stream."""
    _beyond_parity(request, NoRoute(NO_ROUTE))
    asked = completions.read(await _body(request))
    jobs = await _prepared(request, asked)
    return await _answered(request, jobs, completions.Completions(asked, _head(request, jobs)))


async def create_response(request: Request) -> Any:
    """Responses, whole or as a stream."""
    _beyond_parity(request, NoRoute(NO_ROUTE))
    asked = responses.read(await _body(request))
    jobs = await _prepared(request, asked)
    return await _answered(request, jobs, Responses(asked, _head(request, jobs)))


async def embeddings(request: Request) -> Any:
    """There are none."""
    await _body(request)
    raise Unsupported("embeddings is not supported: the models here write text, and none makes embeddings.")


async def list_models(request: Request) -> Response:
    """The catalogue."""
    _check(request)
    return reply(request.scope, models.listed(_ai(request).catalog))


async def one_model(request: Request) -> Response:
    """One model of the catalogue, by its id or another name."""
    _check(request)
    return reply(request.scope, models.model(_ai(request).catalog.find(request.path_params["model"]).spec))


def _check(request: Request) -> None:
    check_account(request)
    _beyond_parity(request, WrongMethod("GET not supported for requested URI."))


def _beyond_parity(request: Request, error: Exception) -> None:
    """Raise the error that the service gives where it has no such thing, if it shall be as there."""
    if _ai(request).settings.parity:
        raise error


def _ai(request: Request) -> AsyncRuntime:
    ai: AsyncRuntime = request.app.state.ai
    return ai


async def _body(request: Request) -> Any:
    check_account(request)
    return envelope.decode(await read_body(request))


async def _prepared(request: Request, asked: Asked) -> list[Job]:
    """The runs that are asked for. Their answers have all that there is to tell, whatever the parity, as text."""
    jobs = [await _ai(request).prepare(asked.model, body) for body in asked.bodies]
    wait = _ai(request).settings.wait
    return [bounded(replace(job, parity=False, as_text=True), wait) for job in jobs]


def _head(request: Request, jobs: Sequence[Job]) -> Head:
    return Head(request_id(request.scope), int(time.time()), name_of(jobs[0].choice.spec))


async def _answered(request: Request, jobs: Sequence[Job], shape: Shape) -> Any:
    if jobs[0].inputs.stream:
        return EventStream(_ai(request), jobs, shape)
    results = await until_gone(request.receive, _side_by_side(_ai(request), jobs))
    return Response() if results is None else reply(request.scope, shape.whole(results))  # nobody reads the first


async def _side_by_side(ai: AsyncRuntime, jobs: Sequence[Job]) -> list[Any]:
    """The answers of all; when one fails, or nobody waits any more, the others end."""
    tasks = [asyncio.ensure_future(ai.answer(job)) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


ROUTES = [
    Route(f"{prefix}/{path}", endpoint, methods=[method])
    for prefix in PREFIXES
    for method, path, endpoint in (
        ("POST", "chat/completions", chat_completions),
        ("POST", "completions", text_completions),
        ("POST", "responses", create_response),
        ("POST", "embeddings", embeddings),
        ("GET", "models", list_models),
        ("GET", "models/{model:path}", one_model),
    )
]
