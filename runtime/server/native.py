"""The rest of Workers AI's own API beside runs: what there is, by what schemas, and in which adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from runtime.errors import InvalidRequest, Unsupported
from runtime.server.guards import ACCOUNT, check_account
from runtime.server.replies import reply
from runtime.wire import envelope, listing, published

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from runtime.aio import AsyncRuntime


async def models(request: Request) -> Response:
    """The catalogue, by the published filters."""
    ai = _let_in(request)
    return reply(request.scope, listing.models(ai.catalog, request.query_params, parity=ai.settings.parity))


async def schema(request: Request) -> Response:
    """The published schemas of a model's inputs and of its answers."""
    ai = _let_in(request)
    name = request.query_params.get("model")
    if not name:
        raise InvalidRequest("model: must be given, found nothing.", "Add ?model=@cf/meta/llama-3.2-1b-instruct.")
    spec = ai.catalog.find(name).spec
    return reply(request.scope, envelope.success(published.schemas(spec.id)))


async def tasks(request: Request) -> Response:
    """What the models are for."""
    ai = _let_in(request)
    return reply(request.scope, listing.tasks(request.query_params, parity=ai.settings.parity))


async def authors(request: Request) -> Response:
    """Who made the models."""
    ai = _let_in(request)
    return reply(request.scope, listing.authors(ai.catalog, request.query_params, parity=ai.settings.parity))


async def finetunes(request: Request) -> Response:
    """The LoRA adapters of the catalogue."""
    ai = _let_in(request)
    return reply(request.scope, listing.finetunes(ai.catalog, request.query_params, parity=ai.settings.parity))


async def public_finetunes(request: Request) -> Response:
    """The same adapters."""
    ai = _let_in(request)
    return reply(request.scope, listing.public_finetunes(ai.catalog, request.query_params, parity=ai.settings.parity))


async def no_new_finetunes(request: Request) -> Response:
    """An adapter is this machine's own: none comes over HTTP."""
    _let_in(request)
    raise Unsupported(
        "Creating finetunes is not supported: no file comes in over HTTP.",
        "Name the adapter's GGUF file in the server's models.toml.",
    )


def _let_in(request: Request) -> AsyncRuntime:
    """What to answer with. Raises `BadAccount`."""
    check_account(request)
    ai: AsyncRuntime = request.app.state.ai
    return ai


ROUTES = [
    Route(prefix + path, endpoint, methods=[method])
    for prefix in ("", ACCOUNT)
    for method, path, endpoint in (
        ("GET", "/ai/models/search", models),
        ("GET", "/ai/models/schema", schema),
        ("GET", "/ai/tasks/search", tasks),
        ("GET", "/ai/authors/search", authors),
        ("GET", "/ai/finetunes", finetunes),
        ("POST", "/ai/finetunes", no_new_finetunes),
        ("GET", "/ai/finetunes/public", public_finetunes),
        ("POST", "/ai/finetunes/{finetune}/finetune-assets", no_new_finetunes),
    )
]
