"""What holds whatever a test does to an engine: nothing is left of it, and one thread calls llama.cpp."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil

from runtime.engine.llama import Context
from tests.gate import comes_true

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

CALLS = (
    "decode",
    "logits",
    "forget",
    "set_adapter",
    "free",
)  # `abort` any thread calls, `length` tests of an idle engine


def descriptors() -> int:
    """Open files and sockets of this process, where that can be told."""
    gc.collect()
    return psutil.Process().num_fds() if psutil.POSIX else 0


def resident() -> int:
    """Bytes of memory that this process and those that it started have."""
    gc.collect()
    this = psutil.Process()
    return sum(int(one.memory_info().rss) for one in (this, *this.children(recursive=True)))


def held() -> tuple[set[threading.Thread], int, set[int]]:
    """Threads, open files and processes that are there now."""
    return set(threading.enumerate()), descriptors(), {one.pid for one in psutil.Process().children(recursive=True)}


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Afterwards no thread, open file, socket or process is there that was not before."""
    threads, files, processes = held()

    def excess() -> tuple[Any, ...]:
        now = held()
        return now[0] - threads, max(0, now[1] - files), now[2] - processes

    yield
    comes_true(lambda: excess() == (set(), 0, set()))
    assert excess() == (set(), 0, set())


@dataclass
class Turns:
    """Callbacks of a loop, and the seconds of the longest."""

    count: int = 0
    longest: float = 0.0


def turns_of(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> Turns:
    """What the loop does from now on, by the processor time of its thread. asyncio's debug mode goes by the clock, and
    complains of callbacks that waited for a processor, or for Python's lock, on a busy machine."""
    turns, run = Turns(), asyncio.Handle._run

    def timed(handle: Any) -> None:
        begun = time.thread_time()
        run(handle)
        if handle._loop is loop:
            turns.count += 1
            turns.longest = max(turns.longest, time.thread_time() - begun)

    monkeypatch.setattr(asyncio.Handle, "_run", timed)
    return turns


def callers(monkeypatch: pytest.MonkeyPatch) -> dict[int, set[int]]:
    """By context, the threads that call llama.cpp with it from now on. More than one is a fault."""
    found: dict[int, set[int]] = {}

    def noting(call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(context: Context, *args: Any, **options: Any) -> Any:
            found.setdefault(id(context), set()).add(threading.get_ident())
            return call(context, *args, **options)

        return noted

    for name in CALLS:
        monkeypatch.setattr(Context, name, noting(getattr(Context, name)))
    return found
