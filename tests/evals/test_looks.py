"""Looks at test rows are noted and counted by version of the data."""

from evals.looks import count_looks, note_look, read_looks


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
