"""What is remembered of files: the hash each had when it was read, and when it was last used.

A small file a model file, in the user's state folder, so that models in a cache that may only be read have theirs too.
A hash holds as long as size and time of change are those that the file had. Losing a record costs a second reading.
The inode is left out: in a container image, on an overlay and on exFAT the same file gets another one, and gigabytes
would be read at each start. A file of the same size and date with other bytes is what `verify` is for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import uuid
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from runtime import folders

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    """size in bytes and changed in nanoseconds, as they were when sha256 was computed; used in seconds since 1970."""

    path: str
    size: int = -1
    changed: int = -1
    sha256: str | None = None
    used: float | None = None


def folder() -> Path:
    """Where the records are."""
    return folders.own("state") / "files"


def hash_of(path: Path) -> str | None:
    """The sha256 that this file was found to have, if it has not changed since."""
    record, now = _read(path), path.stat()
    return record.sha256 if (record.size, record.changed) == (now.st_size, now.st_mtime_ns) else None


def last_hash_of(path: Path) -> str | None:
    """The sha256 that was recorded for this place, whatever is there now."""
    return _read(path).sha256


def last_used(path: Path) -> float | None:
    """Seconds since 1970, or None."""
    return _read(path).used


def remember(path: Path, sha256: str) -> None:
    """That the file as it is now has this hash."""
    now = path.stat()
    _write(path, replace(_read(path), size=now.st_size, changed=now.st_mtime_ns, sha256=sha256))


def use(path: Path) -> None:
    """That the file is used now."""
    _write(path, replace(_read(path), used=time.time()))


def forget(path: Path) -> None:
    """Nothing more is known of this file."""
    with contextlib.suppress(OSError):
        _place(path).unlink()


def _place(path: Path) -> Path:
    return folder() / (hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32] + ".json")


def _read(path: Path) -> Record:
    try:
        values = json.loads(_place(path).read_text("utf-8"))
        return Record(**values)
    except (OSError, ValueError, TypeError):  # none yet, or of another version
        return Record(str(path.resolve()))


def _write(path: Path, record: Record) -> None:
    place = _place(path)
    part = place.with_suffix(f".{uuid.uuid4().hex[:8]}")
    with contextlib.suppress(OSError):  # a home that cannot be written to: it is computed again next time
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(asdict(record)), "utf-8")
            os.replace(part, place)
        finally:
            part.unlink(missing_ok=True)
