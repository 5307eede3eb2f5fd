"""Slices of a backfill: every subject in exactly one, the chosen ones first, and a release after each."""

import pytest

from app.asking import Asking
from base.faults import WrongUse
from flows.refresh import refresh
from llm_tasks.pipeline.slices import Slice


@pytest.mark.parametrize("order", [None, "most_active", "oldest", "coldest"])
@pytest.mark.parametrize("entity", ["user", "item"])
def test_every_subject_is_in_exactly_one_slice(shop, order, entity):
    dataset = shop.place().dataset
    parts = [Slice(number, 3, order).subjects(entity, dataset) for number in (1, 2, 3)]

    everyone = sorted(one for part in parts for one in part or ())
    there = dataset.items["item"] if entity == "item" else dataset.events["user"].unique()
    assert everyone == sorted(there)


def test_the_first_slice_holds_the_subjects_of_its_order(shop):
    events = shop.events()
    shop.write_events([row for row in events if row[0] != "u1" or row is events[-1]] + [("u9", *events[0][1:])])
    dataset = shop.place().dataset
    counts = dict(dataset.events.group_by("user").len().iter_rows())

    most, least = (Slice(1, len(counts), order).subjects("user", dataset) for order in ("most_active", "coldest"))

    assert [counts[one] for one in most or ()] == [max(counts.values())]
    assert [counts[one] for one in least or ()] == [min(counts.values())]
    assert Slice(1, 2).subjects("cluster", dataset) is None


@pytest.mark.parametrize("wrong", ["0/3", "4/3", "1", "a/b", "1/0", ""])
def test_what_is_no_slice_is_refused(wrong):
    with pytest.raises(WrongUse, match="give one such as 1/10"):
        _ = Asking(slice=wrong).part


def test_an_order_without_a_slice_is_refused():
    with pytest.raises(WrongUse, match="give a slice too"):
        _ = Asking(order="oldest").part


@pytest.mark.usefixtures("prefect_server")
def test_slices_are_released_one_after_the_other_and_nothing_is_asked_twice(shop):
    calls = []
    for number in (1, 2, 3):
        refresh(config=str(shop.config), asking=Asking(slice=f"{number}/3", order="most_active"))
        calls.append(len(shop.calls("gave")))
    name = refresh(config=str(shop.config))

    assert 0 < calls[0] < calls[1] < calls[2] == 20
    assert len(set(shop.calls("gave"))) == 20
    assert name == "rel-000003"  # the whole holds nothing that the slices have not
