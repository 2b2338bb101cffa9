"""The playground: one page at `/` and its files, the same for everyone.

What a model writes is shown on it, so the page can do nothing but talk to this server: it takes no script and no style
from elsewhere, or from its own text, and cannot be put into another page's frame.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import Response
from starlette.routing import Route

from runtime import store
from runtime.server.replies import reply
from runtime.wire import listing

if TYPE_CHECKING:
    from starlette.requests import Request

    from runtime.aio import AsyncRuntime
    from runtime.catalog import Catalog

FOLDER = Path(__file__).parents[1] / "playground"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",  # text can become a script or HTML nowhere, innerHTML included
    "trusted-types": "'none'",
}
HEADERS = {
    "content-security-policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",  # kept, and asked after each time: all files are of one version
}


class File(NamedTuple):
    """A file of the page. etag: of these bytes, whatever the version is called."""

    content: bytes
    kind: str
    etag: str


def routes() -> list[Route]:
    """`/`, the files that it names, which lie beside each other, and what only it asks for."""
    parts = [Route(f"/playground/{name}", page) for name in files() if name != "index.html"]
    return [Route("/", page), *parts, Route("/playground/files", models_files)]


@functools.cache
def files() -> dict[str, File]:
    """By name; read once."""
    return {path.name: _file(path) for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES}


async def page(request: Request) -> Response:
    """The page or one of its files; nothing of it where the browser has it already."""
    content, kind, etag = files()[request.url.path.rpartition("/")[2] or "index.html"]
    headers = {**HEADERS, "etag": etag}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=kind)


async def models_files(request: Request) -> Response:
    """By name of a model what Cloudflare's list has no place for: its other names, the quants whose file is here."""
    ai: AsyncRuntime = request.app.state.ai
    return reply(request.scope, {"files": await asyncio.to_thread(_here, ai.catalog)})


def _here(catalog: Catalog) -> dict[str, dict[str, list[str]]]:
    return {
        listing.name_of(spec): {"names": list(spec.aliases), "quants": [quant.name for quant in store.available(spec)]}
        for spec in catalog.models
    }


def _file(path: Path) -> File:
    content = path.read_bytes()
    return File(content, TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
