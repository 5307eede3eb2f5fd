"""Client cost of one request of the openai engine: CPU time, and requests per second and core.

Run:   python benchmarks/openai_requests.py
Reads: nothing; it starts the tests' server (tests/helpers/fault_server.py) without faults, as a process.
The last line printed is one JSON object. `cpu_ms_per_request` is that of the engine alone: its thread, HTTP, JSON and
passing results to the caller. Prompts have about 120 tokens, answers a few; the best of three runs is used, to reduce
the effect of other work on the machine. `per_core` is the rate of one core if the servers keep up.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engines.openai.engine import OpenAIEngine
from engines.openai.options import OpenAIOptions
from engines.request import Request

SERVER = Path(__file__).resolve().parents[1] / "tests" / "helpers" / "fault_server.py"
REQUESTS, RUNS, CONCURRENCY = 5_000, 3, 32


def main() -> None:
    """Measure, and print the results."""
    with subprocess.Popen([sys.executable, str(SERVER), "--rates", "{}"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
            options = OpenAIOptions.model_validate({"urls": url, "concurrency": CONCURRENCY})
            engine = OpenAIEngine("tiny", options)
            measured = [measure(engine) for _ in range(RUNS)]
        finally:
            server.kill()
    cost = min(cost for cost, _ in measured)
    found: dict[str, Any] = {
        "requests": REQUESTS,
        "concurrency": CONCURRENCY,
        "cpu_ms_per_request": round(cost, 3),
        "per_core": round(1000 / cost),
        "requests_per_second": round(max(speed for _, speed in measured)),
    }
    print(json.dumps(found))


def measure(engine: OpenAIEngine) -> tuple[float, float]:
    """Return CPU milliseconds per request, and requests per second."""
    begun, spent = time.perf_counter(), cpu_seconds()
    answered = sum(answer.text is not None for answer in engine.generate(requests()))
    assert answered == REQUESTS
    cost = (cpu_seconds() - spent) / REQUESTS * 1000
    speed = REQUESTS / (time.perf_counter() - begun)
    print(f"{cost:.3f} CPU-ms a request, {speed:,.0f} requests/s")
    return cost, speed


def requests() -> Iterator[Request]:
    """Return prompts with a common prefix."""
    for place in range(REQUESTS):
        messages = ({"role": "user", "content": "Introduce this film and describe it. " * 15 + f"Film {place}"},)
        yield Request(str(place), messages, {"temperature": 0.0, "max_tokens": 160}, {"type": "text"})


def cpu_seconds() -> float:
    """Return the CPU time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
