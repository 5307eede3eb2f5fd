"""The evaluation of recommenders: what is asked, what is seen, what is kept, and a recommender of a team's own."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from app.config import load_config
from app.recommend_evaluation import CONTROLS, evaluate_recommenders, find_test
from app.workplace import open_dataset
from base.faults import WrongUse
from base.plugins import UnknownPlugin
from base.progress import silent
from evals.recommend_page import conclusion, shown_tables
from recommenders.kept import load
from recommenders.log import log_of

START = datetime(2024, 1, 1, tzinfo=UTC)
USERS, ITEMS, EACH = 24, 12, 10
MINE = '''"""Names the item behind the newest one."""
import json
import numpy as np
from recommenders.protocol import NoOptions, Ranked, Recommender, State

class Next:
    def recommend(self, requests, k):
        newest = requests.past.item[requests.start[1:] - 1]
        items = np.full((len(requests), k), -1)
        items[:, 0] = (newest + 1) % {items}
        return Ranked(items, np.where(items < 0, -np.inf, 1.0))

    def state(self):
        return State({{}}, {{}})

SEEN = []

def fit(context, options):
    SEEN.append(context.log)
    return Next()

MINE = Recommender("next", "the item behind the newest", NoOptions, fit, lambda state, options: Next())
'''


@pytest.fixture
def circle(make_shop):
    """Every user goes round a circle of items, one an hour, and likes all."""
    shop = make_shop()
    shop.write_items({f"i{place:02d}": f"Thing {place}" for place in range(ITEMS)})
    shop.write_events(
        [
            (f"u{user}", f"i{(user + place) % ITEMS:02d}", START + timedelta(hours=place), 5.0)
            for user in range(USERS)
            for place in range(EACH)
        ]
    )
    return shop


def test_requests_are_moments_of_liked_test_events_with_what_came_strictly_before(make_shop):
    shop = make_shop(items=6, split={"by": "user_position", "train": 0.5, "validation": 0.05})
    hours = [(0, 0, 5.0), (1, 1, 5.0), (2, 2, 5.0), (3, 3, 5.0), (4, 4, 1.0), (5, 0, 5.0)]
    events = [("u", f"i{item}", START + timedelta(hours=hour), rating) for hour, item, rating in hours]
    events += [("u", "i5", START + timedelta(hours=3), 5.0)]
    shop.write_events(events)
    dataset = open_dataset(load_config(shop.config))
    assert dataset.events["part"].to_list() == ["train"] * 3 + ["test"] * 4

    found = find_test(dataset, log_of(dataset), "test")

    # hour 3 leads to two items at once; hour 4 is not liked; at hour 5 item 0 comes again
    assert len(found.requests) == 1
    assert found.requests.past.item.tolist() == [0, 1, 2]
    assert sorted(found.item.tolist()) == [3, 5]
    assert found.row.tolist() == [0, 0]


def test_a_recommender_of_a_team_is_fitted_on_training_events_and_beats_the_controls(circle, tmp_path):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "mine.py").write_text(MINE.format(items=ITEMS))
    circle.configure(plugins=[str(tmp_path / "plugins")])
    config = load_config(circle.config)

    found = evaluate_recommenders(config, silent, ["next"], at=(1, 3))

    assert list(found["models"]) == [*CONTROLS, "next"]
    one = found["models"]["next"]["all"]["recall@1"]
    assert one["mean"] == 1
    assert one["gains"]["random"]["low"] > 0
    assert found["segments"]["all"] == {"queries": USERS, "wanted": USERS, "users": USERS}
    kept = load(circle.folder / "runs" / "recommenders" / "next", config.plugin_folders)
    (log,) = kept.model.recommend.__globals__["SEEN"]
    assert len(log.user) == USERS * EACH * 8 // 10
    assert log.time.max() == np.datetime64("2024-01-01T07:00:00")
    assert kept.facts["seen_until"] == "2024-01-01T07:00:00+00:00"
    json.dumps(found, allow_nan=False)
    assert "The best of 4 models by ndcg@3 is next, with 1.0000." in conclusion(found)
    assert shown_tables(found)[0].rows[-1][0] == "next"


def test_a_peer_is_evaluated_too_and_every_other_one_is_compared_with_it(circle, tmp_path):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "mine.py").write_text(MINE.format(items=ITEMS))
    circle.configure(plugins=[str(tmp_path / "plugins")])

    found = evaluate_recommenders(load_config(circle.config), silent, ["popularity"], at=(1,), peers=["next"])

    assert list(found["models"]) == [*CONTROLS, "next"]
    assert found["controls"] == [*CONTROLS, "next"]
    of = {name: one["all"]["recall@1"] for name, one in found["models"].items()}
    assert of["random"]["gains"]["next"]["mean"] == pytest.approx(of["random"]["mean"] - 1)  # always right
    assert "next" not in of["next"]["gains"]


def test_unknown_names_and_options_are_faults_that_say_what_there_is(circle):
    config = load_config(circle.config)

    with pytest.raises(UnknownPlugin, match=r"no such recommender: nobody\n  there are: .*popularity"):
        evaluate_recommenders(config, silent, ["nobody"])
    with pytest.raises(UnknownPlugin, match="nobody"):
        evaluate_recommenders(config, silent, ["random"], {"nobody": {}})
    with pytest.raises(WrongUse, match=r"cooccurrence.history: .*greater.*\n  options of cooccurrence: history"):
        evaluate_recommenders(config, silent, ["random"], {"cooccurrence": {"history": 0}})


def test_without_a_liked_test_event_there_is_nothing_to_measure(circle):
    circle.configure(label={"rating_at_least": 6})

    with pytest.raises(WrongUse, match="no test event is a like of an item that is new to its user"):
        evaluate_recommenders(load_config(circle.config), silent, ["random"])
