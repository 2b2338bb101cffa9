"""The pulse of an engine: counts that advance while it works, and the word that ends the batch it is in.

llama.cpp calls an abort callback at every node of its graph, and what it is called with is ours to choose. On Linux it
is C's own `sem_post`: it adds one to a semaphore, and fails, which ends the batch, once the semaphore is full. So one
native function counts and ends, without Python and without a lock. Where a semaphore does not look as it does in glibc
and musl, the callback is `strlen`, which ends the batch once its text is not empty, and only Python counts.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
import threading
from typing import Any

from runtime.engine.llama.binding import c
from runtime.engine.page import BEATS, NODES, SIZE

FULL = 0x7FFFFFFF  # SEM_VALUE_MAX
HIGH = 1 << 30  # long before it is full by counting, which takes about a day, it is set back


def _libc() -> Any:
    return ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)


def counts_nodes() -> bool:
    """Whether a semaphore's value is the first 32 bits of it, and `sem_post` does with them what is said above."""
    if sys.platform != "linux":
        return False
    memory = mmap.mmap(-1, SIZE)
    value, semaphore = ctypes.c_uint32.from_buffer(memory), ctypes.byref(ctypes.c_char.from_buffer(memory))
    try:
        post, seen = _libc().sem_post, [_libc().sem_init(semaphore, 0, 5)]
        for start in (5, 0, FULL - 1, FULL):
            value.value = start
            seen += [post(semaphore), value.value]
    except AttributeError:  # a C library that is none of the two
        return False
    return seen == [0, 0, 6, 0, 1, 0, FULL, -1, FULL]


COUNTS_NODES = counts_nodes()


class Pulse:
    """Safe from any thread. With the `memory` of a `runtime.engine.page.Page`, another process sees the counts."""

    def __init__(self, memory: mmap.mmap | None = None) -> None:
        self._memory = mmap.mmap(-1, SIZE) if memory is None else memory
        self._nodes = ctypes.c_uint32.from_buffer(self._memory, NODES)
        self._beats = ctypes.c_uint64.from_buffer(self._memory, BEATS)
        # Reentrant, since the garbage collector may drop a stream, which may abort a batch, in the middle of anything.
        self._lock = threading.RLock()
        argument = ctypes.byref(self._nodes)
        if COUNTS_NODES:
            _libc().sem_init(argument, 0, 0)
        function = _libc().sem_post if COUNTS_NODES else _libc().strlen
        # llama.cpp's abort callback and what it is called with.
        self.callback = ctypes.cast(function, c.ggml_abort_callback)
        self.argument = ctypes.cast(argument, ctypes.c_void_p)

    def beat(self) -> None:
        """Python has done something."""
        self._beats.value += 1

    def abort(self, on: bool) -> None:
        """End the batch that is being decoded, and each one until this is called with False."""
        with self._lock:
            if on:
                self._nodes.value = FULL if COUNTS_NODES else 1
            elif self.aborts:
                self._nodes.value = 0

    @property
    def aborts(self) -> bool:
        return self._nodes.value == (FULL if COUNTS_NODES else 1)

    @property
    def nodes(self) -> int:
        """What llama.cpp has computed, where that is counted."""
        return self._nodes.value

    def settle(self) -> None:
        """Call before each batch: counting alone shall never end one."""
        with self._lock:
            if self._nodes.value > HIGH and not self.aborts:
                self._nodes.value = 0
