"""Engines: what turns a `Request` into `Event`s.

Requests and events are plain values, so an engine may live in this process (`runtime.engine.scheduler`) or in
another one, and a test can put a script in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.catalog import Adapter
    from runtime.errors import EngineDied
    from runtime.values import Event, Request

Emit = Callable[["Event"], None]
OUTSIDE = ("SIGKILL", "SIGTERM")  # what an engine dies of by no fault of its own: they come from others


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What an engine is made of: files that `runtime.gguf` has checked, and sizes.

    context: KV cells (tokens) shared by all requests. slots: sequences decoded at once. queue: requests that may wait
    beyond those. threads: of llama.cpp; prompt_threads: for several tokens at once, 0 is as many. kv_type: "f16" or
    "q8_0". gpu_layers: as llama.cpp's n_gpu_layers, 0 keeps to the CPU. memory: bytes that it was planned to take,
    of which `at_once` are resident as soon as it is loaded.
    """

    model: Path
    context: int = 4096
    slots: int = 4
    queue: int = 64
    threads: int = 1
    prompt_threads: int = 0
    kv_type: str = "f16"
    gpu_layers: int = 0
    adapters: tuple[Adapter, ...] = ()
    memory: int = 0
    at_once: int = 0


class Engine(Protocol):
    """One loaded model that answers any number of requests at once. Every method may be called from any thread.

    `death` is why it has ended by itself, which only an engine in a process of its own survives.
    """

    @property
    def death(self) -> EngineDied | None: ...

    def submit(self, request: Request, emit: Emit) -> None:
        """Queue `request`. `emit` gets its events in order, the last being `Done` or `Failed`, on the engine's thread:
        it must return at once and must not raise.

        Raises `InvalidRequest`, `ContextTooLong`, `UnknownAdapter`, `QueueFull` or `EngineClosed`, after which `emit`
        is never called.
        """

    def cancel(self, request_id: str) -> None:
        """Take a request back: it ends with `Done("cancelled")` soon. One that has ended or was never known is fine."""

    def close(self) -> None:
        """Free the model. Requests still running end with `Failed(EngineClosed)`. May be called more than once."""
