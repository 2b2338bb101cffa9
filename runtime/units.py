"""Durations and sizes as people write them: "1h30m", "4GiB"."""

from __future__ import annotations

import math
import re
from typing import Any

from runtime.tomlfile import Kind

LONGEST = 30 * 24 * 3600.0  # seconds; a lock on Windows cannot wait longer than 49 days
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "": 1}
_DURATION = re.compile(r"(-?)(\d+(?:\.\d+)?|(?:\d+(?:\.\d+)?(?:ms|[smh]))+)", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(|[KMGT]i?B)", re.ASCII | re.IGNORECASE)
_LEAST, _MOST = 1 << 20, 1 << 50  # bytes


def size(count: float) -> str:
    """Bytes as people say them."""
    units = (("GB", 1e9, 2), ("MB", 1e6, 1), ("kB", 1e3, 0), ("B", 1, 0))
    unit, factor, digits = next((one for one in units if count >= one[1]), units[-1])
    return f"{count / factor:.{digits}f} {unit}"


def _seconds(value: Any) -> float:
    """ "1h30m", "-1", 300 -> seconds; NaN for what is no duration, or a longer one than LONGEST."""
    if type(value) in (int, float):
        return float(value) if abs(value) <= LONGEST else math.nan
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return math.nan
    parts = re.findall(r"([\d.]+)(ms|[smh]|)", found[2])
    return _seconds(float(found[1] + "1") * sum(float(count) * _UNITS[unit] for count, unit in parts))


def _idle_seconds(value: Any) -> float:
    seconds = _seconds(value)
    return seconds if seconds >= 0 else -1.0


def _bytes(value: Any) -> int:
    """ "4GiB", "500 MB", 1000000000 -> bytes; 0 for what is no size, or one out of bounds."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found:
        unit = found[2].lower()
        power = " kmgt".index(unit[0]) if unit else 0
        value = int(float(found[1]) * (1024 if "i" in unit else 1000) ** power)
    return value if type(value) is int and _LEAST <= value <= _MOST else 0


KEEP_ALIVE = Kind(
    'seconds or a duration such as "5m", at most 30 days; negative is for ever, 0 is not at all',
    lambda value: not math.isnan(_seconds(value)),
    _idle_seconds,
)
TIMEOUT = Kind(
    'seconds or a duration such as "90s" or "10m", from 1 second to 30 days',
    lambda value: _seconds(value) >= 1,
    _seconds,
)
PATIENCE = Kind(
    'seconds or a duration such as "30s", from 1 second to 30 days; 0 is for ever',
    lambda value: _seconds(value) == 0 or _seconds(value) >= 1,
    _seconds,
)
MEMORY = Kind('bytes, or a size such as "4GiB" or "500MB", from 1 MiB', _bytes, _bytes)
