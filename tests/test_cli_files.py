"""`llamalet pull`, `rm`, `verify` and `path`, and the first use by `run`, with a hub on loopback."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from runtime import catalog, store
from tests.hub import COMMIT, REPO, Fault, LoopbackHub
from tests.stores import FILE, environment
from tests.test_cli_process import COMMAND

if TYPE_CHECKING:
    from pathlib import Path

    from tests.commands import Shell

PATIENCE = 60  # seconds until a test that waits gives up
TEXT = f"hf:{REPO}/{FILE}"


@pytest.fixture
def tiny(hub: LoopbackHub, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a model that the hub has, in the user's own models file."""
    file = home / "models.toml"
    entry = f"repo = '{REPO}'\nrevision = '{COMMIT}'\nfile = '{FILE}'\n"
    file.write_text(f"[[model]]\nid = 'tiny'\naliases = ['t']\n{entry}sha256 = '{hub.sha256(FILE)}'\n")
    monkeypatch.setenv("LLAMALET_MODELS", str(file))
    return "tiny"


def where(home: Path) -> Path:
    return home / "hub" / "models--me--models" / "snapshots" / COMMIT / FILE


def test_pull_prints_where_the_file_is(shell: Shell, home: Path, tiny: str) -> None:
    result = shell("pull", tiny)
    assert (result.exit_code, result.stdout) == (0, f"{where(home)}\n")
    assert "tiny:Q8_0 100%  3.0 MB of 3.0 MB" in result.stderr


def test_pull_in_json_ends_with_what_there_is(shell: Shell, hub: LoopbackHub, home: Path, tiny: str) -> None:
    result = shell("pull", tiny, "--json")
    *events, last = map(json.loads, result.stdout.splitlines())
    assert (result.stderr, {one["event"] for one in events}) == ("", {"progress"})
    size, sha256 = len(hub.files[FILE]), hub.sha256(FILE)
    expected = {"event": "pulled", "model": "tiny", "quant": "Q8_0", "path": str(where(home)), "bytes": size}
    assert last == expected | {"sha256": sha256, "fetched": size}


def test_pull_of_what_is_here_says_where_it_is(shell: Shell, home: Path, tiny: str) -> None:
    shell("pull", tiny)
    result = shell("pull", "t:q8_0", "--offline")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{where(home)}\n", "")


def test_pull_fetches_the_default_though_another_quant_is_here(
    shell: Shell, hub: LoopbackHub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files["tiny-Q4_0.gguf"] = hub.files[FILE]
    file = home / "models.toml"
    quants = f"Q8_0 = {{ file = '{FILE}' }}\nQ4_0 = {{ file = 'tiny-Q4_0.gguf' }}\n"
    head = f"[[model]]\nid = 'tiny'\nrepo = '{REPO}'\ndefault_quant = 'Q4_0'\n"
    file.write_text(f"{head}[model.quants]\n{quants}")
    monkeypatch.setenv("LLAMALET_MODELS", str(file))
    shell("pull", "tiny:Q8_0")
    assert shell("pull", "tiny").stdout.endswith("tiny-Q4_0.gguf\n")
    monkeypatch.setenv("LLAMALET_QUANT", "q8_0")
    assert shell("pull", "tiny").stdout.endswith(f"{FILE}\n")


@pytest.mark.parametrize(
    ("change", "code", "complaint"),
    [
        ({"gated": True}, 77, "me/models is gated (401)."),
        ({"token": "hf_secret"}, 77, "The hub has no repository me/models without a token (401)."),
        ({"files": {}}, 69, f"me/models has no file {FILE}."),
        ({"faults": [Fault(flip=2_000_000)]}, 66, "What came for tiny:Q8_0 has the sha256 "),
        ({"faults": [Fault(429, after="900")]}, 69, "The file could not be fetched: the server answers 429."),
    ],
)
def test_what_goes_wrong_is_told_with_its_code_and_what_to_do(
    shell: Shell, hub: LoopbackHub, tiny: str, change: dict[str, Any], code: int, complaint: str
) -> None:
    for name, value in change.items():
        setattr(hub, name, value)
    result = shell("pull", tiny)
    said = result.stderr.splitlines()
    assert (result.exit_code, result.stdout) == (code, "")
    assert said[-2].startswith(f"llamalet: {complaint}")
    assert said[-1].startswith("  ")


def test_a_model_of_the_hub_is_written_into_the_users_models_file(shell: Shell, hub: LoopbackHub, home: Path) -> None:
    result = shell("pull", TEXT, "--name", "mine")
    file = home / ".config" / "llamalet" / "models.toml"
    if not file.exists():
        pytest.skip("this system has its configuration elsewhere")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (0, f"llamalet: mine stands in {file}")
    assert shell("path", "mine").stdout == f"{where(home)}\n"
    assert shell("run", "mine", "Hi").stdout == "ok\n"


def test_the_users_models_file_may_be_elsewhere(shell: Shell, hub: LoopbackHub, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.touch()
    assert shell("pull", TEXT, "--models", str(file)).exit_code == 0
    assert catalog.load(file).find("tiny-q8_0").spec.repo == REPO


def test_a_name_goes_with_a_file_of_the_hub_only(shell: Shell) -> None:
    assert shell("pull", "1b", "--name", "mine").exit_code == 2


def test_pull_of_what_does_not_fit_is_refused_unless_it_shall_be_anyway(
    shell: Shell, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMALET_MEMORY", "300MiB")
    result = shell("pull", "1b")
    assert (result.exit_code, hub.requests) == (69, [])
    assert "300 MiB available" in result.stderr
    assert result.stderr.endswith("Or fetch it anyway: --anyway.\n")
    shell("pull", "1b", "--anyway")  # this hub does not have it
    assert hub.requests


def test_run_fetches_on_its_first_use(shell: Shell, hub: LoopbackHub, tiny: str) -> None:
    result = shell("run", tiny, "Hi")
    assert (result.exit_code, result.stdout) == (0, "ok\n")
    assert "tiny:Q8_0 100%" in result.stderr


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_offline_run_fetches_nothing(
    shell: Shell, hub: LoopbackHub, tiny: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "variable":
        monkeypatch.setenv("LLAMALET_OFFLINE", "1")
    result = shell("run", tiny, "Hi", *(["--offline"] if way == "flag" else []))
    assert result.stderr == "llamalet: tiny:Q8_0 is not on this machine.\n  Run: llamalet pull t:Q8_0\n"
    assert (result.exit_code, hub.requests) == (66, [])


def test_path_of_a_model_that_is_not_here_is_an_error(shell: Shell, tiny: str) -> None:
    result = shell("path", tiny)
    assert (result.exit_code, result.stdout, "Run: llamalet pull t:Q8_0" in result.stderr) == (66, "", True)


def test_path_in_json(shell: Shell, home: Path, tiny: str) -> None:
    shell("pull", tiny)
    assert json.loads(shell("path", "t", "--json").stdout) == {"model": "tiny", "path": str(where(home))}


def test_rm_deletes_the_file_and_what_was_left(shell: Shell, home: Path, tiny: str) -> None:
    shell("pull", tiny)
    (home / "hub" / "models--me--models" / "blobs" / "abc.part").touch()
    result = shell("rm", tiny)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "removed tiny:Q8_0, 3.0 MB\n")
    assert [one for one in (home / "hub" / "models--me--models").rglob("*.*") if one.is_file()] == []
    assert shell("rm", tiny).exit_code == 66


def test_rm_in_json(shell: Shell, home: Path, tiny: str) -> None:
    shell("pull", tiny)
    removed = {"quant": "Q8_0", "path": str(where(home)), "bytes": 3_000_000}
    assert json.loads(shell("rm", "tiny:Q8_0", "--json").stdout) == {"model": "tiny", "removed": [removed]}


def test_rm_of_a_file_of_the_users_own_is_refused(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "own.gguf").touch()
    (tmp_path / "models.toml").write_text("[[model]]\nid = 'mine'\npath = 'own.gguf'\n")
    result = shell("rm", "mine", "--models", str(tmp_path / "models.toml"))
    assert (result.exit_code, "Delete it yourself." in result.stderr) == (66, True)
    assert (tmp_path / "own.gguf").exists()


def test_verify_reads_every_file_that_is_here(shell: Shell, hub: LoopbackHub, tiny: str) -> None:
    assert (shell("verify").exit_code, shell("verify").stdout) == (0, "")
    shell("pull", tiny)
    result = shell("verify")
    assert (result.exit_code, result.stdout) == (0, f"tiny:Q8_0  {hub.sha256(FILE)}  ok\n")


def test_verify_finds_a_changed_byte_and_sets_the_file_aside(shell: Shell, home: Path, tiny: str) -> None:
    shell("pull", tiny)
    path = where(home)
    times = path.stat().st_mtime_ns
    with path.open("r+b") as file:
        file.seek(2_000_000)
        file.write(b"\0\0")
    os.utime(path, ns=(times, times))  # the disk's fault leaves no date
    assert store.available(catalog.load(home / "models.toml").find(tiny).spec)
    result = shell("verify", tiny)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (66, "  Run: llamalet pull t:Q8_0")
    assert "instead of" in result.stderr
    assert shell("path", tiny).exit_code == 66


def test_verify_finds_a_file_that_was_cut_short(shell: Shell, home: Path, hub: LoopbackHub, tiny: str) -> None:
    shell("pull", tiny)
    os.truncate(where(home), 1000)
    (row,) = json.loads(shell("verify", "--json").stdout)
    assert (row["ok"], "has the sha256" in row["problem"], row["hint"]) == (False, True, "Run: llamalet pull t:Q8_0")


def test_verify_of_a_model_that_is_not_here_is_an_error(shell: Shell, tiny: str) -> None:
    assert shell("verify", tiny).exit_code == 66


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
def test_on_a_terminal_there_is_a_bar_and_after_a_kill_it_goes_on(hub: LoopbackHub, tiny: str, home: Path) -> None:
    import pty

    hub.always = Fault(rate=6e6)
    ours, theirs = pty.openpty()
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": theirs, "stdin": theirs}
    first = subprocess.Popen([*COMMAND, "pull", tiny], env=environment(hub) | {"COLUMNS": "100"}, **pipes)
    shown = _read_until(ours, b"#")
    first.send_signal(signal.SIGKILL)
    first.wait(PATIENCE)
    (part,) = (home / "hub").rglob("*.part")
    had, hub.always = part.stat().st_size, None
    hub.requests.clear()
    done = subprocess.run([*COMMAND, "pull", tiny], env=environment(hub), check=False, timeout=PATIENCE, **pipes)
    assert (done.returncode, hub.sent) == (0, len(hub.files[FILE]) - had)
    assert b"\rtiny:Q8_0 [" in shown
    assert b"\n" not in shown
    assert _read_until(ours, b"\r\x1b[K").endswith(b"\r\x1b[K")
    os.close(ours)
    os.close(theirs)


def _read_until(terminal: int, wanted: bytes) -> bytes:
    got, end = b"", time.monotonic() + PATIENCE
    while wanted not in got:
        assert time.monotonic() < end
        if select.select([terminal], [], [], 0.1)[0]:
            got += os.read(terminal, 65536)
    return got
