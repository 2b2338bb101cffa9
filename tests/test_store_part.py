"""A file that has come in part."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from runtime.store.part import Part
from runtime.store.progress import Meter

if TYPE_CHECKING:
    from pathlib import Path

METER = Meter("m", None)
URL = "http://127.0.0.1/a"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "abc.part"


def test_what_is_written_is_there_before_anything_is_closed(path: Path) -> None:
    with Part(path, 10, METER) as part:
        part.write(b"12345")
        assert (path.read_bytes(), part.size, part.missing) == (b"12345", 5, 5)


def test_the_hash_goes_on_over_what_was_there(path: Path) -> None:
    path.write_bytes(b"12345")
    with Part(path, 10, METER) as part:
        part.write(b"67890")
        assert part.sha256 == hashlib.sha256(b"1234567890").hexdigest()
    assert path.read_bytes() == b"1234567890"


def test_beginning_again_leaves_nothing(path: Path) -> None:
    path.write_bytes(b"12345")
    with Part(path, 10, METER) as part:
        part.restart()
        part.write(b"ab")
        assert (part.size, part.sha256) == (2, hashlib.sha256(b"ab").hexdigest())
    assert path.read_bytes() == b"ab"


def test_more_than_the_whole_file_is_none_of_it(path: Path) -> None:
    path.write_bytes(b"12345678901")
    with Part(path, 10, METER) as part:
        assert part.size == 0


def test_the_etag_is_that_of_the_same_address(path: Path) -> None:
    with Part(path, 10, METER) as part:
        assert part.etag(URL) is None
        part.comes_from(URL, '"1"')
    with Part(path, 10, METER) as part:
        assert (part.etag(URL), part.etag("http://127.0.0.1/b")) == ('"1"', None)


@pytest.mark.parametrize("etag", ['W/"1"', None, ""])
def test_an_etag_that_says_nothing_of_bytes_is_none(path: Path, etag: str | None) -> None:
    with Part(path, 10, METER) as part:
        part.comes_from(URL, etag)
        assert part.etag(URL) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "1"])
def test_an_origin_that_cannot_be_read_is_none(path: Path, text: str) -> None:
    path.with_name("abc.from").write_text(text)
    with Part(path, 10, METER) as part:
        assert part.etag(URL) is None


def test_finished_nothing_is_left_of_where_it_came_from(path: Path) -> None:
    with Part(path, 2, METER) as part:
        part.comes_from(URL, '"1"')
        part.write(b"ab")
        part.finish()
    assert [one.name for one in path.parent.iterdir()] == ["abc.part"]
