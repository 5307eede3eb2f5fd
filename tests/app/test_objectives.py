"""What an optimiser aims at: rows of training and validation alone, scored as the formulas say."""

import json
import math

import polars as pl
import pytest
from optimise_shop import optimise_shop

from app.config import load_config
from app.objectives import ranking_objective, row_measure
from app.workplace import one_task, open_workplace
from base.faults import WrongUse
from base.plugins import UnknownPlugin
from evals.trial import TrialAnswer
from llm_tasks.rank_candidates import RANKING
from sources.tables import event_of


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    config = load_config(optimise_shop(tmp_path_factory.mktemp("shop")))
    return one_task(config, "rank_candidates"), open_workplace(config)


def answered(ranking, topics=(), error=None):
    fields = None if error else {"topics": list(topics), "ranking": [str(one) for one in ranking]}
    return TrialAnswer("k", None if error else json.dumps(fields), None, fields, error, None, 0, 0)


def test_measures_of_single_rows_are_those_of_the_formulas():
    orders, wanted = [[2, 1, 3], [1, 2, 3], [3], []], [1, 1, 2, 2]  # ranks 2, 1, not listed, nothing listed

    assert row_measure("ndcg@10")(orders, wanted).tolist() == pytest.approx([1 / math.log2(3), 1, 0, 0])
    assert row_measure("mrr@10")(orders, wanted).tolist() == pytest.approx([0.5, 1, 0, 0])
    assert row_measure("hit@1")(orders, wanted).tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("name", ["probe", "ndcg", "ndcg@0", "coverage@10"])
def test_what_is_no_measure_of_a_ranking_is_refused(name):
    with pytest.raises(WrongUse, match=r"example: ndcg@10"):
        row_measure(name)


def test_an_unknown_measure_is_refused_with_those_there_are():
    with pytest.raises(UnknownPlugin, match=r"there are: .*mrr"):
        row_measure("beauty@10")


def test_it_learns_from_training_and_judges_on_validation_in_disjoint_groups(place):
    task, workplace = place
    objective = ranking_objective(RANKING, "ndcg@10", task, workplace, 30, 0)
    parts = dict(workplace.dataset.events.select(pl.concat_str("user", "item"), "part").iter_rows())

    for side, part in ((objective.learn, "train"), (objective.judge, "validation")):
        rows = [one for of in side.values() for one in of]
        assert {parts["".join(event_of(one.row.entity))] for one in rows} == {part}
        assert len({one.key for one in rows}) == len(rows) == 30
        assert len(side) == 3
        assert {len(of) for of in side.values()} == {10}
    assert not {one.key for of in objective.learn.values() for one in of} & {
        one.key for of in objective.judge.values() for one in of
    }


def test_no_history_of_a_row_shows_a_validation_or_test_event(place):
    task, workplace = place
    objective = ranking_objective(RANKING, "ndcg@10", task, workplace, 30, 0)
    names = dict(workplace.dataset.items.select("item", "title").iter_rows())
    events = workplace.dataset.events
    for one in [one for of in objective.judge.values() for one in of]:
        user, _ = event_of(one.row.entity)
        later = events.filter((pl.col("user") == user) & (pl.col("part") != "train"))["item"]
        shown = one.row.variables["history"].split("; ")
        assert not {names[item] for item in later} & {text.rpartition(": ")[0] for text in shown}


def test_a_score_says_in_words_where_the_wanted_one_stands(place):
    task, workplace = place
    objective = ranking_objective(RANKING, "mrr@10", task, workplace, 6, 0)
    row = next(iter(objective.judge.values()))[0]
    numbers = list(range(1, 11))
    (first,) = objective.score([row], [answered(numbers)])
    wanted = round(1 / first.score)
    others = [one for one in numbers if one != wanted]

    third, missing, broken = objective.score(
        [row] * 3,
        [answered([*others[:2], wanted]), answered(others), answered([], error="parse: the answer is empty")],
    )

    assert f"chose number {wanted} next; it stands at place 3" in third.wrong
    assert third.score == pytest.approx(1 / 3)
    assert (missing.score, broken.score) == (0, 0)
    assert "is not in the ranking" in missing.wrong
    assert broken.wrong.startswith("There is no ranking: parse: the answer is empty.")
    assert "Topics of the history: " in first.wrong
    assert row.row.variables["history"] in first.shown


def test_named_topics_are_monitored(place):
    task, workplace = place
    objective = ranking_objective(RANKING, "mrr@10", task, workplace, 6, 0)
    (domain, rows), *_ = objective.judge.items()

    (case,) = objective.score(rows[:1], [answered([1], ["nonsense", f"films of {domain}"])])

    topics = case.wrong.partition("Topics of the history: ")[2].rstrip(".").split(", ")
    assert case.monitors == {"topics correct": 0.5, "topics complete": pytest.approx(1 / len(topics))}
