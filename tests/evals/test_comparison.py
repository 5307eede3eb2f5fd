"""Which rows are compared: windows by hand, who sees an answer, and segments of rolling time pooled."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from ctr.samples import build_samples
from evals.comparison import AFTER, BEFORE, encodings_of_tasks, known_items, noted_rows, rolling_rows, windows_of
from feature_store.lineage import VectorName
from llm_tasks.pipeline.catalogue import find_tasks
from sources.events import PARTS, histories
from sources.tables import Dataset

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
TEN = pl.DataFrame(
    {
        "user": ["u0", "u1"] * 5,
        "item": ["i0", "i1", "i1", "i0", "i2"] * 2,
        "time": [BEGIN + timedelta(days=day) for day in range(10)],
        "rating": [4.0, 1.0] * 5,
        "label": [1, 0] * 5,
        "position": [place // 2 for place in range(10)],
        "part": ["train"] * 6 + ["validation"] * 2 + ["test"] * 2,
    },
    schema_overrides={"time": pl.Datetime("us", "UTC"), "label": pl.Int8, "position": pl.Int32},
)


def dataset_of(events):
    items = pl.DataFrame({"item": ["i0", "i1", "i2"], "title": ["a", "b", "c"]})
    return Dataset(events, items, None, None, (), (), (), "v")


def samples_of(events):
    return build_samples(dataset_of(events), histories(events))


def test_windows_by_hand():
    # Cuts after 5 and 8 of ten events; choosing holds back the last 2.5 before the first: those of days 2 to 4.
    choosing, first, second = windows_of(dataset_of(TEN), [0.5, 0.8])

    assert [PARTS[part] if part >= 0 else "" for part in choosing] == ["train"] * 2 + ["validation"] * 3 + [""] * 5
    assert [PARTS[part] if part >= 0 else "" for part in first] == ["train"] * 5 + ["test"] * 3 + [""] * 2
    assert [PARTS[part] for part in second] == ["train"] * 8 + ["test"] * 2


def test_a_window_whose_test_rows_hold_one_label_is_left_out():
    one_label = TEN.with_columns(label=pl.Series([1, 0, 1, 0, 1, 0, 1, 0, 1, 1], dtype=pl.Int8))

    assert len(windows_of(dataset_of(one_label), [0.5, 0.8])) == 2  # for choosing, and the first
    assert windows_of(dataset_of(one_label), [0.8]) == []
    assert windows_of(dataset_of(TEN), []) == []


def test_rows_about_events_are_not_looked_up_and_unknown_techniques_are():
    made = [VectorName(*of) for of in (("kar_item", "dense"), ("kar_item", "lexical"), ("cot_examples", "dense"))]

    assert encodings_of_tasks([*made, VectorName("gone", "dense")], find_tasks()) == {
        "kar_item": "lexical",
        "gone": "dense",
    }


def test_only_a_models_answers_about_items_count_as_known():
    one, two, three = (np.arange(4) == place for place in range(3))
    knows = {"kar_item": one, "item_facts": two, "kar_user": three, "gone": ~one}

    np.testing.assert_array_equal(known_items(knows, find_tasks(), 4), one)
    np.testing.assert_array_equal(known_items({"item_facts": two}, find_tasks(), 4), np.zeros(4, dtype=bool))


def test_rolling_rows_are_pooled_and_split_at_the_cutoff():
    samples, windows = samples_of(TEN), windows_of(dataset_of(TEN), [0.5, 0.8])[1:]
    known = samples.item == 0
    cutoff = np.datetime64("2024-01-08T00:00:00")  # day 7: days 8 and 9 are later

    rows = rolling_rows(samples, windows, known, cutoff)

    assert rows["label"].to_list() == [0, 1, 0, 1, 0]  # days 5 to 9
    assert rows[AFTER].to_list() == [False, False, False, True, True]
    assert rows[BEFORE].to_list() == [True, True, True, False, False]
    noted = noted_rows(samples, windows, {"kar_item": known}, cutoff)
    assert [(cut["train_rows"], cut["test_rows"], cut["test_users"]) for cut in noted["cuts"]] == [(5, 3, 2), (8, 2, 2)]
    assert (noted["after_cutoff"], noted["test_years"]) == (1.0, [2024, 2024])
    assert noted["coverage"]["kar_item"]["test"] == 0.5  # of days 8 and 9, the first is about i0
    assert noted_rows(samples, windows, {}, None)["after_cutoff"] is None
