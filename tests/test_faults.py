"""What disks, files, memory and surroundings may do to a process that runs: real processes, real limits.

Faults of a download that need no process are in `test_store_delivery.py`, those of the network in `test_offline.py`.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from huggingface_hub import constants

from runtime import Runtime, store
from runtime.errors import DownloadFailed, ModelBroken
from runtime.store import transfer
from tests.engines import PATIENCE
from tests.hub import COMMIT, REPO, LoopbackHub
from tests.models import expected, key_token, random_model
from tests.stores import FILE, environment, loopback, spec_of
from tests.test_cli_process import COMMAND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOMES: list[dict[str, Any]] = [{}]  # of the engine: options of `Runtime`
ASK: dict[str, Any] = {"prompt": key_token(7), "temperature": 0}
RUN = [key_token(7), "--max-tokens", "3", "--temperature", "0", "--threads", "1"]
MIB = 1 << 20
posix = pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits there")
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits are known, and set, as on Linux")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, canary: Path) -> Iterator[LoopbackHub]:
    """A hub that has the canary."""
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    with loopback(monkeypatch, {FILE: canary.read_bytes()}) as hub:
        yield hub


@pytest.fixture
def env(hub: LoopbackHub, home: Path) -> dict[str, str]:
    """Of a process for which the hub has a model, "tiny"."""
    entry = f"repo = '{REPO}'\nrevision = '{COMMIT}'\nfile = '{FILE}'\nsha256 = '{hub.sha256(FILE)}'\n"
    (home / "models.toml").write_text(f"[[model]]\nid = 'tiny'\n{entry}")
    return environment(hub) | {"LLAMALET_MODELS": str(home / "models.toml"), "LLAMALET_THREADS": "1"}


def command(env: dict[str, str], *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run(
        [*COMMAND, *args], env=env, encoding="utf-8", check=False, timeout=2 * PATIENCE, **pipes | options
    )


def limit(name: str, size: int) -> Callable[[], None]:
    """For a process that starts: that resource, in bytes."""
    import resource

    return lambda: resource.setrlimit(getattr(resource, name), (size, size))


def ordinary() -> None:
    """For a process that starts: the modes of files hold for it, though root started it."""
    if os.geteuid() == 0:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH of linux/capability.h
            ctypes.CDLL(None).prctl(24, capability)  # PR_CAPBSET_DROP of linux/prctl.h


# -- a disk that is full -----------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("part", [0.1, 0.9])
def test_a_file_that_may_not_grow_is_told_with_what_is_free_and_gone_on_with(
    hub: LoopbackHub, env: dict[str, str], part: float
) -> None:
    size = len(hub.files[FILE])
    cut = int(part * size)
    done = command(env, "pull", "tiny", preexec_fn=limit("RLIMIT_FSIZE", cut))
    assert (done.returncode, done.stdout) == (74, "")
    assert re.search(r"takes no file of this size: File too large, though [\d.]+ [MG]B are free\.$", done.stderr, re.M)
    assert store.held(spec_of(hub)) == ()
    again = json.loads(command(env, "pull", "tiny", "--json").stdout.splitlines()[-1])
    assert (again["fetched"], again["sha256"]) == (size - cut, hub.sha256(FILE))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may put up a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


@linux
@pytest.mark.parametrize("part", [0.1, 0.9])
def test_a_disk_that_others_fill_meanwhile_is_told_and_works_again_when_there_is_room(
    hub: LoopbackHub, small_disk: Path, part: float
) -> None:
    size = len(hub.files[FILE])
    filler, spec = small_disk / "filler", spec_of(hub)

    def fill(progress: store.Progress) -> None:
        if progress.phase == "downloading" and not filler.exists():
            room = shutil.disk_usage(small_disk).free - (int(part * size) - progress.done)
            filler.write_bytes(bytes(max(0, room)))

    with pytest.raises(DownloadFailed, match=r"No space left on device, and 0 B are free\.") as raised:
        store.pull(spec, cache=small_disk / "hub", progress=fill)
    assert (type(raised.value).__name__, store.held(spec, cache=small_disk / "hub")) == ("DiskFull", ())
    filler.unlink()
    pulled = store.pull(spec, cache=small_disk / "hub")
    assert 0 < pulled.fetched < size
    assert pulled.path.read_bytes() == hub.files[FILE]


# -- a file that changes -----------------------------------------------------------------------------------------------


def flipped(content: bytes) -> bytes:
    return content[:100_000] + bytes([content[100_000] ^ 1]) + content[100_001:]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda content: content[:-1000],
    "one bit flipped": flipped,
    "another of its size": lambda content: random.Random(1).randbytes(len(content)),
    "zeros": lambda content: bytes(len(content)),
    "empty": lambda content: b"",
}


@pytest.mark.parametrize("damage", [*DAMAGES, "a link elsewhere"])
def test_a_damaged_file_is_never_loaded_and_the_next_use_fetches_it(
    hub: LoopbackHub, env: dict[str, str], home: Path, tmp_path: Path, damage: str
) -> None:
    def run(**options: Any) -> str:
        with Runtime(models=home / "models.toml", threads=1, **options) as ai:
            return str(ai.run("tiny", {**ASK, "max_tokens": 3})["response"])

    assert run() == expected(7, 3)
    path = store.locate(spec_of(hub))
    if damage in DAMAGES:
        path.write_bytes(DAMAGES[damage](hub.files[FILE]))
        os.utime(path, ns=(1, 1))
    else:
        own = tmp_path / "own.gguf"
        own.write_bytes(flipped(hub.files[FILE]))
        path.unlink()
        try:
            path.symlink_to(own)
        except OSError:
            pytest.skip("this system makes no links")
    before = hub.sent
    with pytest.raises(ModelBroken, match="set aside") as raised:
        run(offline=True)
    assert (raised.value.hint, hub.sent) == ("Run: llamalet pull tiny:Q8_0", before)
    assert run() == expected(7, 3)
    assert store.locate(spec_of(hub)).read_bytes() == hub.files[FILE]


@linux
def test_a_file_that_may_not_be_read_is_told_without_a_traceback(
    hub: LoopbackHub, env: dict[str, str], home: Path
) -> None:
    path = store.pull(spec_of(hub)).path
    os.utime(path, ns=(1, 1))
    path.chmod(0)
    for verb in (["verify", "tiny"], ["run", "tiny", "--offline", *RUN]):
        done = command(env, *verb, preexec_fn=ordinary)
        assert done.returncode == 66
        assert done.stderr.splitlines()[-1] == "  Run: llamalet pull tiny:Q8_0"
    assert command(env, "run", "tiny", *RUN, preexec_fn=ordinary).stdout == f"{expected(7, 3)}\n"


@pytest.mark.parametrize("options", HOMES)
@pytest.mark.parametrize("fate", ["truncated", "overwritten", "deleted"])
@pytest.mark.skipif(sys.platform == "win32", reason="nobody may change a file there that is in use")
def test_what_becomes_of_the_file_of_a_running_model_changes_no_answer(
    canary: Path, tmp_path: Path, options: dict[str, Any], fate: str
) -> None:
    """It is read, and not mapped; a map would end the process here with SIGBUS."""
    path = tmp_path / "model.gguf"
    shutil.copy(canary, path)
    with Runtime(files=[path], threads=1, context=4096, **options) as ai:
        stream = ai.run(str(path), {**ASK, "max_tokens": 2000}, stream=True)
        texts = [next(stream)["response"]]
        if fate == "truncated":
            os.truncate(path, 0)
        elif fate == "overwritten":
            path.write_bytes(random.Random(1).randbytes(path.stat().st_size))
        else:
            path.unlink()
        texts += [event["response"] for event in stream if event.get("response")]
        assert "".join(texts) == expected(7, 2000)


@pytest.mark.parametrize("at", [0.0, 0.5])
@pytest.mark.skipif(sys.platform == "win32", reason="nobody may change a file there that is in use")
def test_a_file_that_is_cut_short_while_it_is_loaded_is_an_error(canary: Path, tmp_path: Path, at: float) -> None:
    path = tmp_path / "model.gguf"
    shutil.copy(canary, path)

    def cut(done: float) -> None:
        if done >= at:
            os.truncate(path, 1000)

    with Runtime(files=[path], threads=1, on_load=cut) as ai, pytest.raises(ModelBroken, match="cannot load"):
        ai.run(str(path), ASK)


# -- memory ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file whose cache and buffers are large."""
    path = tmp_path_factory.mktemp("models") / "wide.gguf"
    random_model(path, layers=8, heads=16, kv_heads=16, context=131072)
    return path


@linux
@pytest.mark.parametrize("name", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_where_a_process_may_take_600_mib_what_needs_more_is_refused_with_the_numbers(wide: Path, name: str) -> None:
    bounds = {"preexec_fn": limit(name, 600 * MIB)}
    done = command(dict(os.environ), "run", str(wide), *RUN, "--context", "131072", **bounds)
    assert (done.returncode, done.stdout) == (69, "")
    told = r"llamalet: wide.gguf:GGUF with 131072 tokens needs [\d.]+ GiB, (\d+) MiB available\.\n  Fits: wide.*\n"
    found = re.fullmatch(told, done.stderr)
    assert found, done.stderr
    assert 200 < int(found[1]) < 600
    assert command(dict(os.environ), "run", str(wide), *RUN, **bounds).returncode == 0


@linux
def test_memory_that_is_not_there_after_all_is_an_error_and_no_end(wide: Path) -> None:
    """Where the user has insisted: llama.cpp asks for it, and does not get it."""
    insists = {**os.environ, "LLAMALET_MEMORY": "100GiB"}
    bounds = {"preexec_fn": limit("RLIMIT_DATA", 600 * MIB)}
    done = command(insists, "run", str(wide), *RUN, "--context", "131072", **bounds)
    assert (done.returncode, done.stdout) == (70, "")
    assert "cannot make a context of 131072 tokens" in done.stderr
    assert done.stderr.endswith("Most often memory is short: try a smaller context.\n")


@linux
def test_a_server_goes_on_after_a_model_that_does_not_fit(canary: Path, wide: Path, home: Path) -> None:
    models = home / "models.toml"
    models.write_text("".join(f"[[model]]\nid = '{path.stem}'\npath = '{path}'\n" for path in (canary, wide)))
    args = ["serve", "--port", "0", "--models", str(models), "--model", "canary", "--context", "131072"]
    limits = limit("RLIMIT_DATA", 600 * MIB)
    with subprocess.Popen(
        [*COMMAND, *args, "--threads", "1"], stderr=subprocess.PIPE, text=True, preexec_fn=limits
    ) as server:
        assert server.stderr
        found = re.search(r"http://[\w.:]+", server.stderr.readline())
        assert found
        try:
            for _ in range(3):
                ask: dict[str, Any] = {"json": {**ASK, "max_tokens": 40}, "timeout": PATIENCE, "trust_env": False}
                refused = httpx.post(f"{found[0]}/ai/run/wide", **ask)
                assert (refused.status_code, "MiB available" in refused.text) == (429, True)
                answer = httpx.post(f"{found[0]}/ai/run/canary", **ask).json()
                assert answer["result"]["response"] == expected(7, 40)
        finally:
            server.terminate()
            server.stderr.read()
    assert server.returncode == 0


# -- the surroundings --------------------------------------------------------------------------------------------------

SURROUNDINGS: dict[str, dict[str, str | None]] = {
    "another time zone": {"TZ": "Pacific/Kiritimati"},
    "no such time zone": {"TZ": "Nowhere/None"},
    "locale C": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "no locale": {"LC_ALL": "xx_XX.NONE"},
    "next to none": dict.fromkeys(("HOME", "USER", "LOGNAME", "LANG", "TERM", "TMPDIR", "SHELL")),
}


@posix
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_what_is_set_around_a_process_has_no_effect(env: dict[str, str], name: str) -> None:
    """HOME alone is known from elsewhere too; the test keeps the real one's configuration away."""
    changed = {**env, "XDG_STATE_HOME": env["HOME"], "XDG_CACHE_HOME": env["HOME"], **SURROUNDINGS[name]}
    kept = {key: value for key, value in changed.items() if value is not None}
    done = command(kept, "run", "tiny", *RUN)
    assert (done.returncode, done.stdout) == (0, f"{expected(7, 3)}\n"), done.stderr


NOBODY = """
import pwd
def unknown(number): raise KeyError(number)
pwd.getpwuid = unknown
"""


@posix
@pytest.mark.parametrize("verb", [["list"], ["run", "1b", "Hi"], ["verify"]])
def test_a_user_without_any_home_is_told_to_set_one(tmp_path: Path, verb: list[str]) -> None:
    """As in a container that is run under a number nobody has."""
    left = ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "HF_HOME")
    kept = {key: value for key, value in os.environ.items() if key not in left} | {"PYTHONPATH": os.getcwd()}
    line = [sys.executable, "-c", NOBODY + COMMAND[2], *verb]
    done = subprocess.run(line, env=kept, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (78, "llamalet: This user has no home folder.\n  Set HOME to one.\n")
    assert list(tmp_path.iterdir()) == []


@posix
def test_a_narrow_umask_has_no_effect(env: dict[str, str], home: Path) -> None:
    done = command(env, "run", "tiny", *RUN, umask=0o077)
    assert (done.returncode, done.stdout) == (0, f"{expected(7, 3)}\n"), done.stderr


@linux
def test_a_cache_that_may_only_be_read_is_used_and_what_it_lacks_is_a_plain_error(
    hub: LoopbackHub, env: dict[str, str], home: Path
) -> None:
    pulled = store.pull(spec_of(hub)).path
    hub.files["other.gguf"] = hub.files[FILE]
    (home / "other.toml").write_text(f"[[model]]\nid = 'other'\nrepo = '{REPO}'\nfile = 'other.gguf'\n")
    folders = [path for path in (home / "hub").rglob("*") if path.is_dir() and not path.is_symlink()]
    for folder in (home / "hub", *folders):
        folder.chmod(0o500)
    try:
        done = command(env, "run", "tiny", *RUN, preexec_fn=ordinary)
        assert (done.returncode, done.stdout) == (0, f"{expected(7, 3)}\n"), done.stderr
        lacks = command(env, "pull", "other", "--models", str(home / "other.toml"), preexec_fn=ordinary)
        assert (lacks.returncode, "Permission denied" in lacks.stderr) == (69, True)
        assert lacks.stderr.splitlines()[-1] == "  Set HF_HOME to a folder of yours."
        pulled.write_bytes(flipped(hub.files[FILE]))
        os.utime(pulled, ns=(1, 1))
        damaged = command(env, "run", "tiny", "--offline", *RUN, preexec_fn=ordinary)
        assert (damaged.returncode, "It cannot be set aside: Permission denied." in damaged.stderr) == (66, True)
    finally:
        for folder in (home / "hub", *folders):
            folder.chmod(0o700)


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_a_clock_that_is_set_meanwhile_has_no_effect(
    hub: LoopbackHub, env: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    real = time.time
    with Runtime(models=home / "models.toml", threads=1, timeout=60, keep_alive="10m") as ai:
        stream = ai.run("tiny", {**ASK, "max_tokens": 30}, stream=True)
        text: str = next(stream)["response"]
        monkeypatch.setattr(time, "time", lambda: real() + jump)
        text += "".join(event["response"] for event in stream if event.get("response"))
        assert text == expected(7, 30)
        assert ai.run("tiny", {**ASK, "max_tokens": 3})["response"] == expected(7, 3)
        assert len(ai.loaded()) == 1
    seen: list[store.Progress] = []
    store.pull(spec_of(hub), progress=seen.append)
    assert seen == []  # its hash is still known


@pytest.mark.parametrize("where", ["no such name", "nobody there"])
def test_without_a_network_a_file_that_is_missing_is_a_plain_error(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        host = "hub.invalid" if where == "no such name" else "127.0.0.1"
        address = f"http://{host}:{taken.getsockname()[1]}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/{revision}/{filename}")
        with pytest.raises(DownloadFailed, match=r"could not be fetched: .*, 3 times in a row") as raised:
            store.pull(spec_of(hub))
    assert "Check the connection" in str(raised.value.hint)
