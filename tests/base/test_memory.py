"""What may still be taken, in groups of both versions written out by hand; what a real process has for itself."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from base.memory import available_memory, private_memory

MIB = 2**20
STAT = "anon 300\nactive_file {}\ninactive_file {}\nshmem 7"


@pytest.fixture
def groups(tmp_path):
    """Write groups as Linux shows them, by path and text; return a function that reads them for one process."""

    def write(line: str, files: dict[str, object]) -> int:
        for name, content in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n")
        (tmp_path / "cgroup").write_text(line)
        return available_memory(tmp_path / "cgroup", tmp_path / "groups")

    return write


def near(found: int, right: int) -> bool:
    """Whether two readings of a machine where others work agree."""
    return abs(found - right) < 1024 * MIB


def test_without_a_limit_it_is_what_the_machine_has(groups):
    of_all = psutil.virtual_memory().available

    assert near(groups("0::/shop\n", {"shop/memory.max": "max", "shop/memory.current": 5}), of_all)
    assert near(available_memory(Path("/nowhere/cgroup"), Path("/nowhere")), of_all)
    assert near(available_memory(), of_all) or available_memory() < of_all  # these tests may run in a container


def test_a_limit_of_version_2_leaves_what_is_not_used_and_what_only_keeps_files(groups):
    files = {"a/memory.max": 100 * MIB, "a/memory.current": 70 * MIB, "a/memory.stat": STAT.format(20 * MIB, 5 * MIB)}

    assert groups("0::/a\n", files) == (100 - 70 + 20 + 5) * MIB


def test_a_limit_of_version_1_counts_the_files_of_all_groups_below(groups):
    stat = f"inactive_file 1\nactive_file 1\ntotal_inactive_file {6 * MIB}\ntotal_active_file {4 * MIB}"
    files = {"memory/a/memory.limit_in_bytes": 50 * MIB, "memory/a/memory.usage_in_bytes": 30 * MIB}

    assert groups("9:name=systemd:/\n4:cpu,memory:/a\n", files | {"memory/a/memory.stat": stat}) == 30 * MIB


def test_the_tightest_of_the_groups_above_and_of_the_two_limits_counts(groups):
    inner = {"a/b/memory.max": 90 * MIB, "a/b/memory.current": 10 * MIB}
    outer = {"a/memory.max": "max", "a/memory.high": 60 * MIB, "a/memory.current": 40 * MIB}

    assert groups("0::/a/b\n", inner) == 80 * MIB
    assert groups("0::/a/b\n", outer) == 20 * MIB
    assert groups("0::/a/b\n", {"a/memory.current": 70 * MIB}) == 0  # above its limit


def test_a_container_that_is_not_told_its_place_finds_its_limit_at_the_top(groups):
    files = {"memory.max": 100 * MIB, "memory.current": 40 * MIB}

    assert groups("0::/kubepods/pod1/of-the-host\n", files) == 60 * MIB


def test_a_process_has_for_itself_what_it_wrote_not_the_files_that_it_maps(tmp_path):
    (tmp_path / "file").write_bytes(b"1" * 200 * MIB)
    code = (
        "import mmap, sys\n"
        "file = open(sys.argv[1], 'rb')\n"
        "mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\n"
        "read = sum(mapped[place] for place in range(0, len(mapped), 4096))\n"
        "own = bytearray(b'1') * (64 * 2**20)\n"
        "print(read, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-S", "-c", code, str(tmp_path / "file")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        watched = psutil.Process(process.pid)
        rss, own = watched.memory_info().rss, private_memory(watched)
        process.kill()

    assert rss > 264 * MIB
    assert 64 * MIB < own < 84 * MIB
