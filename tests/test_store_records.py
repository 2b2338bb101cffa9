"""What is remembered of files."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from runtime.store import records

if TYPE_CHECKING:
    from pathlib import Path

HASH = "a" * 64


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(records, "folder", lambda: tmp_path / "state")
    path = tmp_path / "m.gguf"
    path.write_bytes(b"x")
    return path


def test_of_a_new_file_nothing_is_known(file: Path) -> None:
    assert (records.hash_of(file), records.last_hash_of(file), records.last_used(file)) == (None, None, None)


def test_a_hash_is_remembered_through_a_link_too(file: Path) -> None:
    records.remember(file, HASH)
    assert records.hash_of(file) == HASH
    link = file.with_name("link.gguf")
    try:
        link.symlink_to(file)
    except OSError:
        pytest.skip("this system makes no links")
    assert records.hash_of(link) == HASH


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_file_that_has_changed_has_no_hash_any_more(file: Path, change: str) -> None:
    records.remember(file, HASH)
    if change == "size":
        times = file.stat().st_mtime_ns
        file.write_bytes(b"xx")
        os.utime(file, ns=(times, times))
    else:
        os.utime(file, ns=(1, 1))
    assert (records.hash_of(file), records.last_hash_of(file)) == (None, HASH)


def test_use_is_remembered_beside_the_hash(file: Path) -> None:
    records.remember(file, HASH)
    records.use(file)
    assert records.last_used(file) == pytest.approx(time.time(), abs=60)
    assert records.hash_of(file) == HASH


def test_what_is_forgotten_is_gone(file: Path) -> None:
    records.remember(file, HASH)
    records.forget(file)
    records.forget(file)
    assert records.last_hash_of(file) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"path": "p", "news": 1}'])
def test_a_record_that_cannot_be_read_is_none(file: Path, text: str) -> None:
    records.remember(file, HASH)
    next(records.folder().iterdir()).write_text(text)
    assert records.hash_of(file) is None
    records.remember(file, HASH)
    assert records.hash_of(file) == HASH


def test_a_home_that_cannot_be_written_to_costs_no_more_than_a_second_reading(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "folder", lambda: file / "no folder")
    records.remember(file, HASH)
    records.use(file)
    assert records.hash_of(file) is None
