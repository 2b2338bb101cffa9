"""What is known of engines that died: when another may start, which files end them, and which requests."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from runtime.engine import OUTSIDE
from runtime.errors import EngineRestarting, InvalidRequest, ModelBroken

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runtime.engine import Engine
    from runtime.errors import EngineDied, LlamaletError
    from runtime.values import Request

WINDOW = 300.0  # seconds for which a death counts
WAITS = (0.0, 0.5, 1.0, 2.0)  # seconds from the last death until the next engine, by how many count; with more, none
REFUSED = 600.0  # seconds for which a request is refused, with which two engines died


class Crashes:
    """Safe from any thread. clock: seconds, as `time.monotonic`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._deaths: dict[Path, list[tuple[float, Engine | None]]] = {}
        self._last: dict[Path, str] = {}  # what the last death was
        self._bad: dict[Path, tuple[tuple[int, int], str]] = {}  # files, as they were, and what happened
        self._with: dict[bytes, list[tuple[float, Engine]]] = {}  # deaths, by what was asked

    def check(self, model: Path) -> None:
        """Whether an engine of this file may start now. Raises `ModelBroken` or `EngineRestarting`."""
        now = self._clock()
        with self._lock:
            if model in self._bad and self._bad[model][0] != _stamp(model):
                del self._bad[model]
            if model in self._bad:
                raise _broken(model, self._bad[model][1])
            deaths = self._deaths[model] = [one for one in self._deaths.get(model, []) if now - one[0] < WINDOW]
            if not deaths:
                return
            stays_down = len(deaths) > len(WAITS)
            ready = deaths[-len(WAITS) - 1][0] + WINDOW if stays_down else deaths[-1][0] + WAITS[len(deaths) - 1]
            if now < ready:
                raise _restarting(model, len(deaths), ready - now, self._last[model])

    def check_request(self, request: Request) -> None:
        """Raises `InvalidRequest` for one like those with which engines died again and again."""
        now = self._clock()
        with self._lock:
            if not self._with:
                return
            self._with = {
                key: recent
                for key, deaths in self._with.items()
                if (recent := [one for one in deaths if now - one[0] < REFUSED])
            }
            deaths = self._with.get(_digest(request), [])
            if len(deaths) > 1:
                left = math.ceil(deaths[-2][0] + REFUSED - now)
                raise InvalidRequest(
                    f"The engine died {len(deaths)} times with this request in it, so it is refused for {left} s more.",
                    "Please report it, with the log of level debug.",
                )

    def died(
        self, model: Path, engine: Engine, error: EngineDied, request: Request | None = None, *, answered: bool = False
    ) -> None:
        """An engine died, with this request in it; told for each request, it counts once. answered: it had answered
        one before, so if it was ended from outside, nothing speaks against another."""
        now, outside = self._clock(), error.facts.get("by") in OUTSIDE
        with self._lock:
            deaths = self._deaths.setdefault(model, [])
            if not (outside and answered) and all(one is not engine for _, one in deaths):
                deaths.append((now, engine))
                self._last[model] = error.message
            if request and not outside:
                with_it = self._with.setdefault(_digest(request), [])
                if all(one is not engine for _, one in with_it):
                    with_it.append((now, engine))

    def died_loading(self, model: Path, error: EngineDied) -> LlamaletError:
        """An engine died before there was one; gives what to raise. What crashes at that is not tried again."""
        by = error.facts.get("by", "")
        with self._lock:
            if (by.startswith("SIG") and by not in OUTSIDE) or by == "watchdog":
                self._bad[model] = _stamp(model), error.message
                return _broken(model, error.message)
            self._deaths.setdefault(model, []).append((self._clock(), None))
            self._last[model] = error.message
            return error

    def forget(self) -> None:
        """Somebody has looked after it."""
        with self._lock:
            self._deaths.clear()
            self._bad.clear()


def _broken(model: Path, what: str) -> ModelBroken:
    return ModelBroken(
        f"{model}: an engine died of it. {what}",
        "It is not tried again until it changes, or is loaded by hand. `llamalet verify` says whether it is whole.",
    )


def _restarting(model: Path, deaths: int, seconds: float, last: str) -> EngineRestarting:
    return EngineRestarting(
        f"The engine of {model.name} died {deaths} times in {WINDOW / 60:g} minutes. {last}",
        f"It may start again in {seconds:.1f} s.",
        seconds=seconds,
    )


def _stamp(model: Path) -> tuple[int, int]:
    """Another when the file is another."""
    try:
        found = model.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _digest(request: Request) -> bytes:
    """The same for what is the same to the engine, by whatever name and seed."""
    sampling = replace(request.sampling, seed=None)
    asked = (request.prompt, request.grammar, request.tools, sampling, request.max_tokens, request.lora)
    return hashlib.sha256(repr(asked).encode("utf-8", "backslashreplace")).digest()
