"""How many threads, from cores, affinity and CPU quota."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from runtime import machine

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


V2 = {"proc/self/cgroup": "0::/user/app\n"}
V1 = {"proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/docker/abc\n0::/x\n"}


@pytest.mark.parametrize(
    ("cores", "affinity", "quota", "threads"),
    [
        (8, 16, "max 100000", 8),
        (8, 4, "max 100000", 4),
        (8, 16, "300000 100000", 3),
        (8, 16, "150000 100000", 1),
        (8, 16, "399999 100000", 3),
        (8, 16, "50000 100000", 1),
        (8, 2, "600000 100000", 2),
        (2, 16, "1600000 100000", 2),
        (8, 16, "", 8),
        (8, 16, "nonsense", 8),
        (8, 16, "0 0", 8),
        (0, 0, "max 100000", 1),
    ],
)
def test_threads_are_the_smallest_bound(tmp_path: Path, cores: int, affinity: int, quota: str, threads: int) -> None:
    write(tmp_path, {**V2, "sys/fs/cgroup/user/app/cpu.max": quota})
    assert machine.threads(cores=cores, affinity=affinity, root=tmp_path) == threads


@pytest.mark.parametrize("group", ["", "user/", "user/app/"])
def test_the_quota_of_a_group_above_counts_too(tmp_path: Path, group: str) -> None:
    write(tmp_path, {**V2, f"sys/fs/cgroup/{group}cpu.max": "200000 100000"})
    assert machine.cpu_quota(tmp_path) == 2.0


def test_the_smallest_quota_on_the_way_up_counts(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/user/app/cpu.max": "400000 100000", "sys/fs/cgroup/user/cpu.max": "150000 100000"}
    write(tmp_path, V2 | files)
    assert machine.cpu_quota(tmp_path) == 1.5


def test_the_quota_of_a_group_beside_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, {**V2, "sys/fs/cgroup/user/other/cpu.max": "100000 100000"})
    assert machine.cpu_quota(tmp_path) is None


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
@pytest.mark.parametrize("group", ["docker/abc/", "docker/", ""])
def test_version_1_quotas_count(tmp_path: Path, mount: str, group: str) -> None:
    folder = f"sys/fs/cgroup/{mount}/{group}"
    write(tmp_path, {**V1, f"{folder}cpu.cfs_quota_us": "250000\n", f"{folder}cpu.cfs_period_us": "100000\n"})
    assert machine.cpu_quota(tmp_path) == 2.5


def test_a_version_1_quota_of_minus_1_is_none(tmp_path: Path) -> None:
    folder = "sys/fs/cgroup/cpu/docker/abc"
    write(tmp_path, {**V1, f"{folder}/cpu.cfs_quota_us": "-1", f"{folder}/cpu.cfs_period_us": "100000"})
    assert machine.cpu_quota(tmp_path) is None


def test_a_group_path_never_leaves_the_hierarchy(tmp_path: Path) -> None:
    write(tmp_path, {"proc/self/cgroup": "0::/../../outside", "outside/cpu.max": "100000 100000"})
    assert machine.cpu_quota(tmp_path / "sys") is None
    assert machine.cpu_quota(tmp_path) is None


@pytest.mark.parametrize("content", ["", "\n", "nonsense", "0:", "::::::"])
def test_a_list_of_groups_that_is_not_understood_bounds_nothing(tmp_path: Path, content: str) -> None:
    write(tmp_path, {"proc/self/cgroup": content})
    assert machine.cpu_quota(tmp_path) is None


def test_a_system_without_control_groups_has_no_quota(tmp_path: Path) -> None:
    assert machine.threads(cores=6, affinity=12, root=tmp_path) == 6


def test_this_machine_has_a_thread_to_compute_with() -> None:
    assert 1 <= machine.threads() <= (os.cpu_count() or 1)


def test_without_affinity_all_processors_are_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert machine.usable_processors() == os.cpu_count()


def test_this_process_has_memory() -> None:
    assert machine.resident_bytes() > 1_000_000
