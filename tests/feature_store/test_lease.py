"""The lock of a store in a bucket: one holder at a time, it ends by itself, and who lost it must not write."""

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import lance
import pytest

from base.faults import CheckFailed, WrongUse
from feature_store.control import TRIES, Control
from feature_store.identity import StoreFault
from feature_store.lease import EVERY, KEY, LASTS, SKEW, hold

START = datetime(2026, 12, 1, tzinfo=UTC)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def control(tmp_path):
    """A control table; in a folder it behaves as in a bucket."""
    return Control(str(tmp_path), {})


def test_of_many_that_change_a_text_at_once_one_succeeds(control):
    control.change("text", None, "0")
    done: list[int] = []
    together = threading.Barrier(8)

    def change(number: int) -> None:
        together.wait()
        if control.change("text", "0", str(number + 1)):
            done.append(number + 1)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(done) == 1
    assert control.read() == {"text": str(done[0])}


def test_texts_of_different_names_do_not_hinder_each_other(control):
    def change(name: str) -> None:
        for number in range(20):
            assert control.change(name, str(number - 1) if number else None, str(number))

    threads = [threading.Thread(target=change, args=(name,)) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert control.read() == {"one": "19", "other": "19"}


def test_a_change_does_not_create_a_table_that_is_there(control, monkeypatch):
    control.change("text", None, "0")
    monkeypatch.setattr(lance, "write_dataset", None)

    assert control.change("text", "0", "1")


def test_a_change_that_others_always_forestall_ends_in_words(control, monkeypatch):
    monkeypatch.setattr("feature_store.control.PAUSE", 0.0)
    control.change("text", None, "0")
    version = lance.dataset(f"{control.address}/control.lance").version
    real = lance.LanceDataset.update_config

    def forestalled(dataset: lance.LanceDataset, texts: dict) -> None:
        real(lance.dataset(dataset.uri), {"text": "0"})  # another process writes between the read and the commit
        real(dataset, texts)

    monkeypatch.setattr(lance.LanceDataset, "update_config", forestalled)

    with pytest.raises(StoreFault, match=r"'text' could not be changed, .* faster 20 times in a row\n  see what else"):
        control.change("text", "0", "1")
    assert control.read() == {"text": "0"}
    assert lance.dataset(f"{control.address}/control.lance").version == version + TRIES


def test_a_second_writer_is_refused_in_words_until_the_first_is_done(control):
    with hold(control, "the first", "home a"):
        with pytest.raises(WrongUse, match=r"another process is writing: the first, process \d+ on .* since 20"):
            hold(control, "the second", "home b").__enter__()
        with pytest.raises(WrongUse, match="another process is writing: the first"):
            hold(control, "the third", "home c").__enter__()

    with hold(control, "the second", "home b") as lease:
        lease.check()


def test_reading_creates_nothing(control, tmp_path):
    assert control.read() == {}
    assert list(tmp_path.iterdir()) == []


def left_by_a_kill(control: Control, clock: Clock, home: str, **changed: str) -> None:
    """Take the lock and leave it as a killed process does; its number is that of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with hold(control, "was killed", home, clock):
        said = json.loads(control.read()[KEY])
    assert control.change(KEY, "", json.dumps({**said, "process": ended.pid, **changed}))


def test_the_lock_of_a_killed_writer_ends_by_itself(control):
    clock = Clock()
    left_by_a_kill(control, clock, "home a")

    clock.now += LASTS + SKEW
    with pytest.raises(WrongUse, match=r"was killed.*\n.*its lock ends at 00:03:00 UTC"):
        hold(control, "the second", "home b", clock).__enter__()
    clock.now += timedelta(microseconds=1)
    with hold(control, "the second", "home b", clock):
        assert json.loads(control.read()[KEY])["purpose"] == "the second"


def test_the_same_home_goes_on_at_once_after_a_kill_but_not_from_another_machine(control, monkeypatch):
    clock = Clock()
    left_by_a_kill(control, clock, "home a")

    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    with pytest.raises(WrongUse, match="was killed"):
        hold(control, "a copy of the folder", "home a", clock).__enter__()
    monkeypatch.undo()
    with hold(control, "the same command again", "home a", clock) as lease:
        lease.check()


@pytest.mark.parametrize("machine", ["another boot pid:[4026531836]", ""])  # an older version told no machine
def test_a_copied_home_on_another_machine_of_the_same_name_waits(control, machine):
    clock = Clock()
    left_by_a_kill(control, clock, "home a", machine=machine)

    with pytest.raises(WrongUse, match="was killed"):
        hold(control, "a copy of the folder", "home a", clock).__enter__()


def test_the_same_home_does_not_rob_a_process_that_runs(control):
    with hold(control, "runs", "home a") as lease:
        with pytest.raises(WrongUse, match="another process is writing: runs"):
            hold(control, "a copy of the folder", "home a").__enter__()
        assert lease.move()


def test_a_lock_of_an_older_version_is_read(control):
    clock = Clock()
    left_by_a_kill(control, clock, "home a")
    older = {name: one for name, one in json.loads(control.read()[KEY]).items() if name != "machine"}
    control.change(KEY, control.read()[KEY], json.dumps(older))

    with pytest.raises(WrongUse, match="was killed"):
        hold(control, "the second", "home b", clock).__enter__()


@pytest.fixture
def lose(monkeypatch):
    """Let the next commit succeed and its response be lost; the client then sees an error."""
    real = lance.LanceDataset.update_config

    def once(error: str) -> None:
        def commit(dataset: lance.LanceDataset, texts: dict) -> None:
            monkeypatch.setattr(lance.LanceDataset, "update_config", real)
            real(dataset, texts)
            raise OSError(error)

        monkeypatch.setattr(lance.LanceDataset, "update_config", commit)

    return once


NO_RESPONSE = "after 3 retries: error sending request"
OWN_CONFLICT = "Incompatible transaction: another one has changed the config"  # the client's second try meets its first


def test_a_holder_whose_response_was_lost_goes_on_and_gives_the_lock_back(control, lose):
    with hold(control, "slow", "home a") as lease:
        lose(NO_RESPONSE)
        with pytest.raises(StoreFault):
            lease.move()
        assert lease.move()
        lose(OWN_CONFLICT)
        assert lease.move()
        lease.check()
        lose(NO_RESPONSE)
        with pytest.raises(StoreFault):
            lease.move()

    assert control.read()[KEY] == ""


def test_a_lock_is_held_although_the_response_to_taking_it_met_itself(control, lose):
    control.change(KEY, None, "")
    lose(OWN_CONFLICT)
    with hold(control, "the first", "home a") as lease:
        lease.check()
    assert control.read()[KEY] == ""


def test_a_lock_that_is_moved_on_lasts(control):
    clock = Clock()
    with hold(control, "slow", "home a", clock) as lease:
        for _ in range(8):
            clock.now += EVERY
            assert lease.move()
        with pytest.raises(WrongUse):
            hold(control, "the second", "home b", clock).__enter__()
        lease.check()


def test_a_holder_that_slept_goes_on_if_nobody_took_the_lock(control):
    clock = Clock()
    with hold(control, "slept", "home a", clock) as lease:
        clock.now += timedelta(days=1)
        lease.check()
        with pytest.raises(WrongUse):
            hold(control, "the second", "home b", clock).__enter__()


def test_a_holder_whose_lock_was_taken_must_not_write_and_leaves_the_other_alone(control):
    clock = Clock()
    with hold(control, "slept", "home a", clock) as lease:
        clock.now += timedelta(days=1)
        with hold(control, "the second", "home b", clock) as other:
            with pytest.raises(CheckFailed, match="the lock of the store was lost"):
                lease.check()
            with pytest.raises(CheckFailed):
                lease.check()
            other.check()
    assert control.read()[KEY] == ""
