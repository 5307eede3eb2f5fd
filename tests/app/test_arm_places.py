"""Arms begin as memory allows: the arithmetic by hand, then real processes that take what a test says."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from app.arm_memory import Peak
from app.arm_places import Places, Running, fits
from base.faults import CheckFailed

MIB = 2**20
TAKES = "import sys; own = bytearray(b'1') * (int(sys.argv[1]) * 2**20); print(flush=True); sys.stdin.read()"
"""A process that takes so many MiB, until its input ends."""


def test_one_more_fits_beside_the_growth_of_those_that_train_and_what_all_share():
    running = {"a": Running(500, now=300), "b": Running(500, now=700)}

    assert fits(free=1_000, shared=200, running=running, need=600)  # 1,000 - 200 - 200 - 0
    assert not fits(free=999, shared=200, running=running, need=600)
    assert fits(free=0, shared=200, running={}, need=600)  # at least one


def start(mib: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-S", "-c", TAKES, str(mib)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Trained:
    """An arm in a thread, as the flow has it: a process that takes memory until it is told to end."""

    def __init__(self, places: Places, name: str, mib: int) -> None:
        self.places, self.name, self.mib, self.error = places, name, mib, ""
        self.process: subprocess.Popen[str] | None = None
        self.thread = threading.Thread(target=self._train)
        self.thread.start()

    def _train(self) -> None:
        try:
            with self.places.place(self.name) as begun, start(self.mib) as self.process:
                begun(self.process)
                if self.process.wait():
                    raise CheckFailed("killed")
        except CheckFailed as error:
            self.error = str(error)

    def end(self) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.thread.join()


@pytest.fixture
def machine():
    """Makes places on a machine of so many MiB, and ends what a failed test has left."""
    every: list[Places] = []

    def make(whole: int, guessed: dict[str, int], earlier: dict[str, Peak] | None = None, shared: int = 0) -> Places:
        def free() -> int:
            return whole * MIB - sum(one.now for one in every[0].running.values())

        guesses = {name: mib * MIB for name, mib in guessed.items()}
        every.append(Places("train-000001", guesses, earlier or {}, shared * MIB, free))
        return every[0]

    yield make
    for one in every:
        one.end()


def takes(places: Places, name: str, mib: int) -> Callable[[], bool]:
    return lambda: name in places.running and places.running[name].peak > mib * MIB


def test_an_arm_waits_for_memory_and_what_the_first_one_took_sizes_the_others(machine, caplog):
    places = machine(300, {"a": 150, "b": 150, "c": 150}, shared=20)
    first = Trained(places, "a", 100)
    wait_until(takes(places, "a", 100))
    second = Trained(places, "b", 60)
    wait_until(lambda: bool(places.limit))
    third = Trained(places, "c", 60)
    time.sleep(1.2)  # both look again

    assert list(places.running) == ["a"]  # 300 - 20 - 150 MiB are left
    words = "1 arm trains for now, because memory is short: arm b may need 0.1 GiB, and 0.1 GiB are left beside a"
    assert [record.getMessage() for record in caplog.records] == [f"train-000001: {words}"]
    first.end()
    wait_until(lambda: takes(places, "b", 60)() and takes(places, "c", 60)())  # 1.1 times some 107 MiB each
    second.end()
    third.end()
    facts = places.facts()
    assert {name: facts[name] for name in ("arms", "limit", "shared")} == {
        "arms": 2,
        "limit": words,
        "shared": 20 * MIB,
    }
    assert 100 * MIB < facts["peaks"]["a"]["measured"] < 125 * MIB
    assert 60 * MIB < facts["peaks"]["b"]["measured"] < 85 * MIB
    assert all(peak["whole"] for peak in facts["peaks"].values())


def test_what_was_measured_in_an_earlier_run_counts_from_the_start(machine, caplog):
    earlier = {name: Peak(200, 100) for name in "ab"}
    places = machine(250, {"a": 200, "b": 200}, earlier)  # 1.1 x 200 x 100 / 200 = 110 MiB each

    both = [Trained(places, name, 60) for name in "ab"]
    wait_until(lambda: takes(places, "a", 60)() and takes(places, "b", 60)())

    for one in both:
        one.end()
    assert (places.facts()["arms"], places.facts()["limit"], caplog.records) == (2, None, [])


def test_an_arm_for_which_there_is_not_enough_begins_alone_with_a_warning(machine, caplog):
    places = machine(1024, {"a": 2048})

    alone = Trained(places, "a", 10)
    wait_until(takes(places, "a", 10))
    alone.end()

    assert [record.getMessage() for record in caplog.records] == [
        "train-000001: arm a may need 2.0 GiB of memory, and 1.0 GiB are free; if the system ends it, use a machine "
        "with more"
    ]


def test_the_end_of_the_run_kills_who_trains_and_who_waits_never_begins(machine):
    places = machine(100, {"a": 90, "b": 90})
    first = Trained(places, "a", 20)
    wait_until(takes(places, "a", 20))
    second = Trained(places, "b", 20)
    wait_until(lambda: bool(places.limit))

    places.end()

    first.thread.join(30)
    second.thread.join(30)
    assert (first.error, second.error) == ("killed", "arm b: not trained, train-000001 was stopped")
    assert second.process is None
    assert places.facts()["peaks"]["a"]["whole"] is False
