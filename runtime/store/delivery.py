"""A file that is wanted: used where it is here already, else fetched, checked, and only then visible."""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime import gguf, units
from runtime.errors import DiskFull, DownloadFailed, ModelBroken, ModelUnavailable, ModelUnsupported
from runtime.store import files, hub, records
from runtime.store.part import Part
from runtime.store.place import FULL, STALE, Place, set_aside, sweep
from runtime.store.progress import Meter, Pulled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runtime.catalog import ModelSpec, Quant
    from runtime.store.hub import Address, Facts
    from runtime.store.progress import Progress

log = logging.getLogger("llamalet")

TICK = 0.2  # seconds between two looks at a lock that another process holds
SPARE = 1.05  # times what is lacking must be free: the file system takes some, and others write meanwhile
_NO_ROOM = "Free some and pull again, or set HF_HOME to a folder with room."


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be fetched: from where, in which order, and what must come. sha256 None: nobody knows."""

    spec: ModelSpec
    quant: Quant
    place: Place
    size: int
    sha256: str | None
    sources: tuple[Address, ...]
    refusals: tuple[DownloadFailed, ...] = ()  # what the hub has said already


def pull(
    spec: ModelSpec,
    quant: Quant | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    offline: bool = False,
    cache: Path | None = None,
) -> Pulled:
    """Have a model's file on this machine, whole, and with the hash that the catalogue states.

    quant and cache: as for `locate`. progress: called on this thread, about ten times a second; what it raises stops
    the pull. A pull that was stopped, or killed, is gone on with by the next one.
    offline: open no connection; a file that is here is checked all the same, once.
    Raises ModelMissing (offline, or a path of the user's own), ModelBroken for bytes that are not the right ones,
    ModelUnsupported, DownloadFailed, ModelForbidden and DiskFull.
    """
    quant = files.choose(spec, quant, cache)
    meter = Meter(f"{spec.id}:{quant.name}", progress)
    try:
        offline = offline or spec.path is not None or hub.is_offline()
        return _here(spec, quant, meter, cache, offline) or _fetched(spec, quant, meter, cache or hub.cache())
    except OSError as wrong:
        raise _translated(wrong, cache or hub.cache()) from wrong


def _translated(wrong: OSError, cache: Path) -> ModelUnavailable:
    if wrong.errno in FULL:
        return DiskFull(f"The disk of {cache} is full: {wrong.strerror}, and {_free(cache)} are free.", _NO_ROOM)
    if wrong.errno == errno.EFBIG:
        problem = f"The disk of {cache} takes no file of this size: {wrong.strerror}, though {_free(cache)} are free."
        return DiskFull(problem, "FAT32 ends at 4 GB, and `ulimit -f` may be set. Set HF_HOME to a folder elsewhere.")
    return DownloadFailed(f"{wrong.filename or cache}: {wrong.strerror or wrong}.", "Set HF_HOME to a folder of yours.")


def _free(folder: Path) -> str:
    """Room on the disk of a folder that may not be there yet."""
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    return units.size(shutil.disk_usage(there).free)


def _here(spec: ModelSpec, quant: Quant, meter: Meter, cache: Path | None, offline: bool) -> Pulled | None:
    """The file that is here, checked. None where it is to be fetched."""
    path = files.find(spec, quant, cache)
    if path is None:
        if offline:
            raise files.missing(spec, quant, cache)
        return None
    try:
        sha256 = files.examine(spec, quant, path, meter)
    except ModelBroken as wrong:
        if offline:
            raise
        log.warning("%s It is fetched again.", wrong.message)
        return None
    return Pulled(path, path.stat().st_size, sha256, 0)


def _fetched(spec: ModelSpec, quant: Quant, meter: Meter, cache: Path) -> Pulled:
    order = _order(spec, quant, meter, cache)
    order.place.prepare()
    with _turn(order, meter):
        _tidy(cache)
        return _ready(order, meter) or _deliver(order, meter)


def _order(spec: ModelSpec, quant: Quant, meter: Meter, cache: Path) -> _Order:
    from runtime.store import transfer

    home = hub.address(spec.repo, spec.revision, quant.file)
    sources = (home, *map(hub.mirror, quant.mirrors))
    try:
        facts: Facts = transfer.insist(lambda: hub.facts(home), meter)
    except DownloadFailed as wrong:
        # What the catalogue knows will do for mirrors.
        if not quant.mirrors or not quant.size or not quant.sha256 or not re.fullmatch("[0-9a-f]{40}", spec.revision):
            raise
        log.warning("%s The mirrors are tried.", wrong.message)
        place = Place(cache, spec.repo, spec.revision, quant.file, quant.sha256)
        return _Order(spec, quant, place, quant.size, quant.sha256, sources[1:], (wrong,))
    _agree(spec, quant, facts)
    sha256 = quant.sha256 or facts.sha256
    place = Place(cache, spec.repo, facts.commit, quant.file, sha256 or facts.etag)
    return _Order(spec, quant, place, facts.size, sha256, sources)


def _agree(spec: ModelSpec, quant: Quant, facts: Facts) -> None:
    """Better said before than after gigabytes."""
    pairs = [("bytes", quant.size, facts.size), ("as sha256", quant.sha256, facts.sha256 or quant.sha256)]
    for what, expected, actual in pairs:
        if expected not in (None, actual):
            problem = f"{spec.repo}/{quant.file} has {actual} {what} instead of the {expected} of the catalogue"
            raise DownloadFailed(f"{problem}.", "Correct the models file, if another file is meant.")


def _tidy(cache: Path) -> None:
    with contextlib.suppress(OSError):  # files of another user's, or open in another program on Windows
        for path, size in sweep(cache, age=STALE):
            log.warning("Deleted %s, %s of a download that was given up a month ago.", path, units.size(size))


@contextlib.contextmanager
def _turn(order: _Order, meter: Meter) -> Iterator[None]:
    """Only one process fetches these bytes; the others see what has come until they may."""
    import filelock

    lock = filelock.FileLock(order.place.lock)
    waiting = False
    while not lock.is_locked:
        try:
            lock.acquire(timeout=TICK)
        except filelock.Timeout:
            part = order.place.part
            come = part.stat().st_size if part.is_file() else 0
            if waiting:
                meter.at(come)
            else:
                waiting = True
                meter.begin("waiting", come, order.size)
    try:
        yield
    finally:
        lock.release()


def _ready(order: _Order, meter: Meter) -> Pulled | None:
    """The file, if another process, or another revision, has brought the same bytes."""
    place = order.place
    path = next((one for one in (place.visible, place.blob) if one.is_file()), None)
    if path is None or path.stat().st_size != order.size:
        return None
    sha256 = files.examine(order.spec, order.quant, path, meter)
    if path == place.blob:
        place.show(order.spec.revision)
    return Pulled(place.visible, order.size, sha256, 0)


def _deliver(order: _Order, meter: Meter) -> Pulled:
    place = order.place
    _check_room(order)
    with Part(place.part, order.size, meter) as part:
        _fill(order, part, meter)
        if part.earlier and not _is_right(order, part):
            # The disk, or a power cut, may have damaged what was left by an earlier pull.
            log.warning("What is here of %s is damaged. It is fetched again, from its start.", meter.file)
            part.restart()
            _fill(order, part, meter)
        part.finish()
    if not _is_right(order, part):
        problem = f"What came for {meter.file} has the sha256 {part.sha256} instead of {order.sha256}."
        hint = files.remedy(order.spec, order.quant)
        raise ModelBroken(f"{problem} It was set aside as {set_aside(place.part)}.", hint)
    _check_header(order)
    path = place.publish(order.spec.revision)
    records.remember(path, part.sha256)
    return Pulled(path, order.size, part.sha256, meter.fetched)


def _is_right(order: _Order, part: Part) -> bool:
    return order.sha256 in (None, part.sha256)


def _check_room(order: _Order) -> None:
    part = order.place.part
    lacking = int(SPARE * (order.size - (part.stat().st_size if part.is_file() else 0)))
    if lacking > shutil.disk_usage(part.parent).free:
        name = f"{order.spec.id}:{order.quant.name}"
        room = f"{name} needs {units.size(lacking)} more, and {_free(part.parent)} are free at {order.place.cache}"
        raise DiskFull(f"{room}.", _NO_ROOM)


def _fill(order: _Order, part: Part, meter: Meter) -> None:
    """From the first source that has it. Raises what the first one said."""
    from runtime.store import transfer

    refusals = [*order.refusals]
    for source in order.sources:
        try:
            return transfer.fill(part, source, meter, known=order.sha256 is not None)
        except DownloadFailed as wrong:
            refusals.append(wrong)
            log.info("%s", wrong)
    raise refusals[0]


def _check_header(order: _Order) -> None:
    """Whether it is a model that can be run. Raises ModelUnsupported, having deleted it, and ModelBroken."""
    part, name = order.place.part, f"{order.spec.repo}/{order.quant.file}"
    try:
        gguf.check(part)
    except (ModelBroken, ModelUnsupported) as wrong:
        message = wrong.message.replace(str(part), name)
        if isinstance(wrong, ModelUnsupported):
            part.unlink()
            raise ModelUnsupported(f"{message} It was deleted.", wrong.hint) from None
        raise ModelBroken(f"{message} It was set aside as {set_aside(part)}.", wrong.hint) from None
