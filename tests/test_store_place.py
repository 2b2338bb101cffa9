"""The layout of the hub's cache."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import filelock
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


def leave(folder: Path, *names: str, age: float = 0.0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"xx")
        os.utime(folder / name, (time.time() - age,) * 2)


def test_what_downloads_have_left_is_ours_and_the_hubs_own(spot: Place) -> None:
    leave(spot.blob.parent, NAME, f"{NAME}.part", f"{NAME}.from", f"{NAME}.broken", f"{NAME}.1a2b3c4d.incomplete")
    gone = sorted(path.suffix for path, size in place.sweep(spot.cache, spot.repo) if size == 2)
    assert gone == [".broken", ".from", ".incomplete", ".part"]
    assert [one.name for one in spot.blob.parent.iterdir()] == [NAME]


def test_of_all_repositories_only_what_is_old_goes(spot: Place) -> None:
    leave(spot.cache / "models--you--other" / "blobs", "old.part", age=place.STALE + 3600)
    leave(spot.cache / "models--you--other" / "blobs", "new.part", age=place.STALE - 3600)
    leave(spot.cache / "models--you--other" / "blobs", "later.part", age=-7200)  # a clock that was put back
    assert [path.name for path, _ in place.sweep(spot.cache, age=place.STALE)] == ["old.part"]


def test_what_somebody_fetches_at_the_moment_stays(spot: Place) -> None:
    leave(spot.blob.parent, f"{NAME}.part", f"{NAME}.1a2b3c4d.incomplete", f"{'b' * 64}.part", age=place.STALE + 3600)
    with filelock.FileLock(spot.lock):
        assert [path.name for path, _ in place.sweep(spot.cache, age=place.STALE)] == [f"{'b' * 64}.part"]
    assert len(list(place.sweep(spot.cache))) == 2


@pytest.mark.parametrize("where", ["another folder", "another repository"])
def test_a_link_that_leads_elsewhere_is_put_aside_or_removed_and_what_is_behind_it_stays(
    spot: Place, tmp_path: Path, where: str
) -> None:
    path = spot.publish(COMMIT)
    other = tmp_path / ("own" if where == "another folder" else "models--you--other/blobs") / ("c" * 64)
    other.parent.mkdir(parents=True)
    other.write_bytes(b"mine")
    path.unlink()
    try:
        path.symlink_to(other)
    except OSError:
        pytest.skip("this system makes no links")
    assert place.named(path) is None
    kept = place.set_aside(path)
    assert (kept.name, kept.is_symlink(), path.exists(), other.read_bytes()) == ("m.gguf.broken", True, False, b"mine")
    path.symlink_to(other)
    assert (place.remove(path), path.exists(), other.read_bytes()) == (0, False, b"mine")


@pytest.mark.parametrize("error", place.FULL)
def test_a_full_disk_at_the_link_moves_no_bytes_that_others_link_to(
    spot: Place, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def full(*_: object) -> None:
        raise OSError(error, "full")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.symlink_to", full)
        with pytest.raises(OSError, match="full"):
            spot.publish(COMMIT)
    assert spot.blob.read_bytes() == b"whole"
    assert list(spot.visible.parent.iterdir()) == []
