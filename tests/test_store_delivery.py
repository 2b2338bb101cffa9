"""Pulling, from a hub on loopback: what comes, what is refused, and that nothing unfinished is ever seen."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from huggingface_hub import constants

from runtime import store
from runtime.errors import DiskFull, DownloadFailed, ModelBroken, ModelForbidden, ModelMissing, ModelUnsupported
from runtime.store import place, records, transfer
from tests.hub import COMMIT, REPO, Fault, LoopbackHub, serving
from tests.rawgguf import STRING, model_bytes
from tests.stores import FILE, environment, loopback, spec_of, weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.store import Progress

CHUNK = 128 << 10  # bytes that may be on their way when a process is killed, in the sockets' buffers
PATIENCE = 60  # seconds until a test that waits gives up
Usage = namedtuple("Usage", "total used free")
PULL = """
import sys, json
from runtime import store
from runtime.catalog import ModelSpec, Quant
file, size, sha256, repo, commit = json.loads(sys.argv[1])
spec = ModelSpec("tiny", (Quant("Q8_0", file, size, sha256),), "Q8_0", repo=repo, revision=commit)
phases = []
def report(progress):
    if not phases or phases[-1] != progress.phase:
        phases.append(progress.phase)
        print(progress.phase, flush=True)
print(store.pull(spec, progress=report).fetched, flush=True)
"""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    with loopback(monkeypatch) as hub:
        yield hub


@pytest.fixture
def repository(home: Path) -> Path:
    return home / "hub" / "models--me--models"


def process(hub: LoopbackHub) -> subprocess.Popen[str]:
    """A pull in a process of its own, which says its phases and then what it has fetched."""
    entry = json.dumps([FILE, len(hub.files[FILE]), hub.sha256(FILE), REPO, COMMIT])
    command = [sys.executable, "-c", PULL, entry]
    return subprocess.Popen(command, env=environment(hub), stdout=subprocess.PIPE, text=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def test_a_file_comes_whole_and_where_the_hubs_own_tools_find_it(hub: LoopbackHub, repository: Path) -> None:
    pulled = store.pull(spec_of(hub))
    sha256, size = hub.sha256(FILE), len(hub.files[FILE])
    assert pulled == store.Pulled(repository / "snapshots" / COMMIT / FILE, size, sha256, size)
    assert pulled.path.read_bytes() == hub.files[FILE]
    assert names(repository / "blobs") == ([sha256] if pulled.path.is_symlink() else [])


def test_a_file_that_is_here_is_not_fetched_again(hub: LoopbackHub) -> None:
    first = store.pull(spec_of(hub))
    asked = len(hub.requests)
    assert (store.pull(spec_of(hub)), len(hub.requests)) == (replace(first, fetched=0), asked)


def test_the_progress_ends_with_all_bytes(hub: LoopbackHub) -> None:
    seen: list[Progress] = []
    store.pull(spec_of(hub), progress=seen.append)
    size = len(hub.files[FILE])
    assert (seen[-1].phase, seen[-1].done, seen[-1].total, seen[-1].file) == ("downloading", size, size, "tiny:Q8_0")
    assert [one.done for one in seen if one.phase == "downloading"] == sorted(
        one.done for one in seen if one.phase == "downloading"
    )


def test_an_error_of_the_caller_stops_the_pull_and_the_next_one_goes_on(hub: LoopbackHub, repository: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.done > 0:
            raise KeyboardInterrupt

    hub.faults = [Fault(rate=3e6)]
    with pytest.raises(KeyboardInterrupt):
        store.pull(spec_of(hub), progress=stop)
    came = next((repository / "blobs").glob("*.part")).stat().st_size
    assert store.held(spec_of(hub)) == ()
    assert (came > 0, store.pull(spec_of(hub)).fetched) == (True, len(hub.files[FILE]) - came)


def test_what_the_hub_redirects_to_never_sees_the_token(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    store.pull(spec_of(hub))
    assert {one.server for one in hub.requests if "authorization" in map(str.lower, one.headers)} == {"hub"}


def test_a_branch_is_pulled_as_the_commit_that_it_means(hub: LoopbackHub, repository: Path) -> None:
    spec = replace(spec_of(hub, size=None, sha256=None), revision="main")
    pulled = store.pull(spec)
    assert pulled.path == repository / "snapshots" / COMMIT / FILE
    assert (repository / "refs" / "main").read_text() == COMMIT
    assert store.locate(spec) == pulled.path


def test_without_a_hash_in_the_catalogue_that_of_the_hub_holds(hub: LoopbackHub) -> None:
    hub.faults = [Fault(flip=2_000_000)]
    with pytest.raises(ModelBroken, match=hub.sha256(FILE)):
        store.pull(spec_of(hub, sha256=None))


def test_a_file_that_is_in_git_itself_has_no_hash_before_it_came(hub: LoopbackHub) -> None:
    hub.small = True
    hub.faults = [Fault(cut=1_000_000)]
    pulled = store.pull(spec_of(hub, sha256=None))
    assert (pulled.sha256, pulled.fetched) == (hub.sha256(FILE), len(hub.files[FILE]))


def test_other_bytes_at_the_hub_are_refused_before_they_come(hub: LoopbackHub) -> None:
    with pytest.raises(DownloadFailed, match="has 3000000 bytes instead of the 5 of the catalogue"):
        store.pull(spec_of(hub, size=5))
    with pytest.raises(DownloadFailed, match="as sha256 instead of the 0000"):
        store.pull(spec_of(hub, sha256="0" * 64))
    assert hub.bodies == []


@pytest.mark.parametrize("header", [{"X-Repo-Commit": "../../.."}, {"X-Repo-Commit": COMMIT, "ETag": '"../x"'}, {}])
def test_a_server_that_does_not_speak_as_the_hub_is_told(hub: LoopbackHub, header: dict[str, str]) -> None:
    hub.hub_faults = [Fault(200, headers=header)]
    with pytest.raises(DownloadFailed, match="does not say size, commit and ETag") as raised:
        store.pull(spec_of(hub))
    assert "HF_ENDPOINT" in str(raised.value.hint)


# -- what breaks on the way --------------------------------------------------------------------------------------------


def test_a_body_that_is_cut_short_is_gone_on_with(hub: LoopbackHub) -> None:
    hub.faults = [Fault(cut=1_000_000), Fault(cut=500_000)]
    pulled = store.pull(spec_of(hub))
    assert (pulled.path.read_bytes() == hub.files[FILE], hub.sent) == (True, len(hub.files[FILE]))
    assert [one.headers.get("Range") for one in hub.bodies] == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_server_that_always_cuts_is_given_up_and_what_came_stays(hub: LoopbackHub, repository: Path) -> None:
    hub.always = Fault(cut=10)
    with pytest.raises(DownloadFailed, match="6 times in a row") as raised:
        store.pull(spec_of(hub))
    assert "goes on from there" in str(raised.value.hint)
    assert next((repository / "blobs").glob("*.part")).stat().st_size == 60


def test_a_server_without_ranges_begins_again(hub: LoopbackHub) -> None:
    hub.faults = [Fault(cut=1_000_000), Fault(plain=True)]
    pulled = store.pull(spec_of(hub))
    assert (pulled.sha256, pulled.fetched) == (hub.sha256(FILE), 1_000_000 + len(hub.files[FILE]))


def test_another_file_behind_the_address_begins_again(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """If-Range: its ETag is no longer that of the part."""
    monkeypatch.setattr(transfer, "TRIES", 1)
    hub.faults = [Fault(cut=1_000_000)]
    with pytest.raises(DownloadFailed):
        store.pull(spec_of(hub))
    hub.generation += 1
    assert store.pull(spec_of(hub)).fetched == len(hub.files[FILE])


def cut_after(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, size: int = 1_000_000) -> None:
    """A pull that ended there."""
    with monkeypatch.context() as patch:
        patch.setattr(transfer, "TRIES", 1)
        hub.faults = [Fault(cut=size)]
        with pytest.raises(DownloadFailed):
            store.pull(spec_of(hub))


def damage(part: Path) -> None:
    with part.open("r+b") as file:
        file.seek(500_000)
        file.write(b"\0" * 4096)  # as after a power cut


def test_a_part_that_was_damaged_meanwhile_is_fetched_once_more(
    hub: LoopbackHub, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_after(hub, monkeypatch)
    damage(next((repository / "blobs").glob("*.part")))
    size = len(hub.files[FILE])
    pulled = store.pull(spec_of(hub))
    assert (pulled.fetched, pulled.path.read_bytes() == hub.files[FILE]) == (size - 1_000_000 + size, True)
    assert names(repository / "blobs") == [hub.sha256(FILE)]


def test_and_if_it_is_wrong_again_that_is_told(
    hub: LoopbackHub, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_after(hub, monkeypatch)
    hub.always = Fault(flip=2_000_000)
    with pytest.raises(ModelBroken, match="It was set aside as"):
        store.pull(spec_of(hub))
    assert (len(hub.bodies), store.held(spec_of(hub))) == (3, ())
    assert [name.rpartition(".")[2] for name in names(repository)] == ["broken"]


def test_a_part_that_is_longer_than_the_file_begins_again(
    hub: LoopbackHub, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_after(hub, monkeypatch)
    with next((repository / "blobs").glob("*.part")).open("ab") as file:
        file.write(bytes(len(hub.files[FILE])))
    assert store.pull(spec_of(hub)).fetched == len(hub.files[FILE])


def test_a_server_that_has_nothing_from_there_on_is_asked_for_all(hub: LoopbackHub) -> None:
    hub.faults = [Fault(cut=1_000_000), Fault(416)]
    pulled = store.pull(spec_of(hub))
    assert (pulled.sha256, pulled.fetched) == (hub.sha256(FILE), 1_000_000 + len(hub.files[FILE]))


def test_a_wrong_byte_is_told_with_both_hashes_and_the_file_set_aside(hub: LoopbackHub, repository: Path) -> None:
    hub.faults = [Fault(flip=2_000_000)]
    with pytest.raises(ModelBroken) as raised:
        store.pull(spec_of(hub))
    (aside,) = (repository / "blobs").glob("*.broken")
    assert f"instead of {hub.sha256(FILE)}. It was set aside as {aside}." in raised.value.message
    assert raised.value.hint == "Run: llamalet pull tiny:Q8_0"
    assert store.held(spec_of(hub)) == ()
    assert store.pull(spec_of(hub)).fetched == len(hub.files[FILE])
    assert not aside.exists()


def test_more_bytes_than_there_should_be_are_not_written(hub: LoopbackHub, repository: Path) -> None:
    hub.grown = b"more"
    with pytest.raises(DownloadFailed, match="has 3000004 bytes instead of 3000000: it is another file"):
        store.pull(spec_of(hub))
    assert next((repository / "blobs").glob("*.part")).stat().st_size == 0


def test_a_body_without_a_size_is_taken_to_its_end_and_no_further(hub: LoopbackHub) -> None:
    spec = spec_of(hub)
    hub.faults = [Fault(unsized=True, cut=1_000_000), Fault(unsized=True)]
    assert store.pull(spec).fetched == len(hub.files[FILE])
    store.remove(spec)
    hub.always, hub.grown = Fault(unsized=True), b"more"
    with pytest.raises(DownloadFailed, match="sends more than the 3000000 bytes"):
        store.pull(spec)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says(hub: LoopbackHub, status: int) -> None:
    hub.hub_faults = [Fault(status, after="0")]
    hub.faults = [Fault(status, after="0.01"), Fault(status)]
    seen: list[Progress] = []
    assert store.pull(spec_of(hub), progress=seen.append).fetched == len(hub.files[FILE])
    assert "retrying" in {one.phase for one in seen}


def test_a_server_that_asks_for_too_long_a_wait_is_told(hub: LoopbackHub) -> None:
    hub.faults = [Fault(429, after="4000")]
    with pytest.raises(DownloadFailed, match="the server answers 429") as raised:
        store.pull(spec_of(hub))
    assert raised.value.hint == "Try again in 4000 seconds."


def test_a_server_that_stays_busy_is_given_up(hub: LoopbackHub) -> None:
    hub.always = Fault(503)
    with pytest.raises(DownloadFailed, match="the server answers 503, 6 times in a row"):
        store.pull(spec_of(hub))


def test_the_hubs_own_limits_say_when_to_come_back(hub: LoopbackHub) -> None:
    hub.hub_faults = [Fault(429, headers={"RateLimit": '"resolvers";r=0;t=400'})]
    with pytest.raises(DownloadFailed) as raised:
        store.pull(spec_of(hub))
    assert raised.value.hint == "Try again in 400 seconds."


def test_a_server_that_goes_away_is_waited_for_longer(hub: LoopbackHub) -> None:
    hub.faults = [Fault(cut=1_000_000)]
    spec = spec_of(hub)

    def watch(progress: Progress) -> None:
        if progress.phase == "retrying" and progress.done and not closed:
            closed.append(True)
            hub.close()

    closed: list[bool] = []
    with pytest.raises(DownloadFailed, match="6 times in a row"):
        store.pull(spec, progress=watch)


def test_a_server_that_is_not_there_is_told(hub: LoopbackHub) -> None:
    spec = spec_of(hub)
    hub.close()
    with pytest.raises(DownloadFailed, match="3 times in a row"):
        store.pull(spec)


def test_a_file_that_is_not_there_is_told_with_the_page_to_look_at(hub: LoopbackHub) -> None:
    with pytest.raises(DownloadFailed) as raised:
        store.pull(spec_of(hub, file="none.gguf"))
    assert str(raised.value) == f"{REPO} has no file none.gguf. See {hub.url}/{REPO}/tree/{COMMIT}."


def test_a_revision_that_is_not_there_is_told(hub: LoopbackHub) -> None:
    with pytest.raises(DownloadFailed, match="has no revision v9"):
        store.pull(replace(spec_of(hub), revision="v9"))


def test_a_gated_repository_says_what_to_do(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated = True
    with pytest.raises(ModelForbidden) as raised:
        store.pull(spec_of(hub))
    assert raised.value.message == f"{REPO} is gated (401)."
    login = "run `hf auth login` or set HF_TOKEN"
    assert raised.value.hint == f"Accept its terms at {hub.url}/{REPO} and {login}, then pull again."
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(ModelForbidden) as raised:
        store.pull(spec_of(hub))
    assert str(raised.value) == f"{REPO} is gated (403). Accept its terms at {hub.url}/{REPO}, then pull again."


def test_a_private_repository_says_what_to_do(hub: LoopbackHub) -> None:
    hub.token = "hf_secret"
    with pytest.raises(ModelForbidden, match="has no repository me/models without a token") as raised:
        store.pull(spec_of(hub))
    assert "hf auth login" in str(raised.value.hint)


# -- mirrors -----------------------------------------------------------------------------------------------------------


def test_a_mirror_goes_on_where_the_hub_left_off(hub: LoopbackHub) -> None:
    hub.faults = [Fault(cut=1_000_000), *[Fault(503)] * 6]
    with serving(hub.files) as other:
        pulled = store.pull(spec_of(hub, mirrors=(f"{other.large}/{FILE}",)))
        assert (pulled.sha256, other.sent) == (hub.sha256(FILE), len(hub.files[FILE]) - 1_000_000)


@pytest.mark.parametrize("wrong", [b"<html>Sorry</html>", b""])
def test_a_mirror_with_another_file_costs_nothing_of_what_has_come(hub: LoopbackHub, wrong: bytes) -> None:
    """Whatever it answers to the range: a page from its start, or that it has no bytes from there on."""
    hub.faults = [Fault(cut=1_000_000), Fault(404)]
    with serving({FILE: wrong}) as other, serving(hub.files) as last:
        other.always = Fault(plain=bool(wrong))
        pulled = store.pull(spec_of(hub, mirrors=(f"{other.large}/{FILE}", f"{last.large}/{FILE}")))
        assert (pulled.sha256, last.sent) == (hub.sha256(FILE), len(hub.files[FILE]) - 1_000_000)


def test_a_server_that_sends_another_range_is_asked_for_all(hub: LoopbackHub) -> None:
    hub.faults = [Fault(cut=1_000_000), Fault(shift=5)]
    pulled = store.pull(spec_of(hub))
    assert (pulled.sha256, hub.bodies[-1].headers.get("Range")) == (hub.sha256(FILE), None)


def test_mirrors_are_tried_in_order_where_there_is_no_hub(hub: LoopbackHub) -> None:
    with serving(hub.files) as other:
        spec = spec_of(hub, mirrors=(f"{other.large}/nothing", f"{other.large}/{FILE}"))
        other.faults = [Fault(404)]
        hub.hub_faults = [Fault(503)] * 6
        assert store.pull(spec).fetched == len(hub.files[FILE])
        assert [one.path for one in other.requests] == ["/nothing", f"/{FILE}"]


def test_a_mirror_on_the_hub_is_named_as_a_repository(hub: LoopbackHub) -> None:
    hub.files["copy.gguf"] = hub.files[FILE]
    hub.faults = [Fault(404)]
    pulled = store.pull(spec_of(hub, mirrors=(f"hf:{REPO}@{COMMIT}/copy.gguf",)))
    assert (pulled.path.name, pulled.fetched) == (FILE, len(hub.files[FILE]))


def test_what_the_hub_said_is_told_where_no_mirror_has_it(hub: LoopbackHub) -> None:
    hub.gated = True
    with serving(hub.files) as other:
        other.faults = [Fault(404)]
        with pytest.raises(ModelForbidden, match="is gated"):
            store.pull(spec_of(hub, mirrors=(f"{other.large}/{FILE}",)))
        assert len(other.requests) == 1


# -- the disk, and what is in the cache already ------------------------------------------------------------------------


def test_a_full_disk_is_told_before_anything_comes(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 5, 2_000_000))
    with pytest.raises(DiskFull, match=r"needs 3\.1 MB more, and 2\.0 MB are free") as raised:
        store.pull(spec_of(hub))
    assert (hub.bodies, "HF_HOME" in str(raised.value.hint)) == ([], True)


def test_a_twentieth_more_than_the_file_must_be_free(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 5, 3_149_999))
    with pytest.raises(DiskFull):
        store.pull(spec_of(hub))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 5, 3_150_000))
    assert store.pull(spec_of(hub)).fetched == 3_000_000


FINAL = [(os, "replace"), (os, "fsync"), (type(Path()), "symlink_to"), (type(Path()), "write_text")]


@pytest.mark.parametrize("error", place.FULL)
def test_a_disk_that_is_full_at_any_step_of_the_last_leaves_nothing_half_done(
    hub: LoopbackHub, repository: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    spec = spec_of(hub)
    for failing in range(1, 30):
        steps = iter(range(1, 100))

        def counted(does: Any, steps: Iterator[int] = steps, failing: int = failing) -> Any:
            def step(*args: Any, **options: Any) -> Any:
                if next(steps) == failing:
                    raise OSError(error, os.strerror(error))
                return does(*args, **options)

            return step

        with monkeypatch.context() as patch:
            for owner, name in FINAL:
                patch.setattr(owner, name, counted(getattr(owner, name)))
            told = ""
            try:
                store.pull(spec)
            except DiskFull as full:
                told = full.message
        assert not told or re.search(r" and [\d.]+ [MG]B are free\.", told)
        whole = store.held(spec)
        assert {name.partition(".")[2] for name in names(repository / "blobs")} <= {"", "part", "from"}
        assert [one.path.read_bytes() for one in whole] == [hub.files[FILE]] * len(whole)
        assert store.pull(spec).path.read_bytes() == hub.files[FILE]
        assert not list(records.folder().glob("*.[0-9a-f]*[0-9a-f]"))  # a record half written
        store.remove(spec)
        if next(steps) <= failing:
            break
    assert failing > 6


def test_a_disk_that_takes_no_file_of_that_size_is_told_so(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT32, and `ulimit -f`."""

    def large(*_: object) -> None:
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr("runtime.store.part.Part.write", large)
    with pytest.raises(DiskFull, match=r"takes no file of this size: File too large, though [\d.]+ [MG]B are free"):
        store.pull(spec_of(hub))


def test_a_disk_that_fills_up_meanwhile_is_told_and_what_came_stays(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    from runtime.store.part import Part

    write = Part.write

    def full(part: Part, chunk: bytes) -> None:
        if part.size > 1_000_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(part, chunk)

    with monkeypatch.context() as patch:
        patch.setattr(Part, "write", full)
        with pytest.raises(DiskFull, match=r"No space left on device, and [\d.]+ [MG]B are free"):
            store.pull(spec_of(hub))
    came = next((repository / "blobs").glob("*.part")).stat().st_size
    assert (came > 1_000_000, store.pull(spec_of(hub)).fetched) == (True, len(hub.files[FILE]) - came)


def test_a_file_that_another_tool_has_fetched_is_used(hub: LoopbackHub) -> None:
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(REPO, FILE, revision=COMMIT)
    asked = len(hub.requests)
    pulled = store.pull(spec_of(hub))
    assert (str(pulled.path), pulled.fetched, pulled.sha256) == (path, 0, hub.sha256(FILE))
    assert len(hub.requests) == asked


def test_the_hubs_own_tool_uses_what_was_pulled(hub: LoopbackHub) -> None:
    from huggingface_hub import hf_hub_download

    pulled = store.pull(spec_of(hub))
    sent = hub.sent
    assert (hf_hub_download(REPO, FILE, revision=COMMIT), hub.sent) == (str(pulled.path), sent)


def test_the_same_bytes_of_another_revision_are_used(hub: LoopbackHub, repository: Path) -> None:
    pulled = store.pull(spec_of(hub))
    pulled.path.rename(pulled.path.with_name("other.gguf"))
    if not pulled.path.with_name("other.gguf").is_symlink():
        pytest.skip("this system makes no links")
    assert store.pull(spec_of(hub)) == replace(pulled, fetched=0)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_file_of_the_cache_is_set_aside_and_fetched_again(
    hub: LoopbackHub, repository: Path, damage: str
) -> None:
    path = store.pull(spec_of(hub)).path
    content = bytearray(hub.files[FILE])
    content[2_000_000] ^= 1
    path.write_bytes(content[:1000] if damage == "cut" else content)
    os.utime(path, ns=(1, 1))  # whatever the clock's steps: it has changed
    with pytest.raises(ModelBroken) as raised:
        store.pull(spec_of(hub), offline=True)
    assert raised.value.hint == "Run: llamalet pull tiny:Q8_0"
    assert store.present(spec_of(hub)) == ()
    assert store.pull(spec_of(hub)).path.read_bytes() == hub.files[FILE]


@pytest.mark.parametrize("way", ["verify", "load"])
@pytest.mark.parametrize("fixed", [False, True], ids=["in a folder of ours", "in a folder of another's"])
def test_a_file_that_cannot_be_read_is_told_and_fetched_again(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, way: str, fixed: bool
) -> None:
    """For a bad sector, or another owner."""
    spec = spec_of(hub)
    path = store.pull(spec).path
    os.utime(path, ns=(1, 1))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.open", refuse)
        if fixed:
            patch.setattr(os, "replace", refuse)
        with pytest.raises(ModelBroken) as raised:
            store.verify(spec, spec.quants[0]) if way == "verify" else store.pull(spec, offline=True)
    then = "cannot be set aside: Input/output error." if fixed else "was set aside as "
    assert raised.value.message.startswith(f"{path} cannot be read: Input/output error. It {then}")
    assert (raised.value.hint, path.exists()) == ("Run: llamalet pull tiny:Q8_0", fixed)
    assert store.pull(spec).path.read_bytes() == hub.files[FILE]


def test_what_a_listener_raises_damages_no_file(hub: LoopbackHub) -> None:
    """It may well be an error of the system, such as a pipe whose reader has gone."""
    path = store.pull(spec_of(hub)).path

    def gone(_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        store.verify(spec_of(hub), spec_of(hub).quants[0], progress=gone)
    assert path.exists()


def test_what_was_given_up_a_month_ago_is_deleted_by_the_next_pull(
    hub: LoopbackHub, repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = repository / "blobs" / f"{'0' * 64}.1a2b3c4d.incomplete"
    ours = repository / "blobs" / f"{hub.sha256(FILE)}.part"
    old.parent.mkdir(parents=True)
    for path in (old, ours):
        path.write_bytes(hub.files[FILE][:1_000_000])
        os.utime(path, (1, 1))
    assert store.pull(spec_of(hub)).fetched == len(hub.files[FILE]) - 1_000_000  # what is gone on with is not old
    assert not old.exists()
    assert f"Deleted {old}, 1.0 MB" in caplog.text


def test_a_file_is_read_once_and_again_when_it_has_changed(hub: LoopbackHub) -> None:
    path = store.pull(spec_of(hub)).path
    seen: list[Progress] = []
    store.pull(spec_of(hub), progress=seen.append)
    assert seen == []
    os.utime(path, ns=(1, 1))
    store.pull(spec_of(hub), progress=seen.append)
    assert {one.phase for one in seen} == {"checking"}


def test_a_model_of_another_kind_is_not_kept(hub: LoopbackHub, repository: Path) -> None:
    hub.files[FILE] = model_bytes({"general.architecture": (STRING, "qwen3")})
    with pytest.raises(ModelUnsupported, match=f"^{REPO}/{FILE} is not supported: its architecture is 'qwen3'"):
        store.pull(spec_of(hub))
    assert names(repository) == []


def test_offline_a_missing_file_is_one_line_with_the_command(hub: LoopbackHub) -> None:
    with pytest.raises(ModelMissing) as raised:
        store.pull(spec_of(hub), offline=True)
    assert str(raised.value) == "tiny:Q8_0 is not on this machine. Run: llamalet pull tiny:Q8_0"
    assert hub.requests == []


def test_the_hubs_own_switch_is_offline_too(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelMissing):
        store.pull(spec_of(hub))
    assert hub.requests == []


# -- several processes, and their ends ---------------------------------------------------------------------------------


def test_killed_twenty_times_it_fetches_nothing_twice(hub: LoopbackHub, repository: Path) -> None:
    size, rest, sent = len(hub.files[FILE]), 0, 0
    part = repository / "blobs" / f"{hub.sha256(FILE)}.part"
    hub.always = Fault(rate=10e6)
    for point in sorted(random.Random(7).sample(range(1, size - 200_000), 20)):
        with process(hub) as one:
            end = time.monotonic() + PATIENCE
            while not part.exists() or part.stat().st_size < point:
                assert time.monotonic() < end
                time.sleep(0.001)
            one.kill()
        assert store.held(spec_of(hub)) == ()
        rest = size - part.stat().st_size
        sent += hub.sent
        hub.requests.clear()
    hub.always = None
    assert store.pull(spec_of(hub)).fetched == rest
    assert [one.headers["Range"] for one in hub.bodies] == [f"bytes={size - rest}-"]
    assert size <= sent + hub.sent <= size + 20 * CHUNK
    assert store.locate(spec_of(hub)).read_bytes() == hub.files[FILE]
    assert set(names(repository)) <= {hub.sha256(FILE), FILE}


def test_of_two_processes_one_fetches_and_the_other_waits(hub: LoopbackHub) -> None:
    slow = hub.always = Fault(rate=3e5)
    first = process(hub)
    assert first.stdout
    assert first.stdout.readline().strip() == "downloading"
    with process(hub) as second:
        assert second.stdout
        assert second.stdout.readline().strip() == "waiting"
        slow.rate = None
        assert second.communicate(timeout=PATIENCE)[0].split()[-1] == "0"
    assert first.communicate(timeout=PATIENCE)[0].split() == [str(len(hub.files[FILE]))]
    assert hub.sent == len(hub.files[FILE])


def test_who_waits_sees_how_far_the_other_is_and_takes_over_when_it_dies(hub: LoopbackHub) -> None:
    hub.always = Fault(rate=1e6)
    with process(hub) as first:
        assert first.stdout
        assert first.stdout.readline().strip() == "downloading"
        seen: list[Progress] = []

        def watch(progress: Progress) -> None:
            seen.append(progress)
            if progress.phase == "waiting" and progress.done > 100_000:
                hub.always = None
                first.send_signal(signal.SIGTERM)

        pulled = store.pull(spec_of(hub), progress=watch)
    assert 0 < pulled.fetched < len(hub.files[FILE]) - 100_000
    assert pulled.path.read_bytes() == hub.files[FILE]


def test_the_hubs_own_tool_waits_for_a_pull(hub: LoopbackHub) -> None:
    from huggingface_hub import hf_hub_download

    hub.always = Fault(rate=3e6)
    paths: list[str] = []
    other = threading.Thread(target=lambda: paths.append(hf_hub_download(REPO, FILE, revision=COMMIT)))
    pulled = store.pull(spec_of(hub), progress=lambda _: None if other.ident else other.start())
    other.join(PATIENCE)
    assert (paths, hub.sent) == ([str(pulled.path)], len(hub.files[FILE]))


def test_two_threads_fetch_it_once(hub: LoopbackHub) -> None:
    fetched: list[int] = []
    threads = [threading.Thread(target=lambda: fetched.append(store.pull(spec_of(hub)).fetched)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(fetched) == [0, len(hub.files[FILE])]


ENDS = """
import os, sys
from pathlib import Path
steps, end = [0], int(sys.argv[2])
def counted(does):
    def step(*args, **options):
        steps[0] += 1
        if steps[0] == end:
            os._exit(9)
        return does(*args, **options)
    return step
os.replace, os.fsync = counted(os.replace), counted(os.fsync)
Path.symlink_to, Path.unlink = counted(Path.symlink_to), counted(Path.unlink)
"""


def test_ended_at_any_step_of_the_last_it_is_whole_or_not_there(hub: LoopbackHub) -> None:
    hub.files[FILE] = weights(50_000)
    entry = json.dumps([FILE, len(hub.files[FILE]), hub.sha256(FILE), REPO, COMMIT])
    ends: list[bool] = []
    for step in range(1, 30):
        command: list[Any] = [sys.executable, "-c", ENDS + PULL, entry, str(step)]
        done = subprocess.run(command, env=environment(hub), stdout=subprocess.PIPE, check=False, timeout=PATIENCE)
        here = store.held(spec_of(hub))
        assert [one.path.read_bytes() for one in here] == [hub.files[FILE]] * len(here)
        ends.append(bool(here))
        if done.returncode == 0:
            break
        if here:
            store.remove(spec_of(hub))
    assert (done.returncode, ends[0], ends[-1]) == (0, False, True)
