"""One model in memory: its engine, who uses it, and how long it stays when nobody does."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.catalog import Choice, ModelSpec
    from runtime.engine import Engine, EngineConfig


def name_of(spec: ModelSpec) -> str:
    """One by which a model can be asked for: its id, which of a file is the whole path, so there it is the alias."""
    return spec.aliases[0] if spec.path and spec.aliases else spec.id


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory, as others see it.

    name: one by which it can be asked for. memory: bytes that it was planned to take, a full context included.
    context: tokens that all its requests share. running: requests that it answers, or that wait in it. idle: seconds
    since the last one ended, 0 while one runs. keep_alive: seconds that it stays when it is idle, negative for ever.
    unloads_in: seconds; None while a request runs, and for one that stays for ever.
    """

    name: str
    quant: str
    memory: int
    context: int
    running: int
    idle: float
    keep_alive: float
    unloads_in: float | None


@dataclass(eq=False)
class Resident:
    """What `runtime.residence` knows of a model in memory, and guards with its lock.

    choice: what was asked for when it was loaded; labels: of every name that was found to mean it. keep_alive: seconds,
    negative for ever, by the last word on it. answered: whether it has answered any request. used: when a request began
    or ended last, by `time.monotonic`.
    """

    engine: Engine
    config: EngineConfig
    choice: Choice
    quant: str
    keep_alive: float
    labels: set[str] = field(default_factory=set)
    running: int = 0
    answered: bool = False
    used: float = field(default_factory=time.monotonic)
    timer: threading.Timer | None = None

    def is_meant_by(self, choice: Choice) -> bool:
        """Whether a name means it; one without a quant means every quant of its model."""
        same = choice.spec.id == self.choice.spec.id and (choice.quant is None or choice.quant.name == self.quant)
        return same or choice.label in self.labels

    def begin(self, keep_alive: float | None) -> None:
        """A request more."""
        self.running += 1
        self.used = time.monotonic()
        self.keep_alive = self.keep_alive if keep_alive is None else keep_alive
        self.stop_timer()

    def end(self) -> None:
        """A request less."""
        self.running -= 1
        self.used = time.monotonic()

    def start_timer(self, unload: Callable[[Resident], None]) -> None:
        """Call `unload` once it has been idle for as long as it is to stay."""
        self.stop_timer()
        if self.keep_alive >= 0:
            self.timer = threading.Timer(self.keep_alive, unload, [self])
            self.timer.daemon = True
            self.timer.start()

    def stop_timer(self) -> None:
        if self.timer:
            self.timer.cancel()
            self.timer = None

    def shown(self) -> Loaded:
        idle = 0.0 if self.running else time.monotonic() - self.used
        stays = self.running or self.keep_alive < 0
        return Loaded(
            name=name_of(self.choice.spec),
            quant=self.quant,
            memory=self.config.memory,
            context=self.config.context,
            running=self.running,
            idle=idle,
            keep_alive=self.keep_alive,
            unloads_in=None if stays else max(0.0, self.keep_alive - idle),
        )
