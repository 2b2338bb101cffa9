"""Bytes over HTTP into a part: resumed, tried again while that makes sense, and never more than there should be."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, TypeVar

import httpx2

from runtime.errors import DownloadFailed
from runtime.store import hub

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.store.hub import Address
    from runtime.store.part import Part
    from runtime.store.progress import Meter

T = TypeVar("T")

TRIES = 6  # in a row that bring next to nothing
FIRST_TRIES = 3  # where nobody was reached at all: most likely there is no network
STEP = 1 << 20  # bytes; a try that brings as many is followed by as many tries as there were at first
PATIENCE = 300.0  # seconds to wait for a server, at most; the hub counts its limits over five minutes
PAUSE = 0.5  # seconds before the second try, doubled for each after it
TICK = 0.2  # seconds between two looks at whether the caller still wants the file


class _Interrupted(Exception):
    """The connection ended before the file did."""


def fill(part: Part, address: Address, meter: Meter, *, known: bool) -> None:
    """Fetch what the part lacks. known: its sha256 will be compared, so bytes of several sources may be joined.

    Raises DownloadFailed and ModelForbidden; what has come stays in the part.
    """
    if part.size and not known and not part.etag(address.url):
        part.restart()
    insist(lambda: _fetch(part, address, meter), meter, part)


def insist(attempt: Callable[[], T], meter: Meter, part: Part | None = None) -> T:
    """What the attempt gives, tried again when the server is busy or the connection fails."""
    failed = 0
    while True:
        before = part.size if part else 0
        try:
            return attempt()
        except (hub.Busy, httpx2.TransportError, httpx2.TooManyRedirects, _Interrupted) as wrong:
            failed = 1 if part and part.size - before >= STEP else failed + 1
            asked = wrong.seconds if isinstance(wrong, hub.Busy) else None
            pause = PAUSE * 2 ** (failed - 1) if asked is None else asked
            unreached = isinstance(wrong, httpx2.ConnectError | httpx2.ConnectTimeout) and not meter.fetched
            if failed == (FIRST_TRIES if unreached else TRIES) or pause > PATIENCE:
                raise _given_up(wrong, failed, asked) from wrong
        _rest(pause, meter, part)


def _given_up(wrong: Exception, failed: int, asked: float | None) -> DownloadFailed:
    problem = str(wrong) or type(wrong).__name__
    if asked is not None and asked > PATIENCE:
        return DownloadFailed(f"The file could not be fetched: {problem}.", f"Try again in {asked:.0f} seconds.")
    hint = "Check the connection, and type the same again: it goes on from there."
    return DownloadFailed(f"The file could not be fetched: {problem}, {failed} times in a row.", hint)


def _rest(seconds: float, meter: Meter, part: Part | None) -> None:
    meter.begin("retrying", part.size if part else 0, part.total if part else 0)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, TICK))
        meter.at(part.size if part else 0)


def _fetch(part: Part, address: Address, meter: Meter) -> None:
    """One request, and all that it brings."""
    if not part.missing:
        return
    headers = {**address.headers, "Accept-Encoding": "identity"}
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
        if etag := part.etag(address.url):
            headers["If-Range"] = etag
    request = hub.session().stream("GET", address.url, headers=headers, timeout=hub.TIMEOUT, follow_redirects=True)
    with request as response:
        _align(part, address, response)
        part.comes_from(address.url, response.headers.get("ETag"))
        meter.begin("downloading", part.size, part.total)
        for chunk in response.iter_raw():
            if len(chunk) > part.missing:
                raise DownloadFailed(f"{address.url} sends more than the {part.total} bytes of the file.")
            part.write(chunk)
            meter.fetched += len(chunk)
            meter.at(part.size)
    if part.missing:
        raise _Interrupted(f"the body ended at byte {part.size} of {part.total}")


def _align(part: Part, address: Address, response: httpx2.Response) -> None:
    """Have the part end where the body begins. Raises what the status means, and for a file of another size.

    What is here is thrown away only for a body that can take its place.
    """
    if response.status_code not in (200, 206, 416):
        raise hub.refusal(response, address)
    begin, length = _extent(response)
    if length not in (None, part.total):
        raise DownloadFailed(
            f"{address.url} has {length} bytes instead of {part.total}: it is another file.",
            "Correct its size in the models file, if that is meant.",
        )
    if begin != part.size:
        part.restart()
    if begin not in (0, part.size):
        raise _Interrupted("the server sends another range than it was asked for")


def _extent(response: httpx2.Response) -> tuple[int | None, int | None]:
    """Where in the file the body begins, and how long the file is; None is not said."""
    if response.status_code == 200:  # from the start: it knows no ranges, or the file is another than it was
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    found = re.match(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", response.headers.get("Content-Range", ""))
    begin, size = found.groups() if found else ("", "")
    return int(begin) if begin else None, int(size) if size else None
