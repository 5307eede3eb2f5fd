"""Agent4Rec: traits are counted as the paper says, agents act page by page, and what they do is marked."""

import hashlib
import json
from datetime import timedelta

import polars as pl
import pytest

from llm_tasks.agent4rec import agent4rec, rating_distance, simulate, traits
from llm_tasks.pipeline.ask import Asker

PROFILE = {"tastes": "Likes things.", "activity": "low", "conformity": "high", "diversity": "low"}
NAMES = {f"i{number}": f"Thing {number}" for number in range(12)}


def said(watch, ratings, more=True, satisfaction=8):
    words = {"watch": watch, "ratings": ratings, "satisfaction": satisfaction, "feeling": "fine", "next": more}
    return json.dumps(words)


@pytest.fixture
def walk(shop):
    """Let agents walk through pages of two items each."""

    def run(answers, agents=("u0",), most=3):
        # A page's last line is the same for all, so the engine tells pages apart by nothing: one answer for all.
        shop.configure(rules={"- Thing ": answers})
        revision = hashlib.sha256(answers.encode()).hexdigest()[:8]  # another model, or its first answers would stay
        shop.configure(engine={**shop.settings["engine"], "revision": revision})
        place = shop.place()
        with place.store.writer("a test") as writer:
            asker = Asker(agent4rec, place, writer)
            pages = lambda _, shown: [item for item in NAMES if item not in shown][:2]  # noqa: E731
            return simulate(asker, dict.fromkeys(agents, PROFILE), pages, NAMES, most)

    return run


def test_traits_are_counted_as_the_paper_says():
    events = pl.DataFrame(
        {"user": ["a", "a", "a", "b", "b", "c"], "item": ["1", "2", "3", "1", "2", "1"], "rating": [5.0, 1, 3, 1, 1, 3]}
    )
    items = pl.DataFrame({"item": ["1", "2", "3"], "genres": [["x"], ["x", "y"], ["z"]]})

    found = traits(events, items, ["genres"])

    # Means: item 1 is (5 + 1 + 3) / 3 = 3, item 2 is 1, item 3 is 3. Distances: a (4 + 0 + 0) / 3, b (4 + 0) / 2, c 0.
    assert [found[user]["conformity"] for user in "abc"] == ["medium", "low", "high"]
    assert [found[user]["activity"] for user in "abc"] == ["high", "medium", "low"]  # 3, 2, 1 events
    assert [found[user]["diversity"] for user in "abc"] == ["high", "medium", "low"]  # x y z, x y, x


def test_an_agent_is_told_from_training_events_alone_and_dated_by_the_newest_of_all(shop):
    training = shop.place().dataset.events.filter(pl.col("part") == "train")
    rows = list(agent4rec.rows(shop.place().inputs_of(agent4rec)))

    assert {row.entity for row in rows} == set(training["user"])
    assert {row.as_of for row in rows} == {training["time"].max()}
    events = shop.events()
    user, item, time, _ = max(events, key=lambda one: one[2])
    shop.write_events([one for one in events if one[2] != time] + [(user, item, time + timedelta(hours=1), 1.0)])
    assert {row.entity: row.variables for row in agent4rec.rows(shop.place().inputs_of(agent4rec))}.keys() == {
        row.entity for row in rows
    }


@pytest.mark.parametrize(("watch", "ratings"), [(["Thing 0", "Thing 1"], ["4"]), (["Thing 0"], ["4", "2", "1"])])
def test_what_has_no_partner_in_the_other_list_is_dropped_and_counted(walk, watch, ratings):
    simulated = walk(said(watch, ratings), most=1)

    assert [(one.item, one.rating) for one in simulated.events] == [("i0", 4.0)]
    unpaired = abs(len(watch) - len(ratings))
    assert simulated.lost == {"titles without a rating, or ratings without a title": unpaired}


def test_agents_see_new_items_on_every_page_and_leave_when_they_say_so(walk):
    going = walk(said(["Thing 0"], ["4"]))
    leaving = walk(said([], [], more=False))

    assert going.pages == {"u0": 3}
    assert [(one.item, one.rating, one.page) for one in going.events] == [("i0", 4.0, 1)]
    assert going.lost == {"items that are not on the page": 2}  # Thing 0 stands on the first page alone
    assert (leaving.pages, leaving.events) == ({"u0": 1}, ())
    assert going.satisfaction == {"u0": 8.0}


def test_answers_that_cannot_be_read_and_ratings_that_are_none_are_counted(walk):
    assert walk("no JSON at all").lost == {"answers that could not be read": 1}
    odd = walk(said(["Thing 0", "Thing 1"], ["good", "9"], more=False))
    assert odd.lost == {"ratings that are no number": 1}
    assert [(one.item, one.rating) for one in odd.events] == [("i1", 5.0)]  # cut to the scale


def test_a_simulation_that_begins_anew_asks_nothing(walk, shop):
    once = walk(said(["Thing 0"], ["4"]), agents=("u0", "u1"))
    calls = len(shop.calls("gave"))

    assert walk(said(["Thing 0"], ["4"]), agents=("u0", "u1")) == once
    assert len(shop.calls("gave")) == calls == 3  # two agents with one profile share their answers


def test_synthetic_events_are_marked_and_no_agent_has_the_id_of_a_user(walk, shop):
    table = walk(said(["Thing 0"], ["4"])).table()

    assert table["synthetic"].all()
    assert table.columns == ["agent", "item", "rating", "page", "synthetic"]
    assert not set(table["agent"]) & set(shop.place().dataset.events["user"])


def test_the_distance_of_two_distributions_of_ratings():
    assert rating_distance([4, 4, 5, 5], [4, 4, 4, 5]) == 0.25
    assert rating_distance([1.0], [5.0]) == 1.0
    assert rating_distance([4.1, 3.9], [4]) == 0.0
