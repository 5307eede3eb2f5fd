"""The objective of prompts about items: a text that tells what people like of an item scores higher than one that does not."""

import numpy as np
import polars as pl
import pytest
from optimise_shop import BENCHMARK, optimise_shop

from app.config import load_config
from app.optimising import Wish, optimise
from app.probe_objective import probe_objective
from app.workplace import one_task, open_workplace
from base.faults import WrongUse
from evals.trial import TrialAnswer
from llm_tasks.pipeline.budget import Limits
from prompts.library import choose_prompt

TOPICS = BENCHMARK["TOPICS"]


def encode(texts):
    """One dimension for each topic, and one for all other texts."""
    return np.array([[float(topic in text) for topic in TOPICS] + [0.1] for text in texts])


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Films about the first six topics are rated two points higher than the others, by everybody."""
    file = optimise_shop(tmp_path_factory.mktemp("shop"))
    events = pl.read_parquet(file.parent / "events.parquet")
    liked = pl.col("item").str.slice(1).cast(pl.Int64) % len(TOPICS) < 6
    other = pl.Series("user", np.random.default_rng(0).permutation(events["user"].to_list()))
    mixed = events.with_columns(other, rating=pl.when(liked).then(5.0).otherwise(3.0))
    mixed.unique(["user", "item"]).write_parquet(file.parent / "events.parquet")
    return load_config(file)


def objective(shop, task="kar_item", rows=40):
    technique = one_task(shop, task)
    first = choose_prompt(technique.prompt or "", None, shop.library)
    return probe_objective(technique, first, open_workplace(shop), encode, rows, 0)


def said(text):
    return TrialAnswer("k", text, text, text, None if text else "parse: empty", None, 0, 0)


def mean(cases):
    return float(np.mean([case.score for case in cases]))


def test_a_text_that_tells_the_topic_scores_higher_than_one_that_does_not(shop):
    made = objective(shop)
    rows = made.judge["all"]

    telling = made.score(rows, [said(str(one.row.variables["input"])) for one in rows])
    silent = made.score(rows, [said("A film.") for _ in rows])
    failed = made.score(rows, [said(None) for _ in rows])

    assert mean(telling) > mean(silent) + 0.1
    # Without any text the weighted mean, 0 up to the draw of the side, is predicted: e^2 / v is about 1 on average.
    assert mean(failed) == pytest.approx(mean(silent), abs=0.02)
    assert 0.4 < mean(failed) < 0.7
    assert all(0 < case.score <= 1 for case in [*telling, *silent])
    assert failed[0].wrong.startswith("There is no text: parse: empty.")
    assert "People rate it " in telling[0].wrong


def test_no_item_is_learnt_from_and_compared_on(shop):
    made = objective(shop)
    learn, judge = ({one.row.entity for one in side["all"]} for side in (made.learn, made.judge))

    assert (len(learn), len(judge)) == (40, 40)
    assert not learn & judge


def test_a_search_asks_about_all_items_of_a_side_together(shop):
    wish = Wish("kar_item", "gepa", Limits(max_tokens=40_000), rows=30, options={"rounds": 2})

    done = optimise(shop, wish)

    assert done.objective.name == "probe"
    assert len(done.found.search.judged(done.found.search.first)) == 30
    again = optimise(shop, wish)
    assert again.replayed == again.budget.tokens == done.budget.tokens


def test_what_has_no_probe_is_refused(shop):
    with pytest.raises(WrongUse, match="kar_user is about a user, not about items"):
        objective(shop, "kar_user")
    with pytest.raises(WrongUse, match="and it needs 40"):
        objective(shop, rows=5)
    with pytest.raises(WrongUse, match="kar_item ranks nothing"):
        optimise(shop, Wish("kar_item", "gepa", Limits(max_tokens=100), objective="ndcg@10"))
