"""Whether llama.cpp suits the CPU: the one that is here, and ones that end in every way."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest

from runtime import machine
from runtime.engine import binary
from runtime.engine.binary import Binary

if TYPE_CHECKING:
    from pathlib import Path

BUILT = "CPU : SSE3 = 1 | AVX2 = 1 | AVX512 = 1 | LLAMAFILE = 1 | OPENMP = 1 | REPACK = 1"
NEON = "CPU : NEON = 1 | ARM_FMA = 1 | LLAMAFILE = 1 | REPACK = 1"
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


def ends(code: str) -> Binary:
    return binary.check([sys.executable, "-c", code])


def test_the_one_that_is_here_suits_this_cpu() -> None:
    found = binary.check()
    assert found.features.startswith("CPU : ")
    assert (found.problem, found.missing) == (None, ())


def test_a_folder_in_which_the_command_is_given_cannot_stand_in_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runtime.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    assert binary.check().problem is None


@posix
def test_one_that_meets_an_illegal_instruction_is_told_as_that() -> None:
    found = ends(f"import os; os.kill(os.getpid(), {int(signal.SIGILL)})")
    assert found == Binary(problem="it uses an instruction that this CPU does not have")


def test_windows_ends_a_process_in_its_own_words() -> None:
    assert binary._ending(0xC000001D, "") == "it uses an instruction that this CPU does not have"


@posix
def test_one_that_crashes_otherwise_is_told_by_its_signal() -> None:
    assert ends(f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})").problem == "it ended with SIGSEGV"


def test_one_that_cannot_be_imported_is_told_by_its_error() -> None:
    assert ends("raise ImportError('libggml.so: no such file')").problem == "ImportError: libggml.so: no such file"


def test_one_that_ends_without_a_word_is_told_by_its_status() -> None:
    assert ends("raise SystemExit(3)").problem == "it ended with 3"


def test_one_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "PATIENCE", 0.01)
    assert "timed out" in str(ends("input()").problem)


def test_a_python_that_cannot_be_started_is_told() -> None:
    assert "nowhere" in str(binary.check(["nowhere/python"]).problem)


@pytest.mark.parametrize(
    ("features", "cpu", "missing", "unused"),
    [
        (BUILT, {"SSE3": True, "AVX2": True, "AVX512": True}, (), ()),
        (BUILT, {"SSE3": True, "AVX2": False, "AVX512": False}, ("AVX2", "AVX512"), ()),
        (BUILT, {}, (), ()),  # nothing is known
        (NEON, {"NEON": True, "DOTPROD": True, "MATMUL_INT8": False}, (), ("DOTPROD",)),  # a wheel on a Raspberry Pi 5
        (NEON, {"NEON": True, "DOTPROD": False}, (), ()),  # and on a 4
        ("CPU : SSE3 = 1", {"SSE3": True, "AVX2": True}, (), ("AVX2",)),
    ],
)
def test_what_it_was_built_with_is_compared_with_what_the_cpu_has(
    features: str, cpu: dict[str, bool], missing: tuple[str, ...], unused: tuple[str, ...]
) -> None:
    found = binary.compared(features, cpu)
    assert (found.problem, found.missing, found.unused) == (None, missing, unused)


def test_this_cpu_is_known_to_have_what_runs_on_it() -> None:
    known = machine.features()
    if not known:
        pytest.skip("this system does not say what its CPU has")
    assert known.get("SSE3") or known.get("NEON")
