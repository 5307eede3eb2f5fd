"""The search by Optuna: it finds, it goes on where a kill stopped it, and tries what it would have tried without the kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from base.progress import silent
from ctr.space import Range
from ctr.study import best_of, finished, go_on

ROOT = Path(__file__).resolve().parents[2]
RANGES = (Range("rate", 0.01, 1.0), Range("epochs", 1, 5, log=False, whole=True))
FIRST = ({"rate": 0.5, "epochs": 1}, {"rate": 0.5, "epochs": 2})


def height(values):
    """The highest AUC, 1, is at a rate of 0.1 and 3 epochs."""
    return 1 - (values["rate"] - 0.1) ** 2 - 0.01 * (values["epochs"] - 3) ** 2


def search(file, trials, measure=height, name="one", seed=0):
    return go_on(file, name, RANGES, FIRST, measure, trials, seed, silent)


def killed_at(file, call):
    """Search in a process that kills itself while its trial of this number is measured."""
    code = (
        "import os, sys; from pathlib import Path; from tests.ctr.test_study import height, search; calls = []\n"
        "def measure(values):\n"
        "    calls.append(values)\n"
        f"    return height(values) if len(calls) < {call} else os.kill(os.getpid(), {signal.SIGKILL:d})\n"
        "search(Path(sys.argv[1]), 14, measure)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code, str(file)], cwd=ROOT, env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL


def test_a_killed_search_goes_on_and_tries_what_it_would_have_tried(tmp_path):
    whole = search(tmp_path / "whole.db", 14)
    killed_at(tmp_path / "killed.db", 5)
    assert finished(tmp_path / "killed.db", "one") == whole[:4]
    killed_at(tmp_path / "killed.db", 6)  # the fifth to the ninth, and then the tenth kills it
    assert finished(tmp_path / "killed.db", "one") == whole[:9]
    measured = []

    again = search(tmp_path / "killed.db", 14, lambda values: measured.append(values) or height(values))

    assert again == whole
    assert measured == [one.values for one in whole[9:]]


def test_the_given_values_come_first_and_the_best_is_near_the_top(tmp_path):
    (tmp_path / "odd ? & #name").mkdir()
    tried = search(tmp_path / "odd ? & #name" / "study.db", 30)

    assert [one.values for one in tried[:2]] == list(FIRST)
    assert best_of(tried).validation_auc == max(one.validation_auc for one in tried) > 0.98
    assert all(0.01 <= one.values["rate"] <= 1 and one.values["epochs"] in range(1, 6) for one in tried)
    assert isinstance(best_of(tried).values["epochs"], int)


def test_enough_trials_measure_nothing_more_and_another_study_begins_anew(tmp_path):
    search(tmp_path / "study.db", 5)

    assert len(search(tmp_path / "study.db", 3, measure=None)) == 5
    assert len(search(tmp_path / "study.db", 3, name="other")) == 3
    assert finished(tmp_path / "nothing.db", "one") == []


def test_a_trial_that_fails_is_tried_again(tmp_path):
    def fails(values):
        raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged"):
        search(tmp_path / "study.db", 3, fails)

    assert [one.values for one in search(tmp_path / "study.db", 2)] == list(FIRST)


def test_another_seed_tries_other_values(tmp_path):
    one, other = (search(tmp_path / f"{seed}.db", 4, seed=seed)[3].values for seed in (0, 100))

    assert one != other
