"""The evaluation of item vectors: what tests was never learnt, weights are chosen elsewhere, and a lack is told."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from app.config import load_config
from app.similar_evaluation import HELD_OUT, LEAST, TARGETS, check_seen, evaluate_similar, open_pool
from app.workplace import open_dataset
from base.faults import WrongUse
from base.progress import silent
from cli.eval_similar import conclusion, shown_tables
from evals.similar import WEIGHTS, choose_weight
from evals.similar_arms import HEADLINE, Division, Pool, counted_arms, divide, popularity_of, tasks_of
from tuning.note_pairs import share_of, training_pairs
from tuning.workfolder import RESULT

ITEMS, USERS, EACH = 60, 40, 20
START = datetime(2024, 1, 1, tzinfo=UTC)
AT, K = (3, 8, 60), 8
"""Lists that are much shorter than the pool, so that no arm finds everything."""


def liked(seed: int = 0) -> list[tuple[str, str, datetime, float]]:
    """Users who each like twenty items on a stretch of a line, the more popular ones oftener."""
    chance = np.random.default_rng(seed)
    rows = []
    for user in range(USERS):
        near = np.exp(-(((np.arange(ITEMS) - chance.integers(ITEMS)) / 15) ** 2)) / (1 + np.arange(ITEMS) % 7)
        for place, item in enumerate(chance.choice(ITEMS, EACH, replace=False, p=near / near.sum())):
            rows.append((f"u{user:02d}", f"i{item}", START + timedelta(hours=place), 5.0))
    return rows


@pytest.fixture(scope="module")
def liking(shop_builder: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A shop of sixty items and its answers about them."""
    shop = shop_builder(tmp_path_factory.mktemp("similar") / "shop", items=ITEMS, tasks={"kar_item": {}})
    shop.write_events(liked())
    shop.ask("kar_item")
    return shop


@pytest.fixture(scope="module")
def divided(liking) -> tuple[Pool, Division]:
    """Its pool, and the items as they are divided when half of them are held out."""
    config = load_config(liking.config)
    pool = open_pool(config, open_dataset(config))
    return pool, divide(pool, share_of(pool.items, HELD_OUT, "held out/0"))


@pytest.fixture(scope="module")
def judged(liking) -> tuple[Any, dict[str, Any]]:
    """The shop, and the evaluation of an encoder that is tuned on it."""
    return liking, evaluate_similar(load_config(liking.config), None, silent, AT, K)


def test_train_and_test_items_are_disjoint_and_together_all_there_are(judged):
    _, result = judged
    said = json.loads((Path(result["encoder"]["folder"]) / RESULT).read_text(encoding="utf-8"))

    learnt, held_out = set(said["train_items"]), set(said["held_out_items"])

    assert not learnt & held_out
    assert learnt | held_out == {f"i{place}" for place in range(ITEMS)}
    assert 0 < result["items"]["tested"] < len(held_out)  # some of them choose the weight of the prior
    assert result["items"]["tested"] + result["items"]["validated"] == len(held_out)


def test_nothing_after_the_training_events_was_seen(judged):
    shop, result = judged
    place = shop.place()
    training = place.dataset.events.filter(pl.col("part") == "train")

    assert result["encoder"]["seen_until"] <= training["time"].max().isoformat()


def test_the_figures_on_top_are_those_of_the_headline(judged):
    _, result = judged
    main = result["settings"][HEADLINE]

    assert result["frozen"] == main["arms"]["facts"]["recall"]["8"]
    assert result["tuned"] == main["arms"]["tuned"]["recall"]["8"]
    assert result["gain"]["mean"] == pytest.approx(result["tuned"] - result["frozen"])
    assert result["gain"]["low"] <= result["gain"]["mean"] <= result["gain"]["high"]
    assert set(result["disjoint"]) == {"frozen", "tuned", "gain", "prior_gain"}
    assert f"{result['tuned']:.3f}" in conclusion(result)


def test_every_arm_finds_more_the_longer_the_list_and_all_of_it_in_the_end(judged):
    _, result = judged

    recalls = [arm["recall"] for one in result["settings"].values() for arm in one["arms"].values()]

    assert len(recalls) >= 5 * 10
    for recall in recalls:
        assert recall["3"] <= recall["8"] <= recall["60"]
        assert recall["8"] < 1
        assert recall["60"] == pytest.approx(1.0)  # the list is as long as the pool


def test_an_encoder_that_is_there_is_not_tuned_again(judged):
    shop, result = judged
    told: list[str] = []

    again = evaluate_similar(load_config(shop.config), None, lambda what, *_: told.append(what), AT, K)

    assert "tuning steps" not in told
    assert again == result


def test_what_lacks_is_told_with_the_command_that_makes_it(make_shop, tmp_path):
    empty = make_shop(tasks={"kar_item": {}})
    with pytest.raises(WrongUse, match=r"no answers of kar_item.*\n.*knowflow refresh --task kar_item"):
        evaluate_similar(load_config(empty.config), None, silent)

    empty.ask("kar_item")
    with pytest.raises(WrongUse, match=r"holds no tuned encoder\n.*knowflow tune encoder"):
        evaluate_similar(load_config(empty.config), tmp_path, silent)


def test_pairs_of_test_items_are_asked_for_and_of_no_others(judged):
    _, result = judged

    strict, main = result["settings"]["disjoint"], result["settings"][HEADLINE]

    assert 0 < strict["pairs"] < main["pairs"]
    assert strict["queries"] <= main["queries"] <= result["items"]["tested"]
    assert strict["cold_queries"] <= strict["queries"]


def test_items_that_choose_the_weight_never_test_and_are_never_found_there(divided):
    pool, division = divided
    tests, validates = np.flatnonzero(division.tests), np.flatnonzero(division.validates)

    assert not set(tests) & set(validates)
    assert {pool.items[place] for place in (*tests, *validates)} == set(share_of(pool.items, HELD_OUT, "held out/0"))
    for name, (pairs, validation) in tasks_of(pool, division).items():
        assert len(pairs.target), name
        assert len(validation.target), name
        assert set(pairs.query) <= set(tests), name
        assert set(pairs.target) <= (set(tests) if name.startswith("disjoint") else set(range(ITEMS))), name
        assert set(validation.query) <= set(validates), name
        assert not set(validation.target) & set(tests), name


def test_every_weight_of_the_prior_is_that_of_the_pairs_that_validate(judged, divided):
    _, result = judged
    pool, division = divided
    popularity = popularity_of(pool)
    score = counted_arms(pool, popularity)["co-occurrence"]
    told = {name: one["arms"]["co-occurrence + prior"]["prior_weight"] for name, one in result["settings"].items()}
    by = [{}, {}]

    for name, both in tasks_of(pool, division).items():
        for of, pairs in zip(by, both, strict=True):
            of[name] = choose_weight(score, popularity, pairs, K)

    tested, validated = by
    assert told == validated
    assert any(validated[name] != tested[name] for name in told)  # on the pairs that test, it would be another one
    assert set(told.values()) <= set(WEIGHTS)


def pool_of(rows: list[tuple[str, str, int, str]]) -> Pool:
    events = pl.DataFrame(rows, schema=["user", "item", "hour", "part"], orient="row")
    time = pl.lit(START) + pl.duration(hours=pl.col("hour"))
    return Pool(["a", "b", "c"], ["A", "B", "C"], ["a", "b", "c"], events.with_columns(time.alias("time"), label=1))


def test_popularity_and_co_occurrence_are_counted_from_training_events_alone():
    trained = [("u", "a", 0, "train"), ("u", "b", 1, "train"), ("v", "b", 0, "train")]
    later = [("u", "c", 2, "test"), ("v", "c", 1, "validation"), ("v", "a", 2, "test"), ("w", "c", 0, "test")]
    pool = pool_of(trained + later)

    popularity = popularity_of(pool)
    together = counted_arms(pool, popularity)["co-occurrence"](np.arange(3))

    assert popularity.tolist() == [1, 2, 0]  # c and the second a are of test and validation
    assert together.tolist() == [[0, 0.5, 0], [0, 0, 0], [0, 0, 0]]  # u went from a to b; b to c and b to a came later
    assert counted_arms(pool, popularity)["popularity"](np.array([0])).tolist() == [[1, 2, 0]]


def test_a_changed_test_event_moves_no_arm_that_counts_and_a_changed_training_event_does(divided):
    pool, _ = divided

    def counted(events: pl.DataFrame) -> list[np.ndarray]:
        changed = replace(pool, events=events)
        popularity = popularity_of(changed)
        return [popularity, *(arm(np.arange(ITEMS)) for arm in counted_arms(changed, popularity).values())]

    def moved(part: str) -> pl.DataFrame:
        other = pl.when(pl.col("part") == part).then(pl.lit("i0")).otherwise(pl.col("item"))
        return pool.events.with_columns(item=other)

    before = counted(pool.events)

    for part in ("test", "validation"):
        assert all(np.array_equal(*both) for both in zip(before, counted(moved(part)), strict=True)), part
    assert not any(np.array_equal(*both) for both in zip(before, counted(moved("train")), strict=True))


def test_an_encoder_that_saw_events_which_do_not_train_is_refused(tmp_path):
    pool = pool_of([("u", "a", 0, "train"), ("u", "b", 5, "test")])
    trained, tested = (START + timedelta(hours=hours) for hours in (0, 5))

    check_seen(tmp_path, {"seen_until": trained.isoformat()}, pool)
    with pytest.raises(WrongUse, match=r"has seen events until .*05:00.*\n.*\n.*tune encoder"):
        check_seen(tmp_path, {"seen_until": tested.isoformat()}, pool)
    with pytest.raises(WrongUse, match="has no seen_until"):
        check_seen(tmp_path, {}, pool)


def test_an_encoder_that_was_tuned_on_test_events_is_refused_by_the_whole_evaluation(judged, tmp_path):
    shop, result = judged
    folder = tmp_path / "encoder"
    shutil.copytree(result["encoder"]["folder"], folder)
    said = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    late = max(row[2] for row in shop.events()).isoformat()
    (folder / RESULT).write_text(json.dumps(said | {"seen_until": late}), encoding="utf-8")

    with pytest.raises(WrongUse, match="newest training event"):
        evaluate_similar(load_config(shop.config), folder, silent, AT, K)


def test_no_pair_that_was_learnt_has_a_held_out_end(judged):
    shop, result = judged
    said = json.loads((Path(result["encoder"]["folder"]) / RESULT).read_text(encoding="utf-8"))
    config = load_config(shop.config)
    learnt = set(said["train_items"])

    counted = training_pairs(open_dataset(config), items=learnt, low=LEAST, top=TARGETS)

    assert (said["data"]["pairs"], said["data"]["left_out"]) == (len(counted.pairs), 0)
    assert set(counted.pairs["source"]) | set(counted.pairs["target"]) <= learnt
    assert learnt | set(said["held_out_items"]) == {f"i{place}" for place in range(ITEMS)}


def test_the_result_is_plain_json_without_nan_also_where_a_setting_has_no_query(judged, make_shop):
    _, result = judged
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    # Whoever has one event after those that train went on to nothing then: no pair of later events.
    few = make_shop(
        items=ITEMS, tasks={"kar_item": {}}, split={"by": "user_position", "train": 0.95, "validation": 0.01}
    )
    few.write_events(liked())
    few.ask("kar_item")

    told = evaluate_similar(load_config(few.config), Path(result["encoder"]["folder"]), silent, AT, K)

    json.dumps(told, allow_nan=False)
    assert told["settings"]["later events"]["queries"] == 0
    assert told["settings"]["later events"]["gain"]["mean"] is None
    assert "nan" not in conclusion(told)
    gains, *arms = shown_tables(told)
    (row,) = [row for row in gains.rows if row[0] == "later events"]
    assert list(row[1:]) == ["–"] * 6 + ["0", "–"]
    assert [cell for table in arms[-1:] for cell in table.rows[0]] == ["popularity", "–", "–", "–", "–", ""]


def test_intervals_draw_the_users_whose_logs_were_asked_about(judged):
    _, result = judged
    for one in result["settings"].values():
        for gain in (one["gain"], one["prior_gain"]):
            assert 20 <= gain["users"] <= USERS
            assert 1 / USERS <= gain["largest_user"] < 0.5
            assert gain["low"] <= gain["mean"] <= gain["high"]
