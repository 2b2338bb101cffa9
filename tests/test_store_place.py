"""The layout of the hub's cache."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from runtime.store import hub, place
from runtime.store.place import Place

if TYPE_CHECKING:
    from pathlib import Path

COMMIT, NAME = "0123456789abcdef0123456789abcdef01234567", "a" * 64


@pytest.fixture
def spot(tmp_path: Path) -> Place:
    spot = Place(tmp_path, "me/models", COMMIT, "deep/m.gguf", NAME)
    spot.prepare()
    spot.part.write_bytes(b"whole")
    return spot


def without_links(*_: object) -> None:
    raise OSError("links are for administrators")


@pytest.fixture(params=["links", "no links"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no links":
        monkeypatch.setattr("pathlib.Path.symlink_to", without_links)


@pytest.mark.usefixtures("either")
def test_what_is_published_is_found_as_the_hub_finds_it(spot: Place) -> None:
    path = spot.publish(COMMIT)
    assert (path.read_bytes(), spot.part.exists()) == (b"whole", False)
    assert hub.find(spot.cache, spot.repo, COMMIT, spot.file) == path
    assert [one.name for one in path.parent.iterdir()] == ["m.gguf"]


@pytest.mark.usefixtures("either")
def test_a_branch_is_found_by_its_name(spot: Place) -> None:
    path = spot.publish("main")
    assert hub.find(spot.cache, spot.repo, "main", spot.file) == path


def test_the_name_of_the_bytes_is_their_hash(spot: Place) -> None:
    path = spot.publish(COMMIT)
    assert place.named(path) == (NAME if path.is_symlink() else None)


@pytest.mark.usefixtures("either")
def test_a_damaged_file_is_out_of_sight_and_kept(spot: Place) -> None:
    path = spot.publish(COMMIT)
    kept = place.set_aside(path)
    assert (kept.read_bytes(), hub.find(spot.cache, spot.repo, COMMIT, spot.file)) == (b"whole", None)


@pytest.mark.usefixtures("either")
def test_a_file_is_removed_with_its_bytes(spot: Place) -> None:
    path = spot.publish(COMMIT)
    assert place.remove(path) == 5
    assert [one for one in spot.cache.rglob("*") if one.is_file() or one.is_symlink()] == []


def test_bytes_that_another_revision_shares_stay(spot: Place) -> None:
    path = spot.publish(COMMIT)
    if not path.is_symlink():
        pytest.skip("this system makes no links")
    other = path.parents[2] / ("f" * 40) / "m.gguf"
    other.parent.mkdir()
    other.symlink_to(os.path.relpath(spot.blob, other.parent))
    assert (place.remove(path), other.read_bytes()) == (0, b"whole")


def test_bytes_that_repositories_share_stay_and_lend_no_name(spot: Place, tmp_path: Path) -> None:
    path = spot.publish(COMMIT)
    if not path.is_symlink():
        pytest.skip("this system makes no links")
    shared = tmp_path / ("b" * 64)
    spot.blob.rename(shared)
    spot.blob.symlink_to(shared)
    assert place.named(path) == NAME
    assert (place.remove(path), shared.read_bytes(), spot.blob.is_symlink()) == (0, b"whole", False)


def test_the_cache_may_be_behind_a_link(spot: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path.with_name(f"{tmp_path.name}-link")
    try:
        link.symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    monkeypatch.setattr("pathlib.Path.symlink_to", without_links)
    path = Place(link, spot.repo, COMMIT, spot.file, NAME).publish(COMMIT)
    assert place.set_aside(path).read_bytes() == b"whole"


def test_leftovers_are_parts_and_damaged_files(spot: Place) -> None:
    spot.part.with_suffix(".from").touch()
    spot.part.with_suffix(".broken").touch()
    spot.blob.touch()
    found = sorted(one.suffix for one in place.leftovers(spot.cache, spot.repo))
    assert found == [".broken", ".from", ".part"]
