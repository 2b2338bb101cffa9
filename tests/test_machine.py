"""The facts of a machine, from made-up ones, and how many threads they make."""

from __future__ import annotations

import importlib
import os
import struct
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from runtime import machine
from runtime.machine import facts, linux, macos, windows
from runtime.machine.facts import Core, Memory, unknown_cores

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


V2 = {"proc/self/cgroup": "0::/user/app\n"}
V1 = {"proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/x\n"}
CPUS = "sys/devices/system/cpu"
GIB = 1 << 30


def topology(*siblings: str, **each: Mapping[int, int]) -> dict[str, str]:
    """/sys of processors, each with those on its core; `capacity` and `frequency` by processor."""
    files = {f"{CPUS}/cpu{i}/topology/core_cpus_list": f"{text}\n" for i, text in enumerate(siblings)}
    names = {"capacity": "cpu_capacity", "frequency": "cpufreq/cpuinfo_max_freq"}
    for kind, values in each.items():
        files |= {f"{CPUS}/cpu{i}/{names[kind]}": f"{value}\n" for i, value in values.items()}
    return files


PI = topology("0", "1", "2", "3", capacity=dict.fromkeys(range(4), 1024))
SMT = topology("0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7")  # 4 cores, 8 threads
NEIGHBOURS = topology("0-1", "0-1", "2-3", "2-3")  # the other way of counting twins
RK3588 = topology(*map(str, range(8)), capacity={**dict.fromkeys(range(4), 530), **dict.fromkeys(range(4, 8), 1024)})
PHONE = topology(*map(str, range(8)), capacity={**dict.fromkeys(range(4), 325), 4: 827, 5: 827, 6: 827, 7: 1024})
# An i5-1240P: 4 performance cores with two threads each, 8 efficiency cores, which are not so much slower by frequency.
HYBRID = {
    **topology("0-1", "0-1", "2-3", "2-3", "4-5", "4-5", "6-7", "6-7", *map(str, range(8, 16)),
               frequency={**dict.fromkeys(range(8), 4400000), **dict.fromkeys(range(8, 16), 3300000)}),
    "sys/devices/cpu_core/cpus": "0-7\n",
    "sys/devices/cpu_atom/cpus": "8-15\n",
}  # fmt: skip
RYZEN = topology("0-1", "0-1", "2-3", "2-3", frequency={0: 5090000, 1: 5090000, 2: 4780000, 3: 4780000})
DENSE = topology("0", "1", "2", "3", frequency={0: 5100000, 1: 5100000, 2: 3300000, 3: 3300000})  # Zen 5 beside Zen 5c
ALL = set(range(16))


@pytest.mark.parametrize(
    ("files", "allowed", "quota", "expected"),
    [
        (PI, ALL, "", 4),
        (PI, {0, 1}, "", 2),
        (PI, ALL, "max 100000", 4),
        (PI, ALL, "300000 100000", 3),
        (PI, ALL, "150000 100000", 1),
        (PI, ALL, "399999 100000", 3),
        (PI, ALL, "50000 100000", 1),
        (PI, ALL, "1600000 100000", 4),
        (PI, ALL, "nonsense", 4),
        (PI, ALL, "0 0", 4),
        (PI, {0, 1, 2}, "200000 100000", 2),
        (SMT, ALL, "", 4),
        (SMT, {0, 4}, "", 1),
        (SMT, {0, 1, 4}, "", 2),
        (SMT, {4, 5, 6, 7}, "", 4),
        (SMT, ALL, "600000 100000", 4),
        (NEIGHBOURS, ALL, "", 2),
        (NEIGHBOURS, {1, 2}, "", 2),
        (RK3588, ALL, "", 4),
        (RK3588, {0, 1, 4}, "", 1),
        (RK3588, {0, 1, 2}, "", 3),
        (PHONE, ALL, "", 4),
        (HYBRID, ALL, "", 4),
        (HYBRID, {0, 1, 2, 8, 9}, "", 2),
        (HYBRID, {8, 9, 10}, "", 3),
        (HYBRID, ALL, "250000 100000", 2),
        (RYZEN, ALL, "", 2),
        (DENSE, ALL, "", 2),
    ],
)
def test_threads(tmp_path: Path, files: dict[str, str], allowed: set[int], quota: str, expected: int) -> None:
    write(tmp_path, {**V2, **files, "sys/fs/cgroup/user/app/cpu.max": quota})
    assert facts.threads(linux.cores(tmp_path), allowed=allowed, quota=linux.quota(tmp_path)) == expected


def test_without_a_mask_all_processors_count() -> None:
    assert facts.threads(unknown_cores(3, range(8))) == 3


def test_there_is_always_a_thread() -> None:
    assert facts.threads((), allowed=set(), quota=0.1) == 1


def test_cores_that_nobody_groups_are_as_many_as_counted_and_allowed() -> None:
    assert facts.threads(unknown_cores(4, range(8)), allowed={0, 1}) == 2
    assert len(unknown_cores(8, {3, 5})) == 2


def test_a_processor_that_is_off_is_no_core(tmp_path: Path) -> None:
    write(tmp_path, {**topology("0", "1"), f"{CPUS}/cpu2/online": "0\n"})
    assert [sorted(core.processors) for core in linux.cores(tmp_path)] == [[0], [1]]


def test_older_kernels_name_siblings_otherwise(tmp_path: Path) -> None:
    write(tmp_path, {f"{CPUS}/cpu{i}/topology/thread_siblings_list": "0-1\n" for i in (0, 1)})
    assert [sorted(core.processors) for core in linux.cores(tmp_path)] == [[0, 1]]


def test_a_system_that_says_nothing_of_cores_has_those_that_psutil_counts(tmp_path: Path) -> None:
    assert 1 <= len(linux.cores(tmp_path)) <= (os.cpu_count() or 1)


@pytest.mark.parametrize("group", ["", "user/", "user/app/"])
def test_the_quota_of_a_group_above_counts_too(tmp_path: Path, group: str) -> None:
    write(tmp_path, {**V2, f"sys/fs/cgroup/{group}cpu.max": "200000 100000"})
    assert linux.quota(tmp_path) == 2.0


def test_the_smallest_quota_on_the_way_up_counts(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/user/app/cpu.max": "400000 100000", "sys/fs/cgroup/user/cpu.max": "150000 100000"}
    write(tmp_path, V2 | files)
    assert linux.quota(tmp_path) == 1.5


def test_the_quota_of_a_group_beside_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, {**V2, "sys/fs/cgroup/user/other/cpu.max": "100000 100000"})
    assert linux.quota(tmp_path) is None


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
@pytest.mark.parametrize("group", ["docker/abc/", "docker/", ""])
def test_version_1_quotas_count(tmp_path: Path, mount: str, group: str) -> None:
    folder = f"sys/fs/cgroup/{mount}/{group}"
    write(tmp_path, {**V1, f"{folder}cpu.cfs_quota_us": "250000\n", f"{folder}cpu.cfs_period_us": "100000\n"})
    assert linux.quota(tmp_path) == 2.5


def test_a_version_1_quota_of_minus_1_is_none(tmp_path: Path) -> None:
    folder = "sys/fs/cgroup/cpu/docker/abc"
    write(tmp_path, {**V1, f"{folder}/cpu.cfs_quota_us": "-1", f"{folder}/cpu.cfs_period_us": "100000"})
    assert linux.quota(tmp_path) is None


def test_a_group_path_never_leaves_the_hierarchy(tmp_path: Path) -> None:
    write(tmp_path, {"proc/self/cgroup": "0::/../../outside", "outside/cpu.max": "100000 100000"})
    assert linux.quota(tmp_path / "sys") is None
    assert linux.quota(tmp_path) is None


@pytest.mark.parametrize("content", ["", "\n", "nonsense", "0:", "::::::"])
def test_a_list_of_groups_that_is_not_understood_bounds_nothing(tmp_path: Path, content: str) -> None:
    write(tmp_path, {"proc/self/cgroup": content, "proc/meminfo": MEMINFO})
    assert (linux.quota(tmp_path), linux.memory(tmp_path).limit) == (None, None)


MEMINFO = "MemTotal:        8388608 kB\nMemFree:          100000 kB\nMemAvailable:    6291456 kB\n"  # 8 and 6 GiB


@pytest.mark.parametrize(
    ("files", "available", "limit"),
    [
        ({}, 6.0, None),
        ({"user/app/memory.max": "max\n"}, 6.0, None),
        ({"user/app/memory.max": f"{2 * GIB}\n"}, 2.0, 2.0),
        ({"user/app/memory.max": f"{2 * GIB}", "user/app/memory.current": f"{GIB}"}, 1.0, 2.0),
        ({"user/memory.max": f"{2 * GIB}", "user/app/memory.max": "max"}, 2.0, 2.0),
        ({"memory.max": f"{3 * GIB}", "user/app/memory.max": f"{4 * GIB}"}, 3.0, 3.0),
        ({"user/app/memory.high": f"{GIB}", "user/app/memory.max": f"{2 * GIB}"}, 1.0, 1.0),
        ({"user/app/memory.max": f"{7 * GIB}"}, 6.0, 7.0),  # the machine has less left than the group may take
        ({"user/app/memory.max": f"{64 * GIB}"}, 6.0, None),
        ({"user/app/memory.max": f"{GIB}", "user/app/memory.current": f"{2 * GIB}"}, 0.0, 1.0),
        # Files in the kernel's cache are given up before anything fails.
        (
            {
                "user/app/memory.max": f"{4 * GIB}",
                "user/app/memory.current": f"{3 * GIB}",
                "user/app/memory.stat": f"anon {GIB}\ninactive_file {GIB}\nactive_file {GIB // 2}\n",
            },
            2.5,
            4.0,
        ),
        ({"user/other/memory.max": f"{GIB}"}, 6.0, None),
    ],
)
def test_memory_under_version_2(tmp_path: Path, files: dict[str, str], available: float, limit: float | None) -> None:
    write(tmp_path, {**V2, "proc/meminfo": MEMINFO, **{f"sys/fs/cgroup/{name}": text for name, text in files.items()}})
    expected = None if limit is None else int(limit * GIB)
    assert linux.memory(tmp_path) == Memory(8 * GIB, int(available * GIB), expected)


@pytest.mark.parametrize("group", ["docker/abc/", ""])  # the second is what a container sees
def test_memory_under_version_1(tmp_path: Path, group: str) -> None:
    folder = f"sys/fs/cgroup/memory/{group}"
    stat = f"cache 5\ninactive_file 1\nactive_file 1\ntotal_inactive_file {GIB // 4}\ntotal_active_file {GIB // 4}\n"
    files = {"limit_in_bytes": f"{2 * GIB}", "usage_in_bytes": f"{GIB}", "stat": stat}
    write(tmp_path, {**V1, "proc/meminfo": MEMINFO, **{f"{folder}memory.{name}": text for name, text in files.items()}})
    assert linux.memory(tmp_path) == Memory(8 * GIB, 3 * GIB // 2, 2 * GIB)


def test_a_version_1_group_without_a_limit_bounds_nothing(tmp_path: Path) -> None:
    name = "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes"
    write(tmp_path, {**V1, "proc/meminfo": MEMINFO, name: "9223372036854771712\n"})
    assert linux.memory(tmp_path) == Memory(8 * GIB, 6 * GIB)


LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max data size             {data:<20} unlimited            bytes
Max address space         {space:<20} unlimited            bytes
"""
STATUS = f"Name:\tpython\nVmSize:\t  {GIB >> 10} kB\nVmData:\t  {GIB >> 11} kB\n"


@pytest.mark.parametrize(
    ("data", "space", "available", "limit"),
    [
        ("unlimited", "unlimited", 6.0, None),
        (2 * GIB, "unlimited", 1.5, 2.0),
        ("unlimited", 3 * GIB, 2.0, 3.0),
        (2 * GIB, 2 * GIB, 1.0, 2.0),
        (GIB // 4, "unlimited", 0.0, 0.25),
        ("unlimited", 64 * GIB, 6.0, None),
    ],
)
def test_the_limits_of_the_process_itself_count(
    tmp_path: Path, data: object, space: object, available: float, limit: float | None
) -> None:
    limits = LIMITS.format(data=data, space=space)
    write(tmp_path, {"proc/meminfo": MEMINFO, "proc/self/limits": limits, "proc/self/status": STATUS})
    expected = None if limit is None else int(limit * GIB)
    assert linux.memory(tmp_path) == Memory(8 * GIB, int(available * GIB), expected)


def test_a_kernel_that_does_not_say_what_is_available_is_asked_by_psutil(tmp_path: Path) -> None:
    assert 0 < linux.memory(tmp_path).available <= linux.memory(tmp_path).total


@pytest.mark.parametrize(
    ("features", "copies"),
    [
        ("flags\t\t: fpu sse avx2 avx512f", False),
        ("Features\t: fp asimd evtstrm crc32 cpuid", False),  # Raspberry Pi 4
        ("Features\t: fp asimd evtstrm aes asimdhp cpuid asimdrdm lrcpc dcpop asimddp", True),  # Raspberry Pi 5
    ],
)
def test_dot_products_of_arm_are_found(tmp_path: Path, features: str, copies: bool) -> None:
    write(tmp_path, {"proc/cpuinfo": features})
    assert linux.copies_output(tmp_path) is copies


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"hw.perflevel0.physicalcpu": "4", "hw.perflevel1.physicalcpu": "6", "hw.physicalcpu": "10"}, 4),  # M4
        ({"hw.perflevel0.physicalcpu": "8", "hw.perflevel1.physicalcpu": "2", "hw.physicalcpu": "10"}, 8),  # M1 Pro
        ({"hw.physicalcpu": "6"}, 6),  # Intel
        ({}, 1),
    ],
)
def test_a_mac_decodes_on_its_performance_cores(answers: dict[str, str], expected: int) -> None:
    assert facts.threads(macos.cores(lambda name: answers.get(name, "")), allowed=macos.allowed()) == expected


@pytest.mark.parametrize("system", [macos, windows])
def test_memory_is_what_psutil_says_where_there_are_no_control_groups(system: object) -> None:
    found = SimpleNamespace(total=8 * GIB, available=5 * GIB)
    assert system.memory(lambda: found) == Memory(8 * GIB, 5 * GIB)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("processor", "copies"), [("arm64", True), ("x86_64", False)])
def test_apple_silicon_has_dot_products(processor: str, copies: bool) -> None:
    assert macos.copies_output(processor) is copies


def test_a_name_that_sysctl_does_not_know_is_empty() -> None:
    assert macos.sysctl("llamalet.nothing") == ""


def record(mask: int, *, efficiency: int = 0, group: int = 0, relation: int = 0) -> bytes:
    """SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX of a core, by Microsoft's description."""
    body = struct.pack("<BB20xH", mask.bit_count() > 1, efficiency, 1) + struct.pack("<QH6x", mask, group)
    return struct.pack("<II", relation, 8 + len(body)) + body


def test_windows_cores_are_read_with_their_processors() -> None:
    data = record(0b0011) + record(0b1100, group=1) + record(0b1, relation=3)
    assert windows.cores(data) == (Core(frozenset({0, 1})), Core(frozenset({66, 67})))


@pytest.mark.parametrize(("allowed", "expected"), [([0, 1, 2, 3, 4, 5], 2), ([4, 5], 2), ([0, 1], 1)])
def test_windows_decodes_on_the_most_efficient_class(allowed: list[int], expected: int) -> None:
    data = record(0b11, efficiency=1) + record(0b1100, efficiency=1) + record(1 << 4) + record(1 << 5)
    assert facts.threads(windows.cores(data), allowed=windows.allowed(lambda: allowed, 6)) == expected


def test_the_mask_of_a_windows_with_several_groups_is_not_asked_for() -> None:
    assert windows.allowed(lambda: [0], 128) is None


def test_a_windows_that_says_nothing_has_the_cores_that_psutil_counts() -> None:
    assert 1 <= len(windows.cores(b"")) <= (os.cpu_count() or 1)


FUNCTIONS = ["allowed", "copies_output", "cores", "memory", "quota"]


@pytest.mark.parametrize("system", ["linux", "macos", "windows"])
def test_each_system_has_each_function(system: str) -> None:
    module = importlib.import_module(f"runtime.machine.{system}")
    assert [name for name in FUNCTIONS if not callable(getattr(module, name, None))] == []


@pytest.mark.parametrize(("platform", "module"), [("win32", windows), ("darwin", macos), ("linux", linux)])
def test_the_system_is_the_one_that_runs(monkeypatch: pytest.MonkeyPatch, platform: str, module: object) -> None:
    monkeypatch.setattr("sys.platform", platform)
    assert machine._system() is module


def test_this_machine_has_a_thread_and_memory() -> None:
    assert 1 <= machine.threads() <= (os.cpu_count() or 1)
    assert 0 < machine.memory().available <= machine.memory().total
    assert machine.resident_bytes() > 1_000_000


X86 = "flags\t\t: fpu pni ssse3 avx f16c fma avx2 bmi2\n"


@pytest.mark.parametrize(
    ("cpuinfo", "has", "lacks"),
    [
        (X86, {"SSE3", "SSSE3", "AVX", "AVX2", "FMA", "F16C", "BMI2"}, {"AVX512", "AVX512_VNNI", "AMX_INT8"}),
        ("Features\t: fp asimd evtstrm crc32 cpuid\n", {"NEON"}, {"DOTPROD", "SVE"}),  # Raspberry Pi 4
        ("Features\t: fp asimd asimdhp asimddp\n", {"NEON", "FP16_VA", "DOTPROD"}, {"MATMUL_INT8"}),  # and 5
    ],
)
def test_linux_says_which_instruction_sets_there_are(
    tmp_path: Path, cpuinfo: str, has: set[str], lacks: set[str]
) -> None:
    write(tmp_path, {"proc/cpuinfo": f"processor\t: 0\n{cpuinfo}"})
    known = linux.features(tmp_path)
    assert {name for name, there in known.items() if there} == has
    assert lacks <= known.keys()


def test_where_linux_does_not_say_nothing_is_known(tmp_path: Path) -> None:
    assert linux.features(tmp_path) == {}


def test_a_mac_says_what_it_knows() -> None:
    m1 = {"hw.optional.neon": "1", "hw.optional.arm.FEAT_DotProd": "1", "hw.optional.arm.FEAT_I8MM": "0"}
    assert macos.features(lambda name: m1.get(name, "")) == {"NEON": True, "DOTPROD": True, "MATMUL_INT8": False}


@pytest.mark.parametrize(
    ("machine", "present", "expected"),
    [
        ("AMD64", {13, 36, 39}, {"SSE3": True, "SSSE3": True, "AVX": True, "AVX2": False, "AVX512": False}),
        ("AMD64", {13}, {}),  # a Windows that knows no numbers from 36 on
        ("ARM64", {19}, {"NEON": True, "DOTPROD": False}),
    ],
)
def test_windows_says_what_it_knows(machine: str, present: set[int], expected: dict[str, bool]) -> None:
    assert windows.features(present.__contains__, machine) == expected
