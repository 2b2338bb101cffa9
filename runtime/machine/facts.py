"""What is known of a machine, the same on each system, and how many threads that makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Set

SLOW = (
    2 / 3
)  # of the fastest core's speed: Arm's little cores have a quarter to a half of a big one's, middle ones more


@dataclass(frozen=True, slots=True)
class Core:
    """A physical core: its logical processors by number, more than one where it runs several threads, and its speed
    beside the others', in any unit."""

    processors: frozenset[int]
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: of the machine, those a program may still take, and the smallest bound that is set on this process."""

    total: int
    available: int
    limit: int | None = None


def threads(cores: Iterable[Core], *, allowed: Set[int] | None = None, quota: float | None = None) -> int:
    """How many threads to compute with, at least 1: one for each of the fast cores that may be used.

    allowed: the logical processors this process may run on (taskset, cpusets, containers); None is all.
    quota: processors' worth of time that it may use; None is no bound.

    Two threads on one core share its vector units: nothing is gained. A slow core keeps all others waiting, since each
    has the same share of the work (github.com/ggml-org/llama.cpp/issues/7176). A quota is rounded down: the thread that
    exceeds it is stopped for the rest of the period, and all wait for it at each barrier
    (github.com/ollama/ollama/issues/17916: 0.27 instead of 12 tokens/s).
    """
    usable = [core for core in cores if allowed is None or core.processors & allowed]
    fastest = max((core.speed for core in usable), default=0.0)
    count = sum(core.speed >= SLOW * fastest for core in usable)
    return max(1, count if quota is None else min(count, int(quota)))


def unknown_cores(count: int, allowed: Iterable[int]) -> tuple[Core, ...]:
    """Cores where the system does not say which processors share one, only how many there are."""
    return tuple(Core(frozenset({number})) for number in sorted(allowed)[:count])
