"""One line a request in the log: who asked for what, and what became of it. Nothing of a prompt, unless a setting asks
for that, and never a token."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import json
import logging
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.routing import Match, Route

from runtime.errors import EngineError, LlamaletError
from runtime.server.replies import client_id, is_by_file, request_id, state
from runtime.values import Done, Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from runtime.settings import Settings

log = logging.getLogger("llamalet.access")
LOGGERS = ("llamalet.access", "llamalet.server")  # said by `llamalet serve` though the library is quiet
CANCEL_SECONDS = 2.0  # that the run of a client who has left has to end, so that its tokens are in the line

_current: ContextVar[Trace | None] = ContextVar("llamalet request", default=None)


def current() -> Trace | None:
    """That of the request that this task answers, if it answers one; none for what was begun by a request, and goes on
    when that has ended."""
    trace = _current.get()
    return None if trace is None or trace.is_over else trace


@dataclass(eq=False)
class Trace:
    """What becomes of one request, as the event loop of its server sees it.

    path: as the route has it, with names in the place of what clients put there; "" where there is no such route.
    model: by its name in the catalogue. status: None until the reply begins. finish: how the last run ended. queued,
    first: seconds until the prompt of the first run was begun to be read, and until the first piece of an answer was
    there. Tokens are those of all its runs; `runs` are those that have not ended.
    """

    scope: Scope
    path: str
    params: Mapping[str, Any]
    started: float = field(default_factory=time.monotonic)
    model: str = ""
    status: int | None = None
    error: int | None = None
    finish: str | None = None
    queued: float | None = None
    first: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    prompts: list[str] = field(default_factory=list)
    has_left: bool = False
    is_over: bool = False
    _is_whole: bool = False
    runs: set[object] = field(default_factory=set)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _rest: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, scope: Scope) -> Trace:
        """The trace of a request that has just come."""
        for route in scope["app"].routes:
            match, found = route.matches(scope)
            if match is not Match.NONE and isinstance(route, Route):
                return cls(scope, route.path_format, found["path_params"])
        return cls(scope, "", {})

    @property
    def surface(self) -> str:
        """Which API was spoken: native, openai, or the server's own."""
        if "/v1/" in self.path:
            return "openai"
        return "native" if "/ai/" in self.path else "server"

    @property
    def user(self) -> str:
        """Whose token came with it."""
        name: str = state(self.scope).get("user", "")
        return name

    @property
    def outcome(self) -> str:
        """ok; cancelled, where the client has left; else the error's code, or the status where it has none."""
        if self.has_left:
            return "cancelled"
        code = state(self.scope).get("error", self.error)
        if code is not None:
            return str(code)
        return "ok" if self.status is not None and self.status < 400 else str(self.status or 500)

    # -- what is told of it, in the event loop -------------------------------------------------------------------------

    def wrote(self, now: float) -> None:
        """The first piece of an answer is there."""
        self.first = now - self.started if self.first is None else self.first

    def ended(self, run: object, event: Done | Failed, seconds: float) -> None:
        """A run has ended, so long after it was asked for."""
        if isinstance(event, Failed):
            self.error = event.error.code if isinstance(event.error, LlamaletError) else EngineError.code
        else:
            if self.queued is None:  # what the engine did not compute: a load, tokenizing, and the wait for a place
                self.queued = max(0.0, seconds - event.timings.prompt - event.timings.decode)
            self.finish = event.finish_reason
            self.prompt_tokens += event.usage.prompt_tokens
            self.completion_tokens += event.usage.completion_tokens
            self.cached_tokens += event.usage.cached_tokens
        self.leaves(run)

    def leaves(self, run: object) -> None:
        """A run has ended, or not begun."""
        self.runs.discard(run)
        if not self.runs:
            self._rest.set()

    def sees(self, message: Message) -> None:
        """What goes to the client, or comes from it."""
        if message["type"] == "http.response.start" and not self.has_left:
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self._is_whole = not message.get("more_body", False)
        elif message["type"] == "http.disconnect" and not self._is_whole:
            self.has_left = True

    async def rest(self) -> None:
        """Until the runs of a client who has left are cancelled, but not for long."""
        if self.runs:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._rest.wait(), CANCEL_SECONDS)

    def fields(self) -> dict[str, Any]:
        """For the log; what is None or empty is left out."""
        total = time.monotonic() - self.started
        known = {
            "id": request_id(self.scope),
            "client_id": client_id(self.scope),
            "peer": _peer(self.scope),
            "user": self.user,
            "method": self.scope["method"][:20],
            "path": self.path,
            "model": self.model,
            "status": self.status,
            "outcome": self.outcome,
            "finish": self.finish,
            "prompt_tokens": self.prompt_tokens or None,
            "cached_tokens": self.cached_tokens if self.prompt_tokens else None,
            "completion_tokens": self.completion_tokens if self.prompt_tokens else None,
            "queued": self.queued,
            "first": self.first,
            "total": total,
            "prompt": "\n".join(self.prompts),
        }
        return {name: _short(value) for name, value in known.items() if value is not None and value != ""}


class Traced:
    """ASGI middleware around all others: follows each request to its end, tells `ended`, and writes the line."""

    def __init__(self, app: ASGIApp, ended: Callable[[Trace], None]) -> None:
        self._app, self._ended = app, ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = Trace.of(scope)
        _current.set(trace)

        async def sent(message: Message) -> None:
            trace.sees(message)
            await send(message)

        async def received() -> Message:
            message = await receive()
            trace.sees(message)
            return message

        try:
            await self._app(scope, received, sent)
            if trace.has_left:
                await trace.rest()
        except Exception:
            trace.status, trace.error = EngineError.status, EngineError.code
            raise
        finally:
            trace.is_over = True
            self._ended(trace)
            if log.isEnabledFor(logging.INFO):
                fields = trace.fields()
                log.info("%s", _line(fields), extra={"fields": fields})


class JsonLines(logging.Formatter):
    """Each record as a JSON object in a line of its own: time in UTC, level, logger, and its fields or its message."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)  # noqa: UP017 - reads the same
        shown = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        shown |= getattr(record, "fields", None) or {"message": record.getMessage()}
        if record.exc_info:
            shown["exception"] = self.formatException(record.exc_info)
        return json.dumps(shown, ensure_ascii=True)


def show(settings: Settings) -> None:
    """Let the server's loggers be read, as `llamalet serve` does: a line a request, unless the user has said which
    level the log has."""
    if settings.origin("log") == "default":
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.INFO)
    if settings.log_format == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())


def _peer(scope: Scope) -> str:
    """What kind of client: on this machine by its address or the socket file, or elsewhere."""
    if is_by_file(scope):
        return "unix"
    client = scope.get("client")
    if not client:
        return "unknown"
    address = ipaddress.ip_address(client[0].partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return "loopback" if (mapped or address).is_loopback else "remote"


def _short(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


def _line(fields: Mapping[str, Any]) -> str:
    """As `name=value`; what has more in it than a word is in quotes, and escaped as in JSON."""
    return " ".join(f"{name}={_word(value)}" for name, value in fields.items())


def _word(value: Any) -> str:
    text = str(value)
    plain = text.isascii() and text.isprintable() and not set(text) & set(' "=\\')
    return text if plain else json.dumps(text)
