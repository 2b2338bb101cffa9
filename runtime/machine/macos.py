"""The facts of a Mac, from sysctl and psutil. There is no affinity and no quota to ask for.

No machine of the project runs this: the tests have made-up answers of sysctl.
"""

from __future__ import annotations

import platform
import subprocess
from typing import TYPE_CHECKING, Any

import psutil

from runtime.machine.facts import Core, Memory

if TYPE_CHECKING:
    from collections.abc import Callable


# Instruction sets by llama.cpp's names, and what sysctl calls them under hw.optional (xnu's kern_mib.c).
_SETS = {
    "SSE3": "sse3", "SSSE3": "supplementalsse3", "AVX": "avx1_0", "AVX2": "avx2_0", "F16C": "f16c", "FMA": "fma",
    "BMI2": "bmi2", "AVX512": "avx512f", "AVX512_VBMI": "avx512vbmi", "NEON": "neon", "FP16_VA": "arm.FEAT_FP16",
    "DOTPROD": "arm.FEAT_DotProd", "MATMUL_INT8": "arm.FEAT_I8MM", "SME": "arm.FEAT_SME", "SME2": "arm.FEAT_SME2",
}  # fmt: skip


def sysctl(name: str) -> str:
    """What the system says of that name, "" for one it does not know."""
    command = ["/usr/sbin/sysctl", "-n", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)  # noqa: S603 - ours
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def cores(ask: Callable[[str], str] = sysctl) -> tuple[Core, ...]:
    """Level 0 are the performance cores of Apple silicon, level 1 the efficiency cores; Intel's have no levels."""
    fast = _number(ask("hw.perflevel0.physicalcpu"))
    slow = _number(ask("hw.perflevel1.physicalcpu")) if fast else 0
    speeds = [1.0] * (fast or _number(ask("hw.physicalcpu")) or 1) + [0.5] * slow
    return tuple(Core(frozenset({number}), speed) for number, speed in enumerate(speeds))


def allowed() -> set[int] | None:
    return None


def quota() -> float | None:
    return None


def memory(ask: Callable[[], Any] = psutil.virtual_memory) -> Memory:
    """What vm_stat calls free and inactive is available."""
    found = ask()
    return Memory(total=found.total, available=found.available)


def features(ask: Callable[[str], str] = sysctl) -> dict[str, bool]:
    """A name that sysctl does not know is of the other kind of CPU, or newer than the system."""
    said = {name: ask(f"hw.optional.{word}") for name, word in _SETS.items()}
    return {name: text == "1" for name, text in said.items() if text}


def give_back() -> None:
    """Nothing: macOS has no such call that a program would need."""


def hold_to(more: int) -> int:
    """Nothing: macOS does not keep to the bound that a process sets itself."""
    return 0


def copies_output(machine: str | None = None) -> bool:
    """All of Apple silicon has dot products."""
    return (machine or platform.machine()) == "arm64"


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
