"""The command line as a process of its own, with the real engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.models import expected, key_token

CODE = "from runtime.cli import main; main(prog_name='llamalet')"
COMMAND = [sys.executable, "-c", CODE]
PROMPT = f"Say {key_token(7)}."
PATIENCE = 120  # seconds until a test that waits for a process gives up
FOREVER = ["--context", "131072", "--max-tokens", "120000", "--threads", "1"]
TOKENS = 60_000  # two such answers fit the context
posix = pytest.mark.skipif(sys.platform == "win32", reason="a process there gets no Ctrl-C from another")


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), **variables}


def llamalet(*args: str, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
    env = environment(**variables)
    return subprocess.run([*COMMAND, *args], input=stdin, capture_output=True, env=env, timeout=PATIENCE, check=False)


def start(*args: str, stdin: Any = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    pipes: dict[str, Any] = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0}
    return subprocess.Popen([*COMMAND, *args], env=environment(), **pipes)


def test_the_answer_goes_to_stdout_and_nothing_to_stderr(canary: Path) -> None:
    done = llamalet("run", str(canary), PROMPT, "--max-tokens", "5", "--temperature", "0")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{expected(7, 5)}{os.linesep}".encode(), b"")


def test_json_is_one_line(canary: Path) -> None:
    done = llamalet("run", str(canary), "--json", "--max-tokens", "5", "--temperature", "0", stdin=PROMPT.encode())
    assert (json.loads(done.stdout)["response"], done.stdout.count(b"\n"), done.stderr) == (expected(7, 5), 1, b"")


def test_the_log_of_llama_cpp_comes_only_when_it_is_asked_for(canary: Path) -> None:
    done = llamalet("-vv", "run", str(canary), PROMPT, "--max-tokens", "1", "--temperature", "0")
    assert (done.returncode, done.stdout.decode().strip()) == (0, expected(7, 1).strip())
    assert b"llamalet.llama: llama_model_loader:" in done.stderr


def test_once_verbose_is_without_the_log_of_llama_cpp(canary: Path) -> None:
    done = llamalet("-v", "run", str(canary), PROMPT, "--max-tokens", "1")
    assert done.stderr.decode().splitlines() == [f"llamalet: loading {canary}"]


def test_a_broken_file_is_told_without_a_traceback(tmp_path: Path, canary: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(canary.read_bytes()[:-1000])
    done = llamalet("run", str(path), PROMPT)
    assert (done.returncode, done.stdout) == (66, b"")
    assert done.stderr.startswith(f"llamalet: {path} is cut short".encode())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_pipes_are_utf_8_whatever_the_systems_encoding(encoding: str) -> None:
    done = llamalet("info", "1b", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert (done.returncode, "Copyright © Meta" in done.stdout.decode()) == (0, True)


def test_stdin_that_is_not_utf_8_is_refused_whatever_the_systems_encoding(canary: Path) -> None:
    done = llamalet("run", str(canary), stdin=b"Zo\xeb", PYTHONIOENCODING="utf-8:surrogateescape")
    assert (done.returncode, b"it holds the byte 0xeb" in done.stderr) == (65, True)


def test_a_reader_that_goes_away_ends_the_answer_without_a_traceback(canary: Path) -> None:
    with start("run", str(canary), PROMPT, *FOREVER) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(1)
        process.stdout.close()
        assert (process.wait(PATIENCE), process.stderr.read()) == (1, b"")


@posix
def test_ctrl_c_ends_an_answer_with_130(canary: Path) -> None:
    with start("run", str(canary), PROMPT, *FOREVER) as process:
        assert process.stdout
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=PATIENCE)
    assert (process.returncode, complaint) == (130, b"\n")


@posix
def test_ctrl_c_in_a_chat_stops_only_the_answer(canary: Path) -> None:
    args = [str(canary), "--temperature", "0"]
    with start("chat", *args, *FOREVER[:2], "--max-tokens", str(TOKENS), stdin=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{PROMPT}\n".encode())
        written = process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        process.stdin.write(b"Again.\n")
        while not written.partition(b"\n")[2]:
            written += process.stdout.read(4096)
        process.send_signal(signal.SIGINT)
        rest, complaint = process.communicate(timeout=PATIENCE)
    first, second, end = (written + rest).split(b"\n")
    assert (process.returncode, complaint, end) == (0, b"", b"")
    for one in (first, second):
        assert expected(7, TOKENS - 1).encode().startswith(one)
