"""Measure a command and all its children: wall time, CPU time, and peak memory."""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY_SECONDS = 0.25


@dataclass(frozen=True)
class Taken:
    """The cost of a command."""

    code: int
    """Its exit code."""
    output: str
    """Its standard output."""
    seconds: float
    """Wall time."""
    peak_bytes: int
    """Peak memory summed over its processes, with shared pages counted once."""


def run_tree(command: Sequence[str], folder: Path) -> Taken:
    """Run a command in a folder and watch it and its children until it ends."""
    begun, peak = time.perf_counter(), 0
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _memory(watched))
            time.sleep(EVERY_SECONDS)
        output = process.stdout.read() if process.stdout else ""
    return Taken(process.returncode, output, time.perf_counter() - begun, peak)


def _memory(process: psutil.Process) -> int:
    total = 0
    for one in _family(process):
        try:
            total += one.memory_full_info().pss
        except psutil.Error:  # the process has just ended
            continue
    return total


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []
