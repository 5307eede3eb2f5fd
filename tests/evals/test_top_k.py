"""The one top-k evaluation: means over users, segments of wanted items, gains and their intervals."""

import json

import numpy as np
import pytest

from base.plugins import find
from evals.measures.found import HIT, RECALL
from evals.measures.named import COVERAGE
from evals.measures.protocol import MEASURES
from evals.top_k import Asked, evaluate, item_and_user_segments

USERS, EACH, ITEMS = 30, 2, 10


def many() -> tuple[Asked, dict[str, list[np.ndarray]]]:
    """Thirty users ask twice for one item each; `knowing` names it first, `blind` never does."""
    user = np.repeat(np.arange(USERS), EACH)
    item = np.arange(USERS * EACH) % (ITEMS - 1)
    asked = Asked(np.arange(len(user)), item, user, np.arange(ITEMS, dtype=float))
    return asked, {"knowing": [item[:, None]], "blind": [np.full((len(user), 1), ITEMS - 1)]}


def test_gains_are_paired_differences_with_intervals_over_users():
    asked, rankings = many()

    found = evaluate(rankings, asked, {"all": np.ones(60, bool)}, [RECALL], (1,), ["blind"], replicates=50)

    of = found["models"]["knowing"]["all"]["recall@1"]
    assert (of["mean"], of["low"], of["high"], of["users"]) == (1, 1, 1, USERS)
    assert of["gains"]["blind"]["mean"] == 1
    assert found["models"]["blind"]["all"]["recall@1"]["gains"] == {}
    assert found["segments"]["all"] == {"queries": 60, "wanted": 60, "users": USERS}


def test_every_user_counts_once_however_often_he_asks():
    # the first user asks three times and gets nothing, the second once and gets his item: 1/2, not 1/4
    asked = Asked(np.arange(4), np.array([1, 1, 1, 0]), np.array([0, 0, 0, 1]), np.ones(3))

    found = evaluate({"one": [np.zeros((4, 1), int)]}, asked, {"all": np.ones(4, bool)}, [HIT], (1,), replicates=5)

    assert found["models"]["one"]["all"]["hit@1"]["mean"] == pytest.approx(1 / 2)


def test_a_model_of_several_seeds_is_worth_their_mean():
    asked, rankings = many()
    mixed = {"mixed": [*rankings["knowing"], *rankings["blind"]]}

    found = evaluate(mixed, asked, {"all": np.ones(60, bool)}, [HIT, COVERAGE], (1,), replicates=5)

    assert found["models"]["mixed"]["all"]["hit@1"]["mean"] == 0.5
    assert found["models"]["mixed"]["all"]["coverage@1"]["mean"] == pytest.approx((0.9 + 0.1) / 2)


def test_a_segment_asks_for_its_own_items_alone():
    # one query wants items 0 and 2, of which only item 2 is found
    asked = Asked(np.array([0, 0, 1]), np.array([0, 2, 0]), np.array([0, 1]), np.array([9.0, 1.0, 0.0]))
    chosen = {"new items": np.array([False, True, False]), "none": np.zeros(3, bool)}

    found = evaluate({"one": [np.array([[2], [1]])]}, asked, chosen, [RECALL, COVERAGE], (1,), replicates=5)

    assert found["models"]["one"]["new items"]["recall@1"]["mean"] == 1
    assert found["models"]["one"]["new items"]["coverage@1"]["mean"] == pytest.approx(1 / 3)
    assert found["segments"]["new items"] == {"queries": 1, "wanted": 1, "users": 1}
    assert found["models"]["one"]["none"]["recall@1"]["mean"] is None
    json.dumps(found, allow_nan=False)


def test_segments_part_wanted_items_by_the_events_that_train():
    # 6 + 4 of 10 events: the first item alone holds half; item 3 has none
    popularity = np.array([2.0, 6.0, 2.0, 0.0])
    asked = Asked(np.array([0, 0, 1]), np.array([1, 3, 0]), np.array([0, 1]), popularity)

    found = item_and_user_segments(asked, user_events=np.array([4.0, 5.0]))

    told = {name: mask.tolist() for name, mask in found.items()}
    assert told["head items"] == [True, False, False]
    assert told["tail items"] == [False, False, True]
    assert told["new items"] == [False, True, False]
    assert told["cold users"] == [True, True, False]
    assert told["warm users"] == [False, False, True]


def test_a_measure_of_a_team_appears_in_the_result_without_an_edit_of_ours(tmp_path):
    (tmp_path / "mine.py").write_text(
        '"""How long lists are."""\nfrom evals.measures.protocol import Measure\n'
        'LENGTH = Measure("length", "items named", lambda lists, k: (lists.ranking[:, :k] >= 0).sum(axis=1) * 1.0)\n'
    )
    asked, rankings = many()

    measures = list(find(MEASURES, (tmp_path,)).values())
    found = evaluate(rankings, asked, {"all": np.ones(60, bool)}, measures, (1, 5), replicates=5)

    assert found["models"]["blind"]["all"]["length@5"]["mean"] == 1
    ours = {"recall", "ndcg", "mrr", "hit", "coverage", "popularity", "novelty"}
    assert {name.split("@")[0] for name in found["models"]["blind"]["all"]} == ours | {"length"}
