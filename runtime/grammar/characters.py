"""Sets of characters: sorted ranges of code points that neither touch nor overlap.

Surrogates are no characters, and belong to no set that is made here.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

Ranges = tuple[tuple[int, int], ...]

LAST = 0x10FFFF
ALL: Ranges = ((0, 0xD7FF), (0xE000, LAST))
NONE: Ranges = ()


def of(text: str) -> Ranges:
    """The characters of a text."""
    return union(tuple((ord(char), ord(char)) for char in text))


def union(*sets: Ranges) -> Ranges:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pair for ranges in sets for pair in ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def intersection(one: Ranges, other: Ranges) -> Ranges:
    found, i, j = [], 0, 0
    while i < len(one) and j < len(other):
        low, high = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if low <= high:
            found.append((low, high))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def complement(ranges: Ranges) -> Ranges:
    bounds = [(-1, -1), *ranges, (LAST + 1, LAST + 1)]
    gaps = tuple((before[1] + 1, after[0] - 1) for before, after in pairwise(bounds) if before[1] + 1 < after[0])
    return intersection(gaps, ALL)


def difference(one: Ranges, other: Ranges) -> Ranges:
    return intersection(one, complement(other))


def contains(ranges: Ranges, code: int) -> bool:
    at = bisect_right(ranges, (code, LAST + 1)) - 1
    return at >= 0 and ranges[at][0] <= code <= ranges[at][1]


def size(ranges: Ranges) -> int:
    return sum(high - low + 1 for low, high in ranges)
