"""Labels: from a rating, a weight, or the type of an event."""

import logging

import pytest

TYPES = "user,item,time,kind\n1,9,1700000000,view\n1,10,1700000001,cart\n2,9,1700000002,purchase\n"


def test_listed_types_of_events_are_positive_and_all_others_are_not(source):
    source.write("events.csv", TYPES)

    events = source.load(events={"rating": None, "label": "kind"}, label={"positive": ["cart", "purchase"]}).events

    assert events["label"].to_list() == [0, 1, 1]
    assert events["rating"].null_count() == 3


def test_of_a_look_and_a_purchase_in_the_same_second_the_purchase_is_kept(source):
    source.write("events.csv", TYPES + "1,9,1700000000,purchase\n")

    events = source.load(events={"rating": None, "label": "kind"}, label={"positive": ["purchase"]}).events

    assert events.select("user", "item", "label").rows() == [("1", "9", 1), ("1", "10", 0), ("2", "9", 1)]


def test_a_type_that_no_event_has_is_a_fault(source):
    source.write("events.csv", TYPES)

    message = source.message(events={"rating": None, "label": "kind"}, label={"positive": ["buy"]})

    assert "holds no 'buy', which label.positive names; it holds 'cart', 'purchase', 'view'" in message


@pytest.mark.parametrize("name", ["at_least", "rating_at_least"])
def test_any_number_is_a_label_from_a_least_one_on(source, name):
    source.write("events.csv", "user,item,time,plays\n1,9,1700000000,3\n1,10,1700000001,250\n")

    events = source.load(events={"rating": "plays"}, label={"rating_at_least": None, name: 100}).events

    assert events["label"].to_list() == [0, 1]


def test_a_rating_that_means_not_rated_is_left_out_and_said(source, caplog):
    source.write("events.csv", "user,item,time,rating\n1,9,1700000000,-1\n1,10,1700000001,5\n")

    with caplog.at_level(logging.WARNING, logger="sources"):
        events = source.load(label={"missing": [-1], "rating_range": [1, 5]}).events

    assert events["item"].to_list() == ["10"]
    assert caplog.messages == ["events.csv: left out 1 row that label.missing calls not rated"]
