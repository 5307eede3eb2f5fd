"""Cost of `make test`: minutes, and CPU-seconds of all its processes, including lint and types.

Run it on an idle machine: python benchmarks/suite.py
The last line is a JSON object: cpu_seconds, minutes, tests, failed, slowest (test -> seconds, ten of them).
"""

import ctypes
import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped)")
DURATION = re.compile(r"^(\d+\.\d+)s (?:setup|call|teardown) +(\S.*)$")
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Adopt processes whose parents end before them (Linux), so that they are counted."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wait_for_all() -> None:
    """Wait for all children."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def main() -> int:
    """Run the suite, show its output, and print its cost; return its exit code."""
    adopt_orphans()
    begun, lines = time.monotonic(), []
    with subprocess.Popen(["make", "test"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # a pipe was asked for
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            lines.append(line.rstrip("\n"))
    minutes = (time.monotonic() - begun) / 60
    wait_for_all()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    counts = {kind.rstrip("s"): int(count) for count, kind in COUNT.findall(lines[-1] if lines else "")}
    slowest = [found.groups() for line in lines if (found := DURATION.match(line))]
    figures = {
        "cpu_seconds": round(used.ru_utime + used.ru_stime),
        "minutes": round(minutes, 1),
        "tests": sum(counts.values()),
        "failed": counts.get("failed", 0) + counts.get("error", 0),
        "slowest": {test: float(seconds) for seconds, test in slowest[:10]},
    }
    print(json.dumps(figures))
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
