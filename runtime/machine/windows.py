"""The facts of a Windows machine, from kernel32 and psutil. Limits of job objects are not asked for.

No machine of the project runs this: the tests have made-up answers.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys
from typing import TYPE_CHECKING, Any

import psutil

from runtime.machine.facts import Core, Memory, unknown_cores

if TYPE_CHECKING:
    from collections.abc import Callable

_RELATION_CORE = 0  # RelationProcessorCore
_HEAD = struct.Struct("<IIBB20xH")  # relationship, size; flags, efficiency class, reserved, count of group masks
_MASK = struct.Struct("<QH6x")  # GROUP_AFFINITY: processors of a group of at most 64, and its number
# Of winnt.h, PF_..._INSTRUCTIONS_AVAILABLE, by llama.cpp's names.
_X86 = {"SSE3": 13, "SSSE3": 36, "AVX": 39, "AVX2": 40, "AVX512": 41}
_ARM = {"NEON": 19, "DOTPROD": 43}


def processor_information() -> bytes:
    """What GetLogicalProcessorInformationEx gives for cores; b"" where it gives nothing."""
    if sys.platform != "win32":
        return b""
    ask = ctypes.windll.kernel32.GetLogicalProcessorInformationEx
    size = ctypes.c_ulong(0)
    ask(_RELATION_CORE, None, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    return buffer.raw[: size.value] if ask(_RELATION_CORE, buffer, ctypes.byref(size)) else b""


def cores(information: bytes | None = None) -> tuple[Core, ...]:
    """Each core with its processors. A higher efficiency class is a faster core; the class is no measure of how much,
    so that all but the highest count as slow."""
    data = processor_information() if information is None else information
    found = []
    while len(data) >= _HEAD.size:
        relation, size, _, efficiency, groups = _HEAD.unpack_from(data)
        if relation == _RELATION_CORE:
            masks = [_MASK.unpack_from(data, _HEAD.size + _MASK.size * index) for index in range(groups)]
            found.append((efficiency, frozenset(64 * group + bit for mask, group in masks for bit in _bits(mask))))
        data = data[max(size, _HEAD.size) :]
    best = max((efficiency for efficiency, _ in found), default=0)
    if not found:
        logical = psutil.cpu_count() or 1
        return unknown_cores(psutil.cpu_count(logical=False) or logical, range(logical))
    return tuple(Core(processors, 1.0 if efficiency == best else 0.5) for efficiency, processors in found)


def allowed(ask: Callable[[], list[int]] | None = None, processors: int | None = None) -> set[int] | None:
    """The affinity mask. It speaks of one group of 64 processors, so on larger machines it is not asked for."""
    if (processors or psutil.cpu_count() or 1) > 64:
        return None
    return set(psutil.Process().cpu_affinity() if ask is None else ask())  # type: ignore[attr-defined, unused-ignore]


def quota() -> float | None:
    return None


def memory(ask: Callable[[], Any] = psutil.virtual_memory) -> Memory:
    found = ask()
    return Memory(total=found.total, available=found.available)


def give_back() -> None:
    """Nothing: Windows has no such call that a program would need."""


def hold_to(more: int) -> int:
    """Nothing: Windows bounds jobs, and not processes by themselves."""
    return 0


def present(number: int) -> bool:
    """What IsProcessorFeaturePresent says."""
    return sys.platform == "win32" and bool(ctypes.windll.kernel32.IsProcessorFeaturePresent(number))


def copies_output() -> bool:
    return platform.machine() == "ARM64" and present(_ARM["DOTPROD"])


def features(ask: Callable[[int], bool] = present, machine: str | None = None) -> dict[str, bool]:
    """Numbers from 36 on are unknown to older Windows, which then says no to all of them; since every CPU that runs
    llama.cpp has SSSE3, a no to that tells so."""
    if (machine or platform.machine()) == "ARM64":
        return {name: ask(number) for name, number in _ARM.items()}
    return {name: ask(number) for name, number in _X86.items()} if ask(_X86["SSSE3"]) else {}


def _bits(mask: int) -> list[int]:
    return [bit for bit in range(64) if mask >> bit & 1]
