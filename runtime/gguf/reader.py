"""The bytes at the start of a GGUF file, taken one value after the other.

No count in the file is believed before the bytes it speaks of are known to exist, so memory stays bounded whatever the
file says.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from runtime.errors import ModelBroken, ModelMissing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK = 1 << 20  # bytes read at once
_HEADER_MAX = 64 << 20  # bytes; the header of a Llama 3 file takes 8 MB, nearly all of it vocabulary

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
INT32, FLOAT32, STRING, ARRAY = 5, 6, 8, 9  # gguf_type

_AGAIN = "Fetch it again."
_NOT_GGUF = (  # how some other files start, in lower case; what they are; what to do
    (
        b"version https://git-lfs",
        "a git-lfs pointer, not the file it stands for",
        "Run `git lfs pull`, or fetch the file.",
    ),
    (b"<!doctype", "a web page", "Fetch it again, from the file's own address."),
    (b"<html", "a web page", "Fetch it again, from the file's own address."),
    (b"{", "JSON text, such as a server's error message", _AGAIN),
    (b"pk\x03\x04", "a zip archive, such as a PyTorch checkpoint", "Take the GGUF file of this model."),
    (b"\0\0\0\0", "zero bytes, as of a download that was never filled", _AGAIN),
)


@dataclass(frozen=True, slots=True)
class Array:
    """An array in the metadata, left in the file: `count` values of GGUF type `kind`, from byte `start` on."""

    kind: int
    count: int
    start: int


class Reader:
    """The start of a file, read on as more of it is asked for.

    Read and not mapped: a file that shrinks under a map kills the process (SIGBUS).
    """

    def __init__(self, file: BinaryIO, path: Path, size: int) -> None:
        self.path, self.size = path, size
        self._file = file
        self._buffer = bytearray()
        self.at = 0

    def broken(self, problem: str, hint: str = _AGAIN) -> ModelBroken:
        return ModelBroken(f"{self.path} {problem}", hint)

    def need(self, count: int, what: str) -> None:
        """Have `count` bytes from `at` in the buffer."""
        end = self.at + count
        if end > self.size:
            raise self.broken(f"is cut short: {what} reaches to byte {end:,}, and the file ends at byte {self.size:,}.")
        if end > _HEADER_MAX:
            raise self.broken(f"is damaged: {what} reaches to byte {end:,}; a header ends before {_HEADER_MAX:,}.")
        while len(self._buffer) < end:
            chunk = self._file.read(_CHUNK)
            if not chunk:
                raise self.broken(f"shrank while it was read: it had {self.size:,} bytes, now {len(self._buffer):,}.")
            self._buffer += chunk

    def peek(self, count: int) -> bytes:
        """The next bytes, fewer at the end of the file."""
        count = min(count, self.size - self.at)
        self.need(count, "the next bytes")
        return bytes(self._buffer[self.at : self.at + count])

    def number(self, code: str, what: str) -> Any:
        size = struct.calcsize(code)
        self.need(size, what)
        (value,) = struct.unpack_from(code, self._buffer, self.at)
        self.at += size
        return value

    def text(self, what: str) -> str:
        data = self.data(what)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise self.broken(f"is damaged: {what} is not UTF-8, but {data[:40]!r}.") from None

    def data(self, what: str) -> bytes:
        length = self.number("<Q", f"the length of {what}")
        self.need(length, what)
        self.at += length
        return bytes(self._buffer[self.at - length : self.at])

    def array(self, what: str) -> Array:
        """Pass over an array, checking that it is all there."""
        kind, count = self.number("<I", f"the type of {what}"), self.number("<Q", f"the length of {what}")
        array = Array(kind, count, self.at)
        if kind != STRING and kind not in SCALARS:
            raise self.broken(f"is damaged: {what} is an array of unknown type {kind}.")
        width = 8 if kind == STRING else struct.calcsize(SCALARS[kind])
        self.need(count * width, f"{what}, an array of {count:,}")
        if kind != STRING:
            self.at += count * width
            return array
        for _ in self._spans(count, what):
            pass
        return array

    def strings(self, array: Array, what: str) -> list[bytes]:
        """The strings of an array that was passed over before."""
        self.at = array.start
        return [bytes(self._buffer[start:end]) for start, end in self._spans(array.count, what)]

    def int32(self, array: Array, index: int) -> int:
        """One value of an array of them that was passed over before."""
        (value,) = struct.unpack_from("<i", self._buffer, array.start + 4 * index)
        return int(value)

    def _spans(self, count: int, what: str) -> Iterator[tuple[int, int]]:
        """Start and end of each string. For a Llama 3 file the loop runs 400,000 times, hence few calls in it."""
        unpack, buffer, ready = struct.Struct("<Q").unpack_from, self._buffer, len(self._buffer)
        for _ in range(count):
            if self.at + 8 > ready:
                self.need(8, what)
                ready = len(buffer)
            start = self.at + 8
            self.at = end = start + unpack(buffer, self.at)[0]
            if end > ready:
                self.at = start
                self.need(end - start, f"a string in {what}")
                self.at, ready = end, len(buffer)
            yield start, end


@contextmanager
def open_reader(path: Path) -> Iterator[Reader]:
    """A reader behind the magic of a GGUF file; what the system refuses becomes one of our errors."""
    try:
        if path.exists() and not path.is_file():
            kind = "a directory" if path.is_dir() else "no ordinary file"
            raise ModelBroken(f"{path} is {kind}, expected a GGUF file.", "Name the model's file.")
        with path.open("rb") as file:
            reader = Reader(file, path, file.seek(0, 2))
            file.seek(0)
            _expect_magic(reader)
            yield reader
    except FileNotFoundError:
        raise ModelMissing(f"There is no file {path}.", "Fetch the model first.") from None
    except OSError as error:
        raise ModelBroken(f"{path} cannot be read: {error.strerror or error}.", "Mend that, then try again.") from error


def _expect_magic(reader: Reader) -> None:
    if not reader.size:
        raise reader.broken("is empty, expected a GGUF file.")
    head = reader.peek(64)
    if head[:4] == b"GGUF":
        reader.at = 4
        return
    start = head.lstrip().lower()
    for magic, name, hint in _NOT_GGUF:
        if start.startswith(magic):
            raise reader.broken(f"is {name}; expected a GGUF file.", hint)
    raise reader.broken(f"is no GGUF file: it starts with {head[:8]!r}, expected b'GGUF'.")
