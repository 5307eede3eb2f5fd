"""Clusters and pairs of clusters: all pairs are asked, a pick is a real cluster and none of the two, and both are dated."""

from itertools import combinations

import polars as pl
import pytest

from app.config import load_config
from app.evidence import leak_evidence
from base.faults import WrongUse
from feature_store.leak_check import leak_check
from feature_store.releases import get_release
from llm_tasks.google_novelty import pair_id
from llm_tasks.interest_clusters import most_frequent, nearest
from llm_tasks.pipeline.task import EPOCH

KINDS = [["Crime", "Noir"], ["Comedy"], ["Drama"], ["Comedy", "Romance"]]
CLUSTERS = ["Comedy", "Comedy, Romance", "Crime, Noir", "Drama"]


def next_one(first: str, second: str) -> str:
    return next(one for one in CLUSTERS if one not in (first, second))


@pytest.fixture
def films(make_shop):
    """Twelve items of four kinds in turn; the model describes each kind, and picks the first other cluster."""
    pairs = [(one, two) for one in CLUSTERS for two in CLUSTERS if one <= two]
    rules = {pair_id(*pair): next_one(*pair) for pair in sorted(pairs, key=lambda pair: -len(pair_id(*pair)))}
    shop = make_shop(rules={**rules, "Noir": "Dark streets and bad luck"})
    items = pl.read_parquet(shop.folder / "items.parquet").with_columns(
        pl.Series("genres", [KINDS[place % 4] for place in range(12)])
    )
    items.write_parquet(shop.folder / "items.parquet")
    shop.configure(items={**shop.settings["items"], "categories": {"genres": "genres"}})
    return shop


def test_every_pair_of_clusters_is_asked_once_and_picks_a_real_third(films):
    films.ask("interest_clusters")
    made = films.ask("google_novelty")

    rows = {row["entity"]: row for row in films.lineage("google_novelty").values()}
    wanted = {pair_id(one, two) for one, two in combinations(CLUSTERS, 2)} | {pair_id(one, one) for one in CLUSTERS}
    assert set(rows) == wanted
    assert (made.rows, made.calls, made.errors) == (10, 10, {})
    for pair, row in rows.items():
        first, second = pair.split(" + ")
        assert row["text"] == next_one(first, second)
        assert (row["entity_type"], row["as_of"]) == ("cluster_pair", EPOCH)


def test_one_of_the_two_and_what_is_no_cluster_are_errors_of_their_rows(films):
    bad = {"Comedy + Drama": "Drama", "Comedy + Crime, Noir": "Western"}
    films.configure(rules=films.settings["engine"]["options"]["rules"] | bad)
    films.ask("interest_clusters")

    assert films.ask("google_novelty").errors == {"parse": 2}
    rows = {row["entity"]: row for row in films.lineage("google_novelty").values()}
    assert {pair for pair, row in rows.items() if row["text"] is None} == set(bad)


def test_a_prompt_shows_what_the_model_said_of_the_clusters_and_offers_all_but_the_two(films):
    films.ask("interest_clusters")
    plan = films.plan("google_novelty")

    said = [request.messages[-1]["content"] for request in plan.spool.requests()]
    (text,) = [one for one in said if one.endswith("Crime, Noir + Drama")]
    liked, offered = text.split("Which one")
    assert "- Crime, Noir: Dark streets and bad luck" in liked
    assert "- Drama:" in liked
    assert "- Drama:" not in offered
    assert offered.count("\n- ") == 2


def test_a_changed_description_changes_every_pair_for_every_prompt_shows_it(films):
    films.ask("interest_clusters")
    films.ask("google_novelty")
    films.configure(rules={**films.settings["engine"]["options"]["rules"], "Noir": "Rain at night"})
    films.configure(engine={**films.settings["engine"], "revision": "2"})
    films.ask("interest_clusters")

    assert films.plan("google_novelty").count("changed") == 10


def test_the_leak_check_passes_and_clusters_are_released(films):
    films.release("interest_clusters", "google_novelty")
    place = films.place()

    assert leak_check(place.store, get_release(place.store), leak_evidence(load_config(films.config), place)).leaks == 0


def test_clusters_are_the_most_frequent_combinations_and_items_join_the_most_alike():
    values = [frozenset(one) for one in (["b", "a"], ["a", "b"], ["c"], ["c"], ["d"], [])]

    clusters = most_frequent(values, 2)

    assert clusters == ["a, b", "c"]
    assert nearest([*values, frozenset("ac"), frozenset("abc")], clusters) == [0, 0, 1, 1, -1, -1, 1, 0]


def test_a_field_that_the_items_lack_is_told(films):
    films.configure(tasks={"interest_clusters": {"field": "moods"}})

    with pytest.raises(WrongUse, match="no category field moods; there are: genres"):
        films.plan("interest_clusters")
