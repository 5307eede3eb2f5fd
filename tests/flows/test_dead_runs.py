"""Runs whose process, worker or machine dies end within two minutes, and the next one starts."""

import os
import signal
import time

import pytest
from scheduled import processes_below, wait_until

SECONDS = 120
"""What docs/how-to/schedule.md promises."""


def kill(*processes: int) -> float:
    """Kill -9 processes by their ids; gives when that was."""
    for one in processes:
        os.kill(one, signal.SIGKILL)
    return time.monotonic()


def since(moment: float) -> float:
    return time.monotonic() - moment


@pytest.mark.timeout(1200)  # they wait for minutes, and longer on a busy machine
@pytest.mark.slow(reason="a Prefect server, and runs that miss three heartbeats of 30 seconds, the least there is")
def test_killed_runs_end_within_two_minutes_and_the_next_one_gets_their_slot(prefect, make_shop):
    night, lost, unwanted = (make_shop(name=name) for name in ("night", "lost", "unwanted"))
    for shop in (night, lost, unwanted):
        shop.configure(options={"seconds": 2.0})
    prefect.call("work-pool", "update", "knowflow", "--concurrency-limit", "2")
    with prefect.worker(limit=2) as worker:
        outer = prefect.start("nightly", config=str(night.config))
        wait_until(lambda: night.calls("gave"), 120)
        killed_flow = kill(*processes_below(worker.pid))
        prefect.wait(outer, "Crashed", 60)  # that its process died, the worker sees
        (inner,) = [run["id"] for run in prefect.ask("flow_runs") if run["name"] == f"refresh {night.config}"]
        assert prefect.state(inner) == "Running"
        dead = prefect.start("refresh", config=str(lost.config))
        cancelled = prefect.start("nightly", config=str(unwanted.config))
        wait_until(lambda: lost.calls("gave") and unwanted.calls("gave"), 120)
        killed_all = kill(*processes_below(worker.pid), worker.pid)
    prefect.cancel(cancelled)
    lost.configure(options={"seconds": 0.0})
    following = prefect.start("refresh", config=str(lost.config))
    assert (prefect.state(cancelled), prefect.slots("refresh"), prefect.slots("nightly")) == ("Cancelling", 1, 1)

    with prefect.worker():
        prefect.wait(inner, "Crashed", SECONDS - since(killed_flow))
        crashed = prefect.wait(dead, "Crashed", SECONDS - since(killed_all))
        prefect.wait(cancelled, "Cancelled", SECONDS - since(killed_all))
        done = prefect.wait(following, "Completed", 120)

    assert crashed["state"]["message"].startswith("No heartbeat for 90 seconds: its process has died.")
    assert done["start_time"] > crashed["end_time"]
    assert (prefect.slots("refresh"), prefect.slots("nightly")) == (0, 0)
