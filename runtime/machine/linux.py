"""The facts of a Linux machine, from /proc and /sys.

root: of the file system that has these, so that a test can put up another.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from runtime.machine.facts import Core, Memory, unknown_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path("/")
_CPUS = "sys/devices/system/cpu"
# Instruction sets as /proc/cpuinfo names them, and as llama.cpp does (ggml-cpu.cpp, ggml_backend_cpu_get_features).
_X86 = {
    "pni": "SSE3", "ssse3": "SSSE3", "avx": "AVX", "avx_vnni": "AVX_VNNI", "avx2": "AVX2", "f16c": "F16C", "fma": "FMA",
    "bmi2": "BMI2", "avx512f": "AVX512", "avx512vbmi": "AVX512_VBMI", "avx512_vnni": "AVX512_VNNI",
    "avx512_bf16": "AVX512_BF16", "amx_int8": "AMX_INT8",
}  # fmt: skip
_ARM = {
    "asimd": "NEON", "asimdhp": "FP16_VA", "asimddp": "DOTPROD", "i8mm": "MATMUL_INT8", "sve": "SVE", "sme": "SME",
    "sme2": "SME2",
}  # fmt: skip
_SLOW = 0.5  # speed of an efficiency core on Intel's hybrid chips, where only the kind is known


def cores(root: Path = ROOT) -> tuple[Core, ...]:
    """The cores that are on, by /sys; where that has none, as many as psutil counts."""
    found: dict[frozenset[int], float] = {}
    speeds = _speeds(root)
    for folder in sorted((root / _CPUS).glob("cpu[0-9]*")):
        number = int(folder.name[3:])
        siblings = _read(folder / "topology/core_cpus_list") or _read(folder / "topology/thread_siblings_list")
        if siblings.strip():  # else it is off
            found[frozenset(_numbers(siblings) | {number})] = speeds.get(number, 1.0)
    return tuple(Core(processors, speed) for processors, speed in found.items()) or _counted()


def _counted() -> tuple[Core, ...]:
    import psutil

    processors = allowed() or range(os.cpu_count() or 1)
    return unknown_cores(psutil.cpu_count(logical=False) or len(processors), processors)


def _speeds(root: Path) -> dict[int, float]:
    """Of each logical processor: by Intel's two kinds, else as the scheduler weighs them, else by frequency."""
    if slow := _read(root / "sys/devices/cpu_atom/cpus"):
        return dict.fromkeys(_numbers(slow), _SLOW)
    for name in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        found = {
            int(path.parents[name.count("/")].name[3:]): _read(path)
            for path in (root / _CPUS).glob(f"cpu[0-9]*/{name}")
        }
        if found and all(text.strip().isdecimal() for text in found.values()):
            return {number: float(text) for number, text in found.items()}
    return {}


def allowed() -> set[int] | None:
    """The affinity mask, which cpusets narrow too."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def quota(root: Path = ROOT) -> float | None:
    """Processors' worth of time that the control groups of this process may use; None where nothing bounds it.

    The smallest bound of the process's own group and of all above it counts, in version 2 and in version 1.
    """
    return min((quota for group in _groups(root, "cpu") if (quota := _quota(group)) is not None), default=None)


def memory(root: Path = ROOT) -> Memory:
    """Memory, bounded by the control groups of this process and all above, in version 2 and in version 1, and by what
    `ulimit -v` and `-d` set."""
    lines = re.findall(r"^(\w+): +(\d+) kB$", _read(root / "proc/meminfo"), re.MULTILINE)
    kilobytes = {name: int(value) for name, value in lines}
    total, available = 1024 * kilobytes.get("MemTotal", 0), 1024 * kilobytes.get("MemAvailable", 0)
    if not available:
        import psutil

        total, available = psutil.virtual_memory().total, psutil.virtual_memory().available
    bounds = [bound for group in _groups(root, "memory") if (bound := _bound(group)) is not None]
    bounds += _own_bounds(root)
    limits = [limit for limit, _ in bounds if limit < total]
    return Memory(total, max(0, min([available, *(room for _, room in bounds)])), min(limits, default=None))


def copies_output(root: Path = ROOT) -> bool:
    """Whether this is an ARM CPU with dot products (a Raspberry Pi 5, not a 4)."""
    return "asimddp" in _read(root / "proc/cpuinfo").split()


def hold_to(more: int, root: Path = ROOT) -> int:
    """By RLIMIT_DATA, which counts all private memory that can be written to, used or not."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    has = re.search(r"^VmData:\s+(\d+) kB$", _read(root / "proc/self/status"), re.MULTILINE)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if not has or not more:
        return 0
    bound = int(has[1]) * 1024 + more
    if most != resource.RLIM_INFINITY:
        bound = min(bound, most)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, most))
    return bound


def features(root: Path = ROOT) -> dict[str, bool]:
    text = _read(root / "proc/cpuinfo")
    for line, names in (("flags", _X86), ("Features", _ARM)):
        if found := re.search(rf"^{line}\s*:(.*)$", text, re.MULTILINE):
            words = set(found[1].split())
            return {name: word in words for word, name in names.items()}
    return {}


def give_back() -> None:
    """glibc keeps what is freed in small blocks, the vocabulary's above all, until it is told to give it up."""
    with contextlib.suppress(OSError, AttributeError):  # musl and others have no such function
        ctypes.CDLL(None).malloc_trim(0)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups of this process, each from its own up to the root of the hierarchy.

    A line of /proc/self/cgroup is `number:controllers:path`. In a container the path may be one that only the host
    sees; then the folders that do not exist bound nothing, and the root, which is the container's own group, does.
    """
    mount = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (line + "::").split(":")[:3]
        if not controllers:  # version 2
            yield from _upwards(mount, path)
        elif controller in controllers.split(","):
            yield from _upwards(mount / controllers, path)
            yield from _upwards(mount / controller, path)  # how some systems name it without a link


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
    for depth in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:depth])


def _quota(group: Path) -> float | None:
    """Quota divided by period, both in microseconds. `max`, -1 or no file at all is no bound."""
    words = _read(group / "cpu.max").split() or [
        *_read(group / "cpu.cfs_quota_us").split(),
        *_read(group / "cpu.cfs_period_us").split(),
    ]
    try:
        quota, period = map(int, words)
    except ValueError:
        return None
    return quota / period if quota > 0 and period > 0 else None


def _bound(group: Path) -> tuple[int, int] | None:
    """The group's limit, and what of it is left; None without one. Files that the kernel keeps in memory count against
    it, and are given up when it is reached."""
    texts = [_read(group / name).strip() for name in ("memory.max", "memory.high", "memory.limit_in_bytes")]
    limits = [int(text) for text in texts if text.isdecimal()]
    used = (_read(group / "memory.current") or _read(group / "memory.usage_in_bytes")).strip()
    if not limits:
        return None
    kept = dict(re.findall(r"^(\w+) (\d+)$", _read(group / "memory.stat"), re.MULTILINE))
    hierarchical = "total_" if "total_inactive_file" in kept else ""  # version 1 counts groups below apart
    files = sum(int(kept.get(f"{hierarchical}{kind}_file", 0)) for kind in ("inactive", "active"))
    return min(limits), min(limits) - (int(used) if used.isdecimal() else 0) + files


def _own_bounds(root: Path) -> Iterator[tuple[int, int]]:
    """As `_bound`, of the limits on this process itself: address space, and data."""
    limits, status = _read(root / "proc/self/limits"), _read(root / "proc/self/status")
    for name, used in (("address space", "VmSize"), ("data size", "VmData")):
        limit = re.search(rf"^Max {name} +(\d+) ", limits, re.MULTILINE)
        taken = re.search(rf"^{used}:\s+(\d+) kB$", status, re.MULTILINE)
        if limit and taken:
            yield int(limit[1]), int(limit[1]) - 1024 * int(taken[1])


def _numbers(text: str) -> set[int]:
    """ "0-3,8" -> {0, 1, 2, 3, 8}."""
    ranges = re.findall(r"(\d+)(?:-(\d+))?", text)
    return {number for low, high in ranges for number in range(int(low), int(high or low) + 1)}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
