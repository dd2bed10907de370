"""CPUs, cores, NUMA nodes, quota and allocator, from trees of files as the kernel writes them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from breakeven.hardware import allocator as allocator_module
from breakeven.hardware import cpus
from breakeven.hardware.allocator import allocator
from breakeven.hardware.cpus import (
    affinity,
    cgroup_quota,
    core_sizes,
    cpu_flags,
    cpu_list,
    numa_nodes,
    usable_cpus,
)


@pytest.fixture
def tree(tmp_path):
    """Return a function that writes files by their names."""

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        return tmp_path

    return write


def siblings(*groups):
    """The topology files of cores with these logical CPUs."""
    return {
        f"cpu{number}/topology/thread_siblings_list": ",".join(map(str, group))
        for group in groups
        for number in group
    }


SMT = siblings((0, 4), (1, 5), (2, 6), (3, 7))
HYBRID = siblings((0, 1), (2,), (3,))


@pytest.mark.parametrize(
    ("files", "among", "sizes"),
    [
        (SMT, None, [2, 2, 2, 2]),
        (SMT, [0, 1, 2, 3], [1, 1, 1, 1]),
        (SMT, [0, 4], [2]),
        (SMT, [0, 4, 5], [1, 2]),
        (HYBRID, None, [1, 1, 2]),
        (siblings((0,), (1,)), None, [1, 1]),
        (siblings((0, 10), (2, 12)), [10, 12], [1, 1]),
    ],
)
def test_cores(tree, files, among, sizes):
    assert sorted(core_sizes(among, tree(files))) == sizes


@pytest.mark.parametrize(("files", "among"), [({}, None), (SMT, [9])])
def test_unknown_cores(tree, files, among):
    with pytest.raises(OSError, match="no CPU topology"):
        core_sizes(among, tree(files))


NODES = {"node0/cpulist": "0-3,8-11", "node1/cpulist": "4-7,12-15", "node2/cpulist": "", "power/x": ""}


@pytest.mark.parametrize(("among", "count"), [(None, 2), ([0, 9], 1), ([3, 4], 2), (range(16), 2)])
def test_numa_nodes(tree, among, count):
    """Node 2 has memory only."""
    assert numa_nodes(among, tree(NODES)) == count


def test_unknown_numa_nodes(tree):
    with pytest.raises(OSError, match="no NUMA nodes"):
        numa_nodes(None, tree({}))


@pytest.mark.parametrize(("text", "numbers"), [("0-3,8-9", {0, 1, 2, 3, 8, 9}), ("5", {5}), ("", set())])
def test_cpu_list(text, numbers):
    assert cpu_list(f"{text}\n") == numbers


@pytest.mark.parametrize("name", ["flags\t\t", "Features\t"])
def test_cpu_flags(tree, name):
    assert cpu_flags(tree({"cpuinfo": f"bugs: spectre\n{name}: avx2 amx_bf16"}) / "cpuinfo") == {
        "avx2",
        "amx_bf16",
    }


def test_unknown_cpu_flags(tree):
    with pytest.raises(OSError, match="no CPU flags"):
        cpu_flags(tree({"cpuinfo": "model name: RISC-V"}) / "cpuinfo")


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4.0),
        ({"cpu.max": "garbage"}, None),
        ({}, None),
    ],
    ids=["v2 max", "v2 limit", "v1 none", "v1 limit", "garbage", "no cgroup"],
)
def test_cgroup_quota(tree, files, quota):
    assert cgroup_quota(tree(files)) == quota


@pytest.mark.parametrize(("quota", "usable"), [(None, 8), (2.5, 3), (0.1, 1), (4.0, 4), (64.0, 8)])
def test_usable_cpus(monkeypatch, quota, usable):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cpus, "cgroup_quota", lambda: quota)
    assert usable_cpus() == usable


def test_usable_cpus_without_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.setattr(cpus, "cgroup_quota", lambda: None)
    assert usable_cpus() == 6


@pytest.mark.parametrize("variable", cpus.BINDING)
def test_affinity_where_openmp_binds(monkeypatch, variable):
    """It is that at the start: OpenMP leaves one CPU to the main thread."""
    for name in cpus.BINDING:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cpus, "_AT_START", [0, 1, 2, 3])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2}, raising=False)
    assert affinity() == [2]
    monkeypatch.setenv(variable, "close")
    assert affinity() == [0, 1, 2, 3]


BOUND = """
import os
before = sorted(os.sched_getaffinity(0))
import breakeven.{module}
import torch
from breakeven.hardware.cpus import affinity
print(affinity() == before)
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
@pytest.mark.parametrize("module", ["plugin.hooks", pytest.param("commands.doctor", marks=pytest.mark.slow)])
def test_affinity_is_read_before_torch(module):
    environment = {**os.environ, "OMP_PROC_BIND": "close"}
    done = subprocess.run(
        [sys.executable, "-c", BOUND.format(module=module)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n"


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", "libc"),
        ("/usr/lib/libtcmalloc_minimal.so.4", "tcmalloc"),
        ("/opt/jemalloc/lib/libc.so.6", "libc"),
        ("/opt/lib/libjemalloc.so.2", "jemalloc"),
        ("libmimalloc.so.2.1", "mimalloc"),
        ("/lib/ld-musl-x86_64.so.1", "libc"),
    ],
)
def test_allocator(monkeypatch, library, name):
    monkeypatch.setattr(allocator_module, "malloc_library", lambda: library)
    assert allocator() == name


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other libraries")
def test_malloc_of_this_process():
    """It is found in a library that is mapped."""
    library = Path(allocator_module.malloc_library()).resolve()
    assert str(library) in Path("/proc/self/maps").read_text()


def test_unknown_malloc(monkeypatch):
    class Process:
        """A process that exports no functions."""

    monkeypatch.setattr(allocator_module.ctypes, "CDLL", lambda _: Process())
    with pytest.raises(OSError, match="malloc's library is unknown"):
        allocator()
