"""Whether the llama.cpp that is installed suits this CPU.

It is asked in a child process: where the CPU lacks what it was built for, the system ends the process that calls it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime import machine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CODE = "from runtime.engine.llama import system_info; print(system_info())"
PATIENCE = 120.0  # seconds: a first import from an SD card takes many
_ILLEGAL = 0xC000001D  # STATUS_ILLEGAL_INSTRUCTION, as which Windows ends a process
WORTH = ("AVX2", "DOTPROD", "MATMUL_INT8")  # instruction sets that llama.cpp has kernels for quantized weights in


@dataclass(frozen=True, slots=True)
class Binary:
    """features: what it was built with, as llama.cpp lists it. problem: why it cannot be loaded, None where it can.
    missing: what it was built with and this CPU has not. unused: what this CPU has that would make it faster."""

    features: str = ""
    problem: str | None = None
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def check(command: Sequence[str] = (sys.executable, "-P", "-c", CODE)) -> Binary:
    """Load it in a process of its own, which is to print what it was built with."""
    folder = str(Path(machine.__file__).parents[2])
    paths = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
    options: dict[str, Any] = {"capture_output": True, "encoding": "utf-8", "errors": "replace", "timeout": PATIENCE}
    try:
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, check=False, **options)  # noqa: S603 - ours
    except (OSError, subprocess.TimeoutExpired) as error:
        return Binary(problem=str(error))
    if done.returncode:
        return Binary(problem=_ending(done.returncode, done.stderr))
    return compared(done.stdout.strip(), machine.features())


def compared(features: str, cpu: Mapping[str, bool]) -> Binary:
    """features: "CPU : SSE3 = 1 | AVX2 = 1 | ...". cpu: what is known of this one."""
    built = re.findall(r"(\w+) = 1\b", features)
    missing = tuple(name for name in built if cpu.get(name) is False)
    return Binary(features, None, missing, tuple(name for name in WORTH if cpu.get(name) and name not in built))


def _ending(code: int, said: str) -> str:
    """How a process ended, in words."""
    if code in (-getattr(signal, "SIGILL", 4), _ILLEGAL):
        return "it uses an instruction that this CPU does not have"
    if code < 0:
        return f"it ended with {signal.Signals(-code).name}"
    return (said.strip().splitlines() or [f"it ended with {code}"])[-1]
