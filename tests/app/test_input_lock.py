"""What arms read goes with the process of their run; `test_arm_process.py` kills a real one."""

import pytest

from app.comparison import begin_run
from app.config import load_config
from app.input_lock import LOCK, drop_inputs, drop_left_inputs, lock_inputs
from app.run_inputs import shared_inputs
from app.train_runs import TrainRun, new_run


def left_behind(home, *, locked: bool = True) -> TrainRun:
    """Make a run that looks as if its process had been killed."""
    run = new_run(home)
    run.shared.mkdir()
    (run.shared / "user_ids.npy").write_bytes(b"anna")
    if locked:
        (run.folder / LOCK).touch()
    return run


def test_inputs_without_a_process_go_and_those_of_a_living_one_stay(tmp_path):
    killed, living = left_behind(tmp_path), left_behind(tmp_path)
    older = left_behind(tmp_path, locked=False)  # a version without locks may still be training
    lock_inputs(living)

    assert drop_left_inputs(tmp_path) == [killed.name]
    assert [run.shared.exists() for run in (killed, living, older)] == [False, True, True]
    drop_inputs(living)
    assert not living.shared.exists()
    assert not (living.folder / LOCK).exists()
    assert drop_left_inputs(tmp_path) == []


@pytest.mark.parametrize("what", ["train", "refresh", "gc", "maintain"])
def test_the_next_command_deletes_what_a_killed_run_left(shop, what, request):
    shop.release("kar_item")
    config, killed = load_config(shop.config), left_behind(shop.folder / "runs")

    if what == "train":
        run = begin_run(config, ["base"], None)
        assert shared_inputs(run).samples.label.size
        drop_inputs(run)
    elif what == "gc":
        request.getfixturevalue("plain_knowflow").run("release", "gc", "--config", shop.config)
    else:
        request.getfixturevalue("prefect_server")
        from flows.maintain import maintain
        from flows.refresh import refresh

        {"refresh": refresh, "maintain": maintain}[what](config=str(shop.config))

    assert not killed.shared.exists()
    assert killed.folder.exists()
