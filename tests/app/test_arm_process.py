"""Processes of the arms, with real signals: none outlives its parent, a killed one is told in words, its inputs go."""

import os
import signal
import time

import psutil
import pytest

from app.input_lock import drop_left_inputs
from app.train_runs import SHARED, list_runs
from tests.forked import Forked

pytestmark = pytest.mark.slow(reason="real processes that train until a real signal ends them")


def arms_below(process: Forked, wanted: set[str]) -> dict[str, psutil.Process]:
    """Wait until a command trains these arms: arm -> its process."""
    parent, deadline = psutil.Process(process.pid), time.monotonic() + 240
    found: dict[str, psutil.Process] = {}
    while not wanted <= set(found):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"only {sorted(found)} of {sorted(wanted)} were begun"
        for child in parent.children(recursive=True):
            try:
                command = child.cmdline()
            except psutil.NoSuchProcess:
                continue
            if "app.arm_process" in command:
                found[command[-1]] = child
        time.sleep(0.02)
    return found


def servers_below(process: Forked) -> dict[str, psutil.Process]:
    children = psutil.Process(process.pid).children()
    return {f"server {child.pid}": child for child in children if "flows.server_process" in child.cmdline()}


def ended(processes: dict[str, psutil.Process]) -> bool:
    """Wait until all of them have ended; a zombie has: that it is cleared away is left to the system's first process."""
    deadline = time.monotonic() + 120
    while any(lives(process) for process in processes.values()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(lives(process) for process in processes.values())


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def endless(compared):
    """A shop whose arms train on until somebody ends them."""
    compared.configure(train={"seeds": [0], "epochs": 10**6, "patience": 10**6, "search": []})  # settings tried end
    return compared


def test_an_arm_that_is_killed_fails_the_run_in_words_and_the_others_end_first(compared, knowflow):
    # base is done in a moment, facts never: it is the one that is killed
    process = knowflow.start("train", "--config", str(compared.config), "--arms", "base,facts")
    try:
        arms_below(process, {"facts"})["facts"].kill()
        out, errors = process.communicate(timeout=240)
    finally:
        process.kill()

    assert process.returncode == 1
    assert out == ""
    told = [line for line in errors.splitlines() if not line.startswith("training ")]
    log = compared.folder / "runs" / "train" / "train-000002" / "facts.log"
    assert told == [
        "arm facts: training was ended by SIGKILL, as the system does when memory runs out",
        f"  full output: {log}",
    ]
    assert (log.parent / "base.json").is_file()
    assert [run.name for run in list_runs(compared.folder / "runs")] == ["train-000001"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_ending_the_parent_ends_its_arms_and_its_temporary_server(endless, plain_knowflow, how):
    process = plain_knowflow.start("train", "--config", str(endless.config), "--arms", "base,facts")
    arms = arms_below(process, {"base", "facts"} if (os.cpu_count() or 1) > 1 else {"facts"})
    servers, home = servers_below(process), endless.folder / "runs"
    inputs = home / "train" / "train-000002" / SHARED
    assert (drop_left_inputs(home), inputs.is_dir()) == ([], True)  # while they train

    process.send_signal(how)
    process.communicate(timeout=60)

    assert process.returncode == -how
    assert len(servers) == 1
    assert ended({**arms, **servers})
    killed = how == signal.SIGKILL  # otherwise the run has deleted them itself
    assert (inputs / "user_ids.npy").is_file() == killed
    assert drop_left_inputs(home) == ["train-000002"] * killed  # as the next train and the next refresh do
    assert not inputs.exists()


@pytest.mark.parametrize("whole_group", [True, False], ids=["in a terminal", "to the parent alone"])
def test_ctrl_c_ends_the_arms_that_train_and_begins_no_more(endless, plain_knowflow, whole_group):
    process = plain_knowflow.start("train", "--config", str(endless.config), "--arms", "base,facts,random,kar")
    try:
        arms = arms_below(process, {"kar"})
        servers = servers_below(process)
        if whole_group:  # as the terminal does
            below = [*arms.values(), *servers.values(), psutil.Process(process.pid)]
            for one in [one for one in below if os.getpgid(one.pid) == os.getpgid(process.pid)]:
                one.send_signal(signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=120)
    finally:
        process.kill()

    assert process.returncode == 130
    assert (out, errors) == (
        "",
        "stopped; nothing of this training run is kept; releases and earlier runs are unchanged\n",
    )
    assert ended(arms)
    assert {path.stem for path in (endless.folder / "runs" / "train" / "train-000002").glob("*.log")} <= {
        "kar",
        "random",
    }
    assert len(servers) == 1
    assert ended(servers)
