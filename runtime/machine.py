"""What the operating system is asked: the processor's cores that may be used, and the memory in use.

Each function takes what it would ask for as an argument too, so that a test (or a user) can say it instead.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path("/")


def threads(*, cores: int | None = None, affinity: int | None = None, root: Path = ROOT) -> int:
    """How many threads to compute with, at least 1.

    cores: physical cores of the machine (two threads on one core share its vector units: nothing is gained).
    affinity: logical processors this process may run on (taskset, cpusets, containers).
    root: of the file system that has /proc and /sys, for the CPU quota of the process's control groups. A quota is
        rounded down: the thread that exceeds it is stopped for the rest of the period, and all the others wait for it
        at each barrier (github.com/ollama/ollama/issues/17916: 0.27 instead of 12 tokens/s).
    """
    bounds = [
        physical_cores() if cores is None else cores,
        usable_processors() if affinity is None else affinity,
    ]
    quota = cpu_quota(root)
    if quota is not None:
        bounds.append(int(quota))
    return max(1, min(bounds))


def physical_cores() -> int:
    """Physical cores, or the logical ones where the system does not tell them apart (some ARM boards)."""
    import psutil

    return psutil.cpu_count(logical=False) or os.cpu_count() or 1


def usable_processors() -> int:
    """Logical processors this process may run on; all of them where the system has no such bound to ask for."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(root: Path = ROOT) -> float | None:
    """Processors' worth of time that the control groups of this process may use; None where nothing bounds it.

    The smallest bound of the process's own group and of all above it counts, in version 2 and in version 1.
    """
    return min((quota for group in _groups(root) if (quota := _quota(group)) is not None), default=None)


def resident_bytes() -> int:
    """Bytes of memory that this process has in RAM, mapped files among them."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def _groups(root: Path) -> Iterator[Path]:
    """Folders of the control groups of this process, each from its own up to the root of the hierarchy.

    A line of /proc/self/cgroup is `number:controllers:path`. In a container the path may be one that only the host
    sees; then the folders that do not exist bound nothing, and the root, which is the container's own group, does.
    """
    mount = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (line + "::").split(":")[:3]
        if not controllers:  # version 2
            yield from _upwards(mount, path)
        elif "cpu" in controllers.split(","):
            yield from _upwards(mount / controllers, path)
            yield from _upwards(mount / "cpu", path)  # how some systems name it without a link


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


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
