"""How a file that is fetched or checked is shown: a bar on a terminal, else a line now and then, or JSON."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from runtime.catalog import PREFIX
from runtime.units import size

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.store import Progress

SELDOM = 5.0  # seconds between two lines in a log
_BAR = 40  # columns at most
_WORDS = {"waiting": "another process fetches it", "checking": "checking", "retrying": "waiting for the server"}


class Shown:
    """Takes the progress of one command. On a terminal it rewrites one line, which goes away at the end."""

    def __init__(self, *, as_json: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._json, self._terminal, self._clock = as_json, sys.stderr.isatty(), clock
        self._phase, self._last = "checking", clock()  # what is checked within seconds needs no line

    def __call__(self, progress: Progress) -> None:
        if self._terminal and not self._json:
            ended = progress.done >= progress.total > 0
            click.echo("\r\x1b[K" if ended else f"\r{line(progress, _columns())}\x1b[K", err=True, nl=False)
            return
        now, ended = self._clock(), progress.done == progress.total > 0 and progress.phase == "downloading"
        if progress.phase != self._phase or now - self._last >= (1 if self._json else SELDOM) or ended:
            self._phase, self._last = progress.phase, now
            self._say(progress)

    def _say(self, progress: Progress) -> None:
        if self._json:
            click.echo(json.dumps({"event": "progress", **asdict(progress)}))
        else:
            click.echo(f"llamalet: {line(progress, 0)}", err=True)


def line(progress: Progress, columns: int) -> str:
    """What is known, in words, with a bar where the columns have room for one."""
    share = progress.done / progress.total if progress.total else 0.0
    words = [f"{size(progress.done)} of {size(progress.total)}" if progress.total else ""]
    words += [f"{size(progress.rate)}/s" if progress.rate else "", _left(progress.remaining)]
    words += [_WORDS.get(progress.phase, "")]
    tail = f"{share:4.0%}  " + "  ".join(filter(None, words))
    name = progress.file.removeprefix(PREFIX)
    room = min(_BAR, columns - len(name) - len(tail) - 6)
    if room < 8:
        return f"{name} {tail}"[: columns or None]
    full = int(room * share)
    return f"{name} [{'#' * full}{'-' * (room - full)}] {tail}"


def _left(seconds: float | None) -> str:
    if not seconds:
        return ""
    if seconds < 60:
        return f"{seconds:.0f} s left"
    return f"{seconds / 60:.0f} min left" if seconds < 3600 else f"{seconds / 3600:.1f} h left"


def _columns() -> int:
    return shutil.get_terminal_size().columns - 1
