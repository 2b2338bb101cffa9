"""Where a file of a repository lies: in the cache of the Hugging Face hub, laid out as the hub lays it out.

    models--owner--name/blobs/<sha256>                   the bytes
    models--owner--name/snapshots/<commit>/<file>        a link to them, which is what makes the file visible
    models--owner--name/refs/<branch or tag>             the commit that it means
    .locks/models--owner--name/<sha256>.lock             held by whoever fetches these bytes, the hub's own tools too

Where the system allows no links, the bytes themselves stand under snapshots, which is the hub's way too.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # the last is no error of every system
STALE = 30 * 86400.0  # seconds; who has not gone on with a file for so long has given it up
_LEFT = (".part", ".from", ".broken", ".incomplete")  # the last are the hub's own, which it does not go on with either


def repository(cache: Path, repo: str) -> Path:
    """The folder of a repository."""
    return cache / f"models--{repo.replace('/', '--')}"


@dataclass(frozen=True, slots=True)
class Place:
    """The place of one file. name: of its bytes, which is its sha256 where that is known, else the hub's ETag."""

    cache: Path
    repo: str
    commit: str
    file: str
    name: str

    @property
    def blob(self) -> Path:
        return repository(self.cache, self.repo) / "blobs" / self.name

    @property
    def part(self) -> Path:
        """The bytes as they come."""
        return self.blob.with_name(self.name + ".part")

    @property
    def visible(self) -> Path:
        """What makes the file visible."""
        return repository(self.cache, self.repo) / "snapshots" / self.commit / self.file

    @property
    def lock(self) -> Path:
        return self.cache / ".locks" / repository(self.cache, self.repo).name / f"{self.name}.lock"

    def prepare(self) -> None:
        """Make the folders."""
        for path in (self.blob, self.visible, self.lock):
            path.parent.mkdir(parents=True, exist_ok=True)

    def publish(self, revision: str) -> Path:
        """Make the whole part visible, at once, and the revision mean its commit. Gives the visible path."""
        os.replace(self.part, self.blob)
        _sync(self.blob.parent)
        self.show(revision)
        for damaged in (self.blob, self.visible):
            aside(damaged).unlink(missing_ok=True)
        return self.visible

    def show(self, revision: str) -> None:
        """Let the visible path lead to the bytes that are here."""
        link = self.visible.with_name(f"{self.visible.name}.{uuid.uuid4().hex[:8]}")
        try:
            link.symlink_to(os.path.relpath(self.blob, link.parent))
            os.replace(link, self.visible)
        except OSError as wrong:
            link.unlink(missing_ok=True)
            if wrong.errno in FULL:
                raise
            os.replace(self.blob, self.visible)  # Windows lets only some users make links
        _sync(self.visible.parent)
        if revision != self.commit:
            self._point(revision)

    def _point(self, revision: str) -> None:
        reference = repository(self.cache, self.repo) / "refs" / revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        new = reference.with_name(f"{reference.name}.{uuid.uuid4().hex[:8]}")
        try:
            new.write_text(self.commit, "utf-8")
            os.replace(new, reference)
        finally:
            new.unlink(missing_ok=True)


def aside(path: Path) -> Path:
    """Where a damaged file is put."""
    return path.with_name(path.name.removesuffix(".part") + ".broken")


def set_aside(path: Path) -> Path:
    """Take a damaged file out of sight, its bytes kept beside the whole ones. Gives where they are now."""
    blob = _bytes(path)
    os.replace(blob, aside(blob))
    if blob != path:
        path.unlink()
    return aside(blob)


def _bytes(path: Path) -> Path:
    """What a visible file links to, or itself. That may be a link again, to bytes that repositories share.

    A link that leads out of the cache stands for itself: what is behind it is not ours to move or to delete.
    """
    if not path.is_symlink():
        return path
    blob = Path(os.path.normpath(path.parent / os.readlink(path)))
    return blob if blob.parent.name == "blobs" and blob.parents[1] in path.parents else path


def named(path: Path) -> str | None:
    """The sha256 that a file in the cache bears as its name, or None."""
    name = _bytes(path).name
    return name if re.fullmatch("[0-9a-f]{64}", name) else None


def remove(path: Path) -> int:
    """Delete a visible file, and its bytes where no other file is the same. Gives the bytes that are free now."""
    blob, size = _bytes(path), 0 if path.is_symlink() and _bytes(path) == path else path.stat().st_size
    path.unlink()
    if blob == path:
        return size
    snapshots = next(folder for folder in path.parents if folder.name == "snapshots")
    if any(one.is_symlink() and _bytes(one) == blob for one in snapshots.rglob("*")):
        return 0
    shared = blob.is_symlink()
    blob.unlink()
    return 0 if shared else size


def sweep(cache: Path, repo: str = "*", *, age: float = 0.0) -> Iterator[tuple[Path, int]]:
    """Delete what unfinished and damaged downloads have left, of one repository or of all; give each with its bytes.

    age: seconds for which nobody has touched it. What somebody fetches at this moment, ourselves included, stays.
    """
    before = time.time() - age
    for folder in cache.glob(repository(cache, repo).name):
        for path in [one for one in folder.rglob("*") if one.suffix in _LEFT]:
            lock = cache / ".locks" / folder.name / f"{path.name.partition('.')[0]}.lock"
            found = path.lstat()
            if found.st_mtime <= before and not _is_held(lock):
                path.unlink()
                yield path, found.st_size


def _is_held(lock: Path) -> bool:
    import filelock

    if not lock.exists():
        return False
    try:
        with filelock.FileLock(lock, timeout=0):
            return False
    except filelock.Timeout:
        return True


def _sync(folder: Path) -> None:
    """Have the names in a folder on the disk; a system that cannot do that for folders does it by itself."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
