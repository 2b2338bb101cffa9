"""The files of models that are on this machine: found, checked, removed. Nothing here opens a connection."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.errors import ModelBroken, ModelMissing, ModelUnavailable
from runtime.store import hub, place, records
from runtime.store.part import CHUNK
from runtime.store.progress import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runtime.catalog import ModelSpec, Quant
    from runtime.store.progress import Progress

log = logging.getLogger("llamalet")


@dataclass(frozen=True, slots=True)
class Held:
    """A whole file of a model. size in bytes; used in seconds since 1970; sha256 where it was read and is known."""

    quant: Quant
    path: Path
    size: int
    used: float | None
    sha256: str | None


def locate(spec: ModelSpec, quant: Quant | None = None, *, cache: Path | None = None) -> Path:
    """The file of a model, its size checked.

    quant None is the default quant or, where that is not on the machine, the first in the catalogue's order that is.
    cache: the hub's cache folder, by default the one that HF_HUB_CACHE or HF_HOME names.
    Raises ModelMissing with the command that fetches the file, ModelBroken where its size is not the stated one.
    """
    chosen = choose(spec, quant, cache)
    path = find(spec, chosen, cache)
    if path is None:
        raise missing(spec, chosen, cache)
    if not is_whole(path, chosen):
        raise ModelBroken(_cut(spec, chosen, path), remedy(spec, chosen))
    return path


def _cut(spec: ModelSpec, quant: Quant, path: Path) -> str:
    return f"{path} has {path.stat().st_size} bytes instead of the {quant.size} of {spec.id}:{quant.name}."


def available(spec: ModelSpec, *, cache: Path | None = None) -> tuple[Quant, ...]:
    """The quants whose whole file is on this machine, in the catalogue's order."""
    return tuple(one.quant for one in held(spec, cache=cache))


def present(spec: ModelSpec, *, cache: Path | None = None) -> tuple[Quant, ...]:
    """The quants that have a file on this machine, whole or not."""
    return tuple(quant for quant in spec.quants if find(spec, quant, cache))


def held(spec: ModelSpec, *, cache: Path | None = None) -> tuple[Held, ...]:
    """The whole files of a model that are on this machine, in the catalogue's order."""
    found = ((quant, find(spec, quant, cache)) for quant in spec.quants)
    return tuple(
        Held(quant, path, path.stat().st_size, records.last_used(path), records.hash_of(path))
        for quant, path in found
        if path is not None and is_whole(path, quant)
    )


def choose(spec: ModelSpec, quant: Quant | None, cache: Path | None) -> Quant:
    """The quant that is meant: `quant`, or the default or else the first that is here, or else the default."""
    if quant:
        return quant
    default = spec.quant(spec.default_quant)
    return next((one for one in (default, *spec.quants) if find(spec, one, cache)), default)


def find(spec: ModelSpec, quant: Quant, cache: Path | None) -> Path | None:
    """The file if there is one, whole or not."""
    if spec.path is not None:
        return spec.path if spec.path.is_file() else None
    return hub.find(cache, spec.repo, spec.revision, quant.file)


def is_whole(path: Path, quant: Quant) -> bool:
    return quant.size in (None, path.stat().st_size)


def examine(spec: ModelSpec, quant: Quant, path: Path, meter: Meter, *, again: bool = False) -> str | None:
    """Check a file's size and hash, and give that; it is read only if that was not done before, or with `again`.

    None where there is nothing to compare with, and nothing was read. Raises ModelBroken with both sizes or hashes. A
    damaged file of the cache is set aside first; one of the user's own stays where it is.
    """
    if not is_whole(path, quant):
        raise ModelBroken(_put_aside(spec, path, _cut(spec, quant, path)), remedy(spec, quant))
    recorded = records.hash_of(path)
    if spec.path is None:  # bytes in the cache never change rightly
        expected = quant.sha256 or place.named(path) or records.last_hash_of(path)
    else:
        expected = quant.sha256 or recorded
    if not again and recorded == expected:
        return expected
    try:
        actual = _hash(path, meter)
    except ModelBroken as wrong:
        raise ModelBroken(_put_aside(spec, path, wrong.message), remedy(spec, quant)) from wrong
    if expected not in (None, actual):
        problem = f"{path} has the sha256 {actual} instead of {expected} of {spec.id}:{quant.name}."
        raise ModelBroken(_put_aside(spec, path, problem), remedy(spec, quant))
    records.remember(path, actual)
    return actual


def _put_aside(spec: ModelSpec, path: Path, problem: str) -> str:
    """The problem, with where the damaged file is now."""
    if spec.path is not None:
        return problem
    records.forget(path)
    try:
        return f"{problem} It was set aside as {place.set_aside(path)}."
    except OSError as wrong:
        return f"{problem} It cannot be set aside: {wrong.strerror}."


def verify(
    spec: ModelSpec, quant: Quant, *, progress: Callable[[Progress], None] | None = None, cache: Path | None = None
) -> Held:
    """Read a whole file. Raises ModelMissing, and ModelBroken for a damaged one, which is set aside."""
    path = find(spec, quant, cache)
    if path is None:
        raise missing(spec, quant, cache)
    sha256 = examine(spec, quant, path, Meter(f"{spec.id}:{quant.name}", progress), again=True)
    return Held(quant, path, path.stat().st_size, records.last_used(path), sha256)


def remove(spec: ModelSpec, quant: Quant | None = None, *, cache: Path | None = None) -> tuple[Held, ...]:
    """Delete the files of a model, or of one quant, and what unfinished pulls have left. Gives what is gone.

    Raises ModelMissing where there is none, ModelUnavailable for a file of the user's own, or one that is in use.
    """
    if spec.path is not None:
        raise ModelUnavailable(f"{spec.id} is a file of your own, {spec.path}.", "Delete it yourself.")
    gone = tuple(one for one in held(spec, cache=cache) if quant in (None, one.quant))
    try:
        rest = [] if quant else list(place.sweep(cache or hub.cache(), spec.repo))
        for one in gone:
            records.forget(one.path)
            place.remove(one.path)
    except OSError as wrong:  # Windows lets nobody delete a file that is open
        problem = f"{wrong.filename} cannot be deleted: {wrong.strerror}."
        raise ModelUnavailable(problem, "End the programs that use it.") from wrong
    if not gone and not rest:
        raise missing(spec, quant or spec.quant(spec.default_quant), cache)
    return gone


def missing(spec: ModelSpec, quant: Quant, cache: Path | None) -> ModelMissing:
    """The error that names the file, and the command that fetches it."""
    if spec.path is not None:
        return ModelMissing(f"{spec.id}: there is no file {spec.path}.", "Put it there, or correct the path.")
    have = [f"{spec.id}:{one.name}" for one in available(spec, cache=cache)]
    but = f", but {' and '.join(have)} {'is' if len(have) == 1 else 'are'}" if have else ""
    return ModelMissing(f"{spec.id}:{quant.name} is not on this machine{but}.", remedy(spec, quant))


def remedy(spec: ModelSpec, quant: Quant) -> str:
    """What to do about a file that is missing or damaged."""
    if spec.path is not None:
        return "Copy it again."
    return f"Run: llamalet pull {(*spec.aliases, spec.id)[0]}:{quant.name}"


def _hash(path: Path, meter: Meter) -> str:
    """Raises ModelBroken where the disk, or the owner, does not let it be read."""
    sha256, done, total = hashlib.sha256(), 0, path.stat().st_size
    meter.begin("checking", 0, total)
    for chunk in _chunks(path):
        sha256.update(chunk)
        done += len(chunk)
        meter.at(done)
    return sha256.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as wrong:
        raise ModelBroken(f"{path} cannot be read: {wrong.strerror or wrong}.") from wrong
