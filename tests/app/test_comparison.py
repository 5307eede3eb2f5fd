"""A comparison from the first note of a run to its result."""

from app.comparison import end_run
from app.train_runs import get_run
from base.progress import silent
from evals.looks import count_looks, read_looks


def test_every_comparison_that_is_judged_on_test_rows_is_one_more_look(compared):
    home = compared.folder / "runs"
    run, version = get_run(home), compared.place().dataset.version
    assert run.read("result")["looks"] == count_looks(home / "train", version) == 1

    again = end_run(run, silent)

    assert again["looks"] == 2
    (first, second) = read_looks(home / "train")
    assert (first["by"], second["arms"]) == (run.name, list(again["arms"]))
