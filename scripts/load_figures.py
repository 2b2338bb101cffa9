"""What came of a load: counted, judged, and shown."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

SOON = 1.0  # seconds after a kill in which all that it ended have been told


@dataclass
class Outcome:
    """How one request ended: `what` is "exact", "left", "unread", or what was wrong. Times are of `time.monotonic`."""

    kind: str
    begun: float
    what: str = ""
    ended: float = 0.0
    first: float | None = None  # seconds until the first of its text
    detail: str = ""


@dataclass
class Figures:
    """Of a run that is over."""

    outcomes: list[Outcome]
    kills: list[float]
    memory: list[tuple[float, int]]  # seconds from the beginning, and bytes
    seconds: float
    load_seconds: float
    stuck: int  # clients that never came back

    def all(self) -> dict[str, Any]:
        outcomes = Counter(self._named(one) for one in self.outcomes)
        figures: dict[str, Any] = {
            "seconds": round(self.seconds, 1),
            "requests": len(self.outcomes),
            "outcomes": dict(sorted(outcomes.items())),
            "by kind": dict(Counter(one.kind for one in self.outcomes)),
            "of no outcome": sum(not one.what for one in self.outcomes),
            "clients that never came back": self.stuck,
            **self._first(),
            **self._memory(),
            **(self._kills() if self.kills else {}),
        }
        allowed = {"exact", "left", "unread", "ended by a kill", "refused after a kill"}
        faults = {name: count for name, count in outcomes.items() if name not in allowed}
        figures["faults"] = faults | ({"stuck": self.stuck} if self.stuck else {})
        figures["details of faults"] = [f"{o.kind}: {o.what}: {o.detail[:200]}" for o in self._wrong(allowed)][:10]
        return figures

    def _wrong(self, allowed: set[str]) -> list[Outcome]:
        return [one for one in self.outcomes if self._named(one) not in allowed]

    def _named(self, one: Outcome) -> str:
        """What it is called: a failure belongs to a kill if the request was there then, and was told in time."""
        kills = [at for at in self.kills if one.begun <= at <= one.ended]
        if one.what in ("failed", "refused") and kills:
            return "ended by a kill" if one.ended - kills[-1] <= SOON else "ended late after a kill"
        is_after = any(0 <= one.begun - at <= self.load_seconds + 2 for at in self.kills)
        return "refused after a kill" if one.what == "refused" and is_after else one.what

    def _first(self) -> dict[str, float]:
        times = sorted(one.first for one in self.outcomes if one.first is not None)
        if not times:
            return {}
        median, late = statistics.median(times), times[len(times) * 99 // 100]
        return {
            "first token, median, s": round(median, 3),
            "first token, p99, s": round(late, 3),
            "p99 to median": round(late / median, 2),
        }

    def _memory(self) -> dict[str, Any]:
        """Medians of a tenth of the run, after a fifth of it and at its end."""
        tenth = max(5.0, self.seconds / 10)
        warm = [size for at, size in self.memory if 2 * tenth <= at < 3 * tenth]
        last = [size for at, size in self.memory if at >= self.seconds - tenth]
        if not warm or not last:
            return {}
        before, after = statistics.median(warm), statistics.median(last)
        return {
            "resident after a fifth, MiB": round(before / 2**20, 1),
            "resident at the end, MiB": round(after / 2**20, 1),
            "growth, %": round(100 * (after / before - 1), 2),
        }

    def _kills(self) -> dict[str, Any]:
        """How long after each kill the last that it ended was told, and the first that came later had text."""
        told, ready = [], []
        for at in self.kills:
            ended = [one.ended - at for one in self.outcomes if one.begun <= at <= one.ended and one.what == "failed"]
            begun = [
                one.begun + one.first - at
                for one in self.outcomes
                if one.first is not None and one.begun > at and one.what in ("exact", "left")
            ]
            told.append(round(max(ended, default=0.0), 3))
            ready.append(round(min(begun, default=float("inf")), 3))
        return {
            "kills": len(self.kills),
            "load at the start, s": round(self.load_seconds, 3),
            "kill to the last error, s": told,
            "kill to the first new text, s": ready,
        }


def report(figures: dict[str, Any], arguments: argparse.Namespace) -> None:
    """A table on stdout, JSON where asked for."""
    print(f"{platform.machine()}, {os.cpu_count()} processors, {arguments.clients} clients, {arguments.slots} slots")
    for name, value in figures.items():
        if isinstance(value, dict):
            print(f"{name}:")
            for part, count in value.items():
                print(f"    {part:<28} {count}")
        else:
            print(f"{name:<32} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
