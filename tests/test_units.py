"""Sizes as people write them; durations are in `tests/test_settings.py`, with the settings that take them."""

from __future__ import annotations

import pytest

from runtime.units import MEMORY, size


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("4GiB", 4 << 30),
        ("4 gib", 4 << 30),
        ("1.5GiB", 3 << 29),
        ("500MB", 500_000_000),
        ("2GB", 2_000_000_000),
        ("1048576", 1 << 20),
        (1 << 30, 1 << 30),
    ],
)
def test_a_size_is_read(text: str | int, bytes_: int) -> None:
    assert MEMORY.read(text) == bytes_


@pytest.mark.parametrize("text", ["", "4", "-4GiB", "4G", "GiB", "4GiB!", "9999999TiB", 4, 1.5e9, True])
def test_what_is_no_size_or_far_too_small_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match='it takes bytes, or a size such as "4GiB"'):
        MEMORY.read(text)


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (807_694_464, "807.7 MB"), (4_920_739_232, "4.92 GB")],
)
def test_sizes_are_said_as_people_say_them(count: int, words: str) -> None:
    assert size(count) == words
