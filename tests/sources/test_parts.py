"""What a split really holds: counted by hand, and warned of with a remedy where it is not what was set."""

import polars as pl

from sources.config import SplitConfig
from sources.parts import count_parts, split_warnings


def log(rows):
    """Events from user, label and part."""
    return pl.DataFrame(rows, schema={"user": pl.String, "label": pl.Float32, "part": pl.String}, orient="row")


def enough(part, rows, positives):
    return [(f"u{n % 7}", float(n < positives), part) for n in range(rows)]


def test_rows_positives_and_users_are_counted_by_part():
    found = count_parts(log([("a", 1, "train"), ("a", 0, "train"), ("b", 1, "train"), ("a", 0, "test")]), SplitConfig())

    assert [(one.part, one.rows, one.positives, one.users, one.share) for one in found] == [
        ("train", 3, 2, 2, 0.75),
        ("validation", 0, 0, 0, 0.0),
        ("test", 1, 0, 1, 0.25),
    ]
    assert [round(one.wanted, 9) for one in found] == [0.8, 0.1, 0.1]


def test_a_split_as_it_was_set_is_no_warning():
    events = log([*enough("train", 800, 300), *enough("validation", 100, 50), *enough("test", 100, 50)])

    assert split_warnings(count_parts(events, SplitConfig()), SplitConfig()) == []


def test_a_split_that_differs_says_both_and_names_the_remedy():
    # Three events a user: two train, one tests, none validates.
    events = log([*enough("train", 1000, 300), *enough("test", 500, 200)])

    shares, validation = split_warnings(count_parts(events, SplitConfig()), SplitConfig())

    assert shares == (
        "the split is 67/0/33% where 80/10/10% was set: most users have too few events for these shares\n"
        "  split by time, which keeps the shares: split: {by: global_time} in knowflow.yaml"
    )
    assert validation == (
        "validation has 0 rows with 0 positives: too few to choose settings by\n"
        "  split by time, which keeps the shares: split: {by: global_time} in knowflow.yaml"
    )


def test_a_part_with_a_handful_of_positives_or_negatives_decides_nothing():
    events = log([*enough("train", 800, 300), *enough("validation", 100, 19), *enough("test", 100, 81)])

    validation, test = split_warnings(count_parts(events, SplitConfig()), SplitConfig())

    assert validation.startswith("validation has 100 rows with 19 positives: too few to choose settings by\n")
    assert test.startswith("test has 100 rows with 19 negatives: too few to compare arms by\n")
    assert "larger share" in test


def test_no_events_at_all_are_counted_and_warned_of():
    counts = count_parts(log([]), SplitConfig(by="global_time"))

    assert [one.rows for one in counts] == [0, 0, 0]
    assert len(split_warnings(counts, SplitConfig(by="global_time"))) == 4
