"""Ctrl-C, as real signals to real processes."""

import signal
import time

import pytest

from feature_store.answers import known_answers
from feature_store.releases import get_release, list_releases


@pytest.mark.slow(reason="two processes with a Prefect flow each, one of them stopped by a real signal")
def test_ctrl_c_in_a_refresh_says_what_is_kept_and_the_same_command_goes_on_from_there(shop, knowflow):
    shop.configure(options={"seconds": 0.1})
    process = knowflow.start("refresh", "--config", str(shop.config))
    try:
        deadline = time.monotonic() + 240
        while len(shop.calls("gave")) < 5:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=120)
    finally:
        process.kill()

    assert process.returncode == 130
    assert out == ""
    assert errors == "stopped; answers so far are kept; run the same command to continue\n"
    store = shop.place().store
    assert list_releases(store) == []
    kept = len(known_answers(store))
    assert 4 <= kept <= len(shop.calls()) < 20
    shop.configure(options={"seconds": 0.0})
    calls = len(shop.calls())

    assert knowflow.run("refresh", "--config", str(shop.config)).returncode == 0
    assert len(shop.calls()) - calls == 20 - kept
    assert get_release(store).name == "rel-000001"
