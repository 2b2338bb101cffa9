"""A file that has come in part: its bytes, and the hash of them so far.

Beside it, `<name>.from`, stands where the bytes came from and the server's ETag, so that they are gone on with only
where the file behind the address is still the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.store.progress import Meter

CHUNK = 1 << 20  # bytes read at once


class Part:
    """The part at `path`, made if it is not there. Reading what is there already gives the hash its start."""

    def __init__(self, path: Path, total: int, meter: Meter) -> None:
        self.path, self.total, self.size = path, total, 0
        self._origin = path.with_name(path.name.removesuffix(".part") + ".from")
        self._hash = hashlib.sha256()
        self.earlier = 0  # bytes at its start that an earlier pull has left
        path.touch()
        # Not buffered: what has come is on the disk, or in the system's hands, when the process is killed.
        self._file = path.open("r+b", buffering=0)
        try:
            self._take_up(meter)
        except BaseException:
            self._file.close()
            raise

    def _take_up(self, meter: Meter) -> None:
        if self.path.stat().st_size:
            meter.begin("checking", 0, self.total)
        while chunk := self._file.read(CHUNK):
            self._hash.update(chunk)
            self.size += len(chunk)
            meter.at(self.size)
        self.earlier = self.size
        if self.size > self.total:
            self.restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def sha256(self) -> str:
        """Of all bytes that are here."""
        return self._hash.hexdigest()

    @property
    def missing(self) -> int:
        """Bytes."""
        return self.total - self.size

    def write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:  # an unbuffered file may take less than all
            written = self._file.write(view)
            self._hash.update(view[:written])
            self.size += written
            view = view[written:]

    def restart(self) -> None:
        """Throw away what is here."""
        self._file.seek(0)
        self._file.truncate()
        self._hash, self.size, self.earlier = hashlib.sha256(), 0, 0

    def comes_from(self, url: str, etag: str | None) -> None:
        """What follows comes from there. A weak ETag says nothing of bytes, and is left out."""
        strong = etag if etag and not etag.startswith("W/") else None
        self._origin.write_text(json.dumps({"url": url, "etag": strong}), "utf-8")

    def etag(self, url: str) -> str | None:
        """The ETag that the bytes here had at this address, if they are from there."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            origin = json.loads(self._origin.read_text("utf-8"))
            return origin.get("etag") if origin.get("url") == url else None
        return None

    def finish(self) -> None:
        """Have all of it on the disk itself, whatever happens to the machine next."""
        os.fsync(self._file.fileno())
        self._file.close()
        self._origin.unlink(missing_ok=True)
