"""How many requests of one caller may wait, and for how long: so that nobody fills the queue that all stand in."""

from __future__ import annotations

import contextlib
import ipaddress
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runtime.errors import QueueFull
from runtime.observer import Observer
from runtime.server import logs
from runtime.server.replies import is_by_file
from runtime.values import Done, Failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Scope

    from runtime.catalog import ModelSpec
    from runtime.engine import Emit
    from runtime.pipeline import Job
    from runtime.server.logs import Trace
    from runtime.server.tokens import Tokens
    from runtime.values import Event

WAITING = 4  # requests of one caller


def bounded(job: Job, seconds: float) -> Job:
    """The job, which may wait for a place no longer than that."""
    return replace(job, request=replace(job.request, max_wait=seconds))


@dataclass(eq=False, frozen=True, slots=True)
class _Turn:
    """A run, from when it is asked for until it ends. caller: None is held to nothing; trace: of its request, which may
    have several runs."""

    caller: str | None
    trace: Trace | None


class Turns(Observer):
    """Knows the runs of each model in the order in which they came, and refuses those of callers who have `WAITING`
    requests behind the first `slots` already: engines answer in this order. What happens is told to `then`.
    """

    def __init__(self, then: Observer, tokens: Tokens | None, slots: int) -> None:
        self._then, self._tokens, self._slots = then, tokens, slots
        self._lock = threading.Lock()
        self._order: dict[str, list[_Turn]] = {}

    def has_loaded(self, spec: ModelSpec, seconds: float) -> None:
        self._then.has_loaded(spec, seconds)

    def has_unloaded(self, spec: ModelSpec) -> None:
        self._then.has_unloaded(spec)

    @contextlib.contextmanager
    def run(self, job: Job, emit: Emit) -> Iterator[Emit]:
        model, trace = job.choice.spec.id, logs.current()
        turn = _Turn(None if trace is None else caller(trace.scope, trace.user, self._tokens), trace)
        with self._then.run(job, emit) as tell:

            def leave_at_the_end(event: Event) -> None:
                if isinstance(event, Done | Failed):
                    self._leave(model, turn)
                tell(event)

            self._enter(model, turn)
            try:
                yield leave_at_the_end
            except BaseException:
                self._leave(model, turn)
                raise

    def _enter(self, model: str, turn: _Turn) -> None:
        with self._lock:
            order = self._order.setdefault(model, [])
            waiting = {one.trace for one in order[self._slots :] if one.caller == turn.caller}
            waits = len(order) >= self._slots and turn.trace not in waiting
            if turn.caller is not None and waits and len(waiting) >= WAITING:
                raise QueueFull(
                    f"{len(waiting)} of your requests wait already; of one caller {WAITING} may.",
                    "Try again when one of them is answered.",
                )
            order.append(turn)

    def _leave(self, model: str, turn: _Turn) -> None:
        with self._lock:
            order = self._order.get(model, [])
            if turn in order:
                order.remove(turn)
            if not order:
                self._order.pop(model, None)


def caller(scope: Scope, user: str, tokens: Tokens | None) -> str | None:
    """Who is held to the bound: of several tokens the name of this one, or else the address of another machine, of
    IPv6 its first half, which is what a network is given. Nobody on this machine."""
    if is_by_file(scope):
        return None
    if tokens is not None and len(tokens.known) > 1:
        return f"token {user}"
    client = scope.get("client")
    if not client:
        return None
    address = ipaddress.ip_address(client[0].partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback:
        return None
    return str(address) if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
