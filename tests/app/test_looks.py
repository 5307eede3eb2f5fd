"""Looks at test rows are noted and counted by version of the data."""

from app.comparison import end_run
from app.looks import count_looks, note_look, read_looks
from app.train_runs import get_run
from base.progress import silent


def test_looks_are_counted_by_version_of_the_data(tmp_path):
    folder = tmp_path / "train"
    assert count_looks(folder, "a") == 0

    for version, by in (("a", "train-000001"), ("b", "train-000002"), ("a", "a script")):
        note_look(folder, version, by, ["base"])

    assert [(look["data_version"], look["by"]) for look in read_looks(folder)] == [
        ("a", "train-000001"),
        ("b", "train-000002"),
        ("a", "a script"),
    ]
    assert (count_looks(folder, "a"), count_looks(folder, "c")) == (2, 0)


def test_every_comparison_that_is_judged_on_test_rows_is_one_more_look(compared):
    home = compared.folder / "runs"
    run, version = get_run(home), compared.place().dataset.version
    assert run.read("result")["looks"] == count_looks(home / "train", version) == 1

    again = end_run(run, silent)

    assert again["looks"] == 2
    (first, second) = read_looks(home / "train")
    assert (first["by"], second["arms"]) == (run.name, list(again["arms"]))
