"""Who may come in, and how much they may send.

A server on loopback is in reach of every page in the user's browser. A page can send it simple requests without
asking, and by rebinding a name of its own to 127.0.0.1 it could read the answers too. So the Host header must name this
machine, and a request that comes from a page, which its Origin header tells, is refused unless that page is allowed, or
is this server's own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.errors import (
    BadAccount,
    BadHeader,
    Forbidden,
    HeadTooLarge,
    LlamaletError,
    NoToken,
    TooLarge,
    TooSlow,
    Unsupported,
    WrongToken,
)
from runtime.server.replies import is_by_file, refusal, state
from runtime.server.tokens import Tokens

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from runtime.settings import Settings

ACCOUNT = "/client/v4/accounts/{account_id}"  # Cloudflare's addresses are here with it, and without
OPEN = ("/", "/healthz", "/readyz")  # say nothing that needs a token
OPEN_FILE = re.compile(r"/playground/[a-z]+\.(?:css|js|svg)")  # of the page at /, which sends a token itself
HEAD_BYTES = 32 * 1024  # of a request's line and headers
HEADERS = 100  # at most; browsers and SDKs send about twenty
MAX_BODY = 1024 * 1024  # bytes: far more text than any context holds
DISCARDED = 16 * MAX_BODY  # read and thrown away, so that the client is through with sending and reads why
BODY_SECONDS = 30.0

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Access:
    """What is asked of whoever comes in. hosts: names in lower case, besides localhost. origins: of pages that
    may call. tokens: None asks for none."""

    tokens: Tokens | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Access:
        """Raises `ConfigError` for a token that cannot be used."""
        return cls(Tokens.of(settings), settings.hosts, settings.origins)


class Guard:
    """ASGI middleware that lets in only what `access` allows, before a byte of the body is read."""

    def __init__(self, app: ASGIApp, access: Access, *, parity: bool = False) -> None:
        self._app, self._access, self._parity = app, access, parity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                check(scope, self._access)
            except LlamaletError as error:
                refused = refusal(scope, error, parity=self._parity)
                if _has_two_lengths(scope):  # so where the next request begins is anybody's guess
                    refused.headers["connection"] = "close"
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)


def check(scope: Scope, access: Access) -> None:
    """Raises `HeadTooLarge`, `Forbidden`, `BadHeader`, `NoToken` or `WrongToken`. Whose token it is stays with the
    request.

    Who comes by the socket file is the user who started the server, as the file's mode sees to: no token is asked for,
    and clients name any host.
    """
    _check_size(scope)
    if _has_two_lengths(scope):
        what = "A body has a Content-Length, or in HTTP/1.1 a Transfer-Encoding, and never both."
        raise BadHeader("Invalid request headers", what)
    by_file = is_by_file(scope)
    if not by_file:
        _check_host(scope, access)
    origin = _header(scope, b"origin")
    if origin is not None and origin.lower() not in access.origins and (by_file or not _is_own(origin, scope)):
        raise Forbidden(
            "Unauthorized to access requested resource", f"The page {origin[:80]!r} is not in the setting `origins`."
        )
    if access.tokens is not None and not _is_open(scope["path"]) and not by_file:
        state(scope)["user"] = _owner(scope, access.tokens)


def _owner(scope: Scope, tokens: Tokens) -> str:
    """Whose token it is. Raises `NoToken` or `WrongToken`."""
    given = _given_token(scope)
    if given is None:
        raise NoToken("Missing X-Auth-Key, X-Auth-Email or Authorization headers")
    owner = tokens.owner(given)
    if owner is None:
        if b'"' in given:  # most likely those of a file that a shell should have taken off
            raise _bad_format()
        raise WrongToken("Authentication error")
    return owner


def check_account(request: Request) -> None:
    """An account's id, where the address has one, is 32 hexadecimal digits; all are the same to us. Raises
    `BadAccount`."""
    account, path = request.path_params.get("account_id"), request.scope["path"]
    if account is not None and not re.fullmatch("[0-9a-f]{32}", account, re.IGNORECASE):
        raise BadAccount(
            f"Could not route to {path[:200]}, perhaps your object identifier is invalid?",
            f"An account id has 32 hexadecimal digits; any will do, such as {'0' * 32}.",
        )


def check_inputs(inputs: Any) -> None:
    """What is never taken over HTTP. Raises `Unsupported`."""
    if isinstance(inputs, dict) and inputs.get("grammar") is not None:
        raise Unsupported("grammar is for callers in Python only.", "Ask for response_format with a JSON Schema.")


async def read_body(request: Request, most: int = MAX_BODY) -> bytes:
    """The whole body. Raises `TooLarge` for one over `most` bytes, `TooSlow` for one that takes too long."""
    body, size = bytearray(), _content_length(request)
    too_large = TooLarge(f"Request is too large: the body has more than {most} bytes.", "Shorten the prompt.")
    if size > DISCARDED or (size > most and "expect" in request.headers):  # which waits for leave to send
        raise too_large
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= most:
                    body += chunk
                elif size > DISCARDED:
                    break
    except TimeoutError:
        raise TooSlow(f"Request timeout: the body did not come within {BODY_SECONDS:g} seconds.") from None
    if size > most:
        raise too_large
    return bytes(body)


def _content_length(request: Request) -> int:
    """What the client announces; 0 if nothing."""
    return int(request.headers.get("content-length", 0))  # digits, as the HTTP parser has seen to


def _has_two_lengths(scope: Scope) -> bool:
    """Whether a proxy before us could have read another body than we do, and smuggled a request in its place."""
    names = {name for name, _ in scope["headers"]}
    is_old = scope.get("http_version", "1.1") in ("0.9", "1.0")  # where nobody else knows chunks
    return b"transfer-encoding" in names and (is_old or b"content-length" in names)


def _check_size(scope: Scope) -> None:
    """A head that comes all at once is not held to its size by the HTTP parser."""
    fields = scope["headers"]
    size = sum(len(name) + len(value) + 4 for name, value in fields)
    size += len(scope.get("raw_path", b"")) + len(scope.get("query_string", b""))
    if len(fields) > HEADERS or size > HEAD_BYTES:
        raise HeadTooLarge(
            "Invalid request headers",
            f"The head has {len(fields)} headers and {size} bytes; at most {HEADERS} and {HEAD_BYTES} are taken.",
        )


def _check_host(scope: Scope, access: Access) -> None:
    """The name must be one of this machine: else a page could have made it one for itself."""
    host = _header(scope, b"host") or ""
    found = _HOST.fullmatch(host.lower())
    if not found:
        raise BadHeader("Invalid request headers", "There must be one Host header, with a name and perhaps a port.")
    if found[1] not in ("localhost", *access.hosts) and not _is_address(found[1]):
        raise Forbidden(
            "Unauthorized to access requested resource", f"The host {host[:80]!r} is not in the setting `hosts`."
        )


def _is_own(origin: str, scope: Scope) -> bool:
    """Whether the page came from the address that the request goes to.

    `_check_host` has let that address in: it is no name that a page could have rebound to this machine. Another port is
    another program, whose pages are strangers.
    """
    return origin.lower() == f"{scope.get('scheme', 'http')}://{_header(scope, b'host')}".lower()


def _is_open(path: str) -> bool:
    return path in OPEN or OPEN_FILE.fullmatch(path) is not None


def _is_address(host: str) -> bool:
    """Whether it is an IP address: what a page rebinds is a name. 0.0.0.0 is none, yet browsers take it to loopback."""
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False


def _given_token(scope: Scope) -> bytes | None:
    """The token as any of Cloudflare's clients sends it."""
    bearer = _header(scope, b"authorization")
    if bearer is not None:
        scheme, _, token = bearer.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _bad_format()
        return token.strip().encode("latin-1")
    key = _header(scope, b"x-auth-key") or _header(scope, b"x-auth-user-service-key")
    return None if key is None else key.encode("latin-1")


def _bad_format() -> BadHeader:
    """The gateway's words for a token that it does not even look at."""
    what = "Invalid format for Authorization header"
    return BadHeader("Invalid request headers", what, chain=(6111, what))


def _header(scope: Scope, name: bytes) -> str | None:
    """The value of a header that may be there once."""
    values = [value for key, value in scope["headers"] if key == name]
    if len(values) > 1:
        raise BadHeader("Invalid request headers", f"There are {len(values)} {name.decode()} headers.")
    return values[0].decode("latin-1") if values else None
