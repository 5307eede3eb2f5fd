"""Memory: how much more this process and its children may take, and how much a process has for itself."""

from collections.abc import Iterator
from pathlib import Path

import psutil

PROC = Path("/proc/self/cgroup")
"""Names the groups of this process."""
GROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows the groups and their limits; a container's own limit is at the top."""
CACHED = ("active_file", "inactive_file")
"""Of what a group uses: pages of files, which the system drops when memory is asked for."""


def available_memory(proc: Path = PROC, groups: Path = GROUPS) -> int:
    """Return how many bytes can be taken before the system swaps or ends processes.

    The machine's own count, or less where a container or a service has a limit (control groups, version 1 or 2).

    Args:
        proc: Names the groups of this process.
        groups: Where the groups are.
    """
    return max(0, min([psutil.virtual_memory().available, *_left_in_groups(proc, groups)]))


def private_memory(process: psutil.Process) -> int:
    """Return the bytes that a process has for itself: not its pages of files, which processes share.

    Raises:
        psutil.Error: The process has ended.
    """
    taken = process.memory_info()
    return max(0, taken.rss - getattr(taken, "shared", 0))  # systems without this number count all


def in_gib(size: float) -> str:
    """Write a number of bytes.

    Example:
        >>> in_gib(2.25 * 2**30)
        '2.2 GiB'
    """
    return f"{size / 2**30:.1f} GiB"


def _left_in_groups(proc: Path, groups: Path) -> Iterator[int]:
    """Yield what each group with a limit has left."""
    try:
        lines = proc.read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if not kinds:
            limits, used = ("memory.max", "memory.high"), "memory.current"
            prefix, root = "", groups
        elif "memory" in kinds.split(","):
            limits, used, prefix, root = (
                ("memory.limit_in_bytes",),
                "memory.usage_in_bytes",
                "total_",
                groups / "memory",
            )
        else:
            continue
        own = root / path.strip("/")
        for folder in (own, *own.parents):  # a limit of a group is one of those below, too
            if not folder.is_relative_to(root):
                break
            found = [number for name in limits if (number := _number(folder / name)) is not None]
            taken = _number(folder / used)
            if found and taken is not None:
                yield min(found) - taken + _cached(folder, prefix)


def _number(file: Path) -> int | None:
    """Read a number; None if there is none, as in a group without a limit."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _cached(folder: Path, prefix: str) -> int:
    try:
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    numbers = dict(line.split(" ", 1) for line in lines)
    return sum(int(numbers.get(prefix + name, 0)) for name in CACHED)
