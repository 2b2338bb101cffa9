"""A page of memory that two processes see: the engine's counts in it say that it goes on."""

from __future__ import annotations

import mmap
import os
import secrets
import struct
import sys
import tempfile
from typing import Self

SIZE = 4096
NODES, BEATS = 0, 64  # where the counts are: 32 bits of what llama.cpp has computed, 64 of what Python has done


class Page:
    """Made by the one who watches, and opened by the other from its `address`."""

    def __init__(self, memory: mmap.mmap, address: str, fd: int | None = None) -> None:
        self.memory, self.address, self.fd = memory, address, fd

    @classmethod
    def new(cls) -> Self:
        """`fd`, where there is one, must be handed on to the process that opens it."""
        if sys.platform == "win32":
            name = f"llamalet-{secrets.token_hex(16)}"
            return cls(mmap.mmap(-1, SIZE, tagname=name), name)
        fd = _file()
        os.ftruncate(fd, SIZE)
        return cls(mmap.mmap(fd, SIZE), str(fd), fd)

    @classmethod
    def open(cls, address: str) -> Self:
        """The page of that address, in the process that it was made for."""
        if sys.platform == "win32":
            return cls(mmap.mmap(-1, SIZE, tagname=address), address)
        fd = int(address)
        memory = mmap.mmap(fd, SIZE)
        os.close(fd)
        return cls(memory, address)

    def counts(self) -> tuple[int, int]:
        """Whatever has changed since the last time, the engine is at work."""
        (nodes,) = struct.unpack_from("=I", self.memory, NODES)
        (beats,) = struct.unpack_from("=Q", self.memory, BEATS)
        return nodes, beats

    def close_fd(self) -> None:
        """Once it is handed on."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def close(self) -> None:
        self.close_fd()
        self.memory.close()


def _file() -> int:
    """A descriptor of a file without a name: in memory where that can be had, since the system writes others to disk
    again and again."""
    if sys.platform == "linux" and hasattr(os, "memfd_create"):
        return os.memfd_create("llamalet")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
