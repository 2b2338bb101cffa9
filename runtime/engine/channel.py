"""What an engine's process and the one that started it say to each other: frames of a length and a pickled message.

Whoever started the process does not trust it, since a model's file may have taken it over: of what it sends, only plain
values and our own errors are made.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import io
import pickle
import queue
import struct
import threading
from dataclasses import dataclass, is_dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO

from runtime.errors import EngineError, LlamaletError, TooLarge
from runtime.values import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.engine import EngineConfig
    from runtime.values import Event, Request

MOST = 64 << 20  # bytes of a frame: a body over HTTP has 1 MiB, and an answer less
_LENGTH = struct.Struct("=I")
_KNOWN = ("runtime.values", "runtime.errors", "runtime.engine.channel")

# -- to the engine's process -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """The first. page: address of the `Page` to count in. level: of the log records to send back."""

    config: EngineConfig
    page: str
    level: int


@dataclass(frozen=True, slots=True)
class Submit:
    """`Engine.submit`. What belongs to the request bears its number from then on."""

    number: int
    request: Request


@dataclass(frozen=True, slots=True)
class Cancel:
    """`Engine.cancel`."""

    id: str


# -- from the engine's process ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """The process has bound itself to so many bytes."""

    memory: int


@dataclass(frozen=True, slots=True)
class Loading:
    """From 0.0 to 1.0."""

    done: float


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded."""


@dataclass(frozen=True, slots=True)
class Broken:
    """It cannot be loaded; the process ends."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Begun:
    """The process has taken a request up, to see whether it can be answered."""

    number: int


@dataclass(frozen=True, slots=True)
class Taken:
    """The request is in the engine."""

    number: int


@dataclass(frozen=True, slots=True)
class Refused:
    """It is not."""

    number: int
    error: Exception


@dataclass(frozen=True, slots=True)
class Logged:
    """A record of the process's log."""

    name: str
    level: int
    text: str


def told(number: int, event: Event) -> tuple[int, Event | str]:
    """The message of an event of a request: there is one for each token, and a bare text is pickled in a tenth of the
    time that a `Text` takes."""
    return number, event.text if isinstance(event, Text) and not event.logprobs else event


def portable(error: BaseException) -> Exception:
    """The error as the other side may make it."""
    if isinstance(error, LlamaletError | MemoryError):
        return error
    return EngineError(f"The engine failed: {error!r}.")


class Outbox:
    """Sends messages from a thread of its own, all that are there in one write. Safe from any thread."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._frames: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, message: Any) -> None:
        """Returns at once; what the other side is too late for is dropped. Raises `TooLarge`, and what pickle raises
        for what is no plain value."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        if len(data) > MOST:
            raise TooLarge(
                f"A request of {len(data):,} bytes is more than the {MOST:,} that go to an engine's process."
            )
        self._frames.put(_LENGTH.pack(len(data)) + data)

    def close(self) -> None:
        """Send what is there, then close the stream, whose end the other side sees. May be called more than once."""
        self._frames.put(None)

    def join(self) -> None:
        """Wait until that is done."""
        self._thread.join()

    def _run(self) -> None:
        frames: list[bytes | None] = []
        with contextlib.suppress(OSError):  # nobody is there any more, as whoever reads from there finds out too
            while None not in frames:
                frames = [self._frames.get()]
                while not self._frames.empty():
                    frames.append(self._frames.get())
                self._stream.write(b"".join(frame for frame in frames if frame))
                self._stream.flush()
        with contextlib.suppress(OSError):
            self._stream.close()


def messages(stream: BinaryIO, *, trusted: bool) -> Iterator[Any]:
    """What the other side sends, until its end. Raises `EngineError` for what is no message."""
    while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        if length > MOST:
            raise EngineError(f"The engine's process sent a frame of {length:,} bytes, of {MOST:,} that it may have.")
        if len(data := stream.read(length)) < length:
            return
        yield pickle.loads(data) if trusted else _read(data)  # noqa: S301 - of the process that started this one


def _read(data: bytes) -> Any:
    try:
        return _Wary(io.BytesIO(data)).load()
    except Exception as error:
        raise EngineError(f"The engine's process sent what is no message: {error!r}.") from error


class _Wary(pickle.Unpickler):
    """Makes nothing but our values, our errors and Python's."""

    def find_class(self, module: str, name: str) -> type:
        return _known(module, name)


@lru_cache
def _known(module: str, name: str) -> type:
    if module == "builtins":
        found = getattr(builtins, name, None)
        if isinstance(found, type) and issubclass(found, Exception):
            return found
    elif module in _KNOWN:
        found = vars(importlib.import_module(module)).get(name)
        if isinstance(found, type) and (is_dataclass(found) or issubclass(found, LlamaletError)):
            return found
    raise pickle.UnpicklingError(f"{module}.{name} is nothing that an engine sends")
