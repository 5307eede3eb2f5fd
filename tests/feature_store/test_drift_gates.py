"""Gates over drift: neighbours, means and covariance of vectors, and the words of texts, against the current release."""

import random

import numpy as np
import polars as pl
import pytest
from scipy.spatial.distance import jensenshannon

from feature_store.cost_gate import cost_gates
from feature_store.database import Store
from feature_store.drift_gates import PROJECTIONS, Side, _both, divergence, moves, vector_gates, vocabulary_gate
from feature_store.gate import GatesConfig
from feature_store.lineage import VectorName
from feature_store.releases import ReleasedVectors
from feature_store.vectors import vectors_table, write_vectors


def rows(texts: list[str]) -> pl.DataFrame:
    keys = [f"kar_item/{place}/0" for place in range(len(texts))]
    return pl.DataFrame({"row": keys, "text_key": texts})


def find_texts(keys: pl.Series) -> pl.DataFrame:
    return keys.alias("text_key").to_frame().with_columns(text="text_key")  # each text is its own key here


def test_neighbours_that_changed_are_found_by_the_share_that_is_left(tmp_path):
    count, store = 60, Store(tmp_path / "store")
    random_vectors = np.random.default_rng(0).normal(size=(2, count, 8)).astype(np.float16)
    now, before = rows([f"new {n}" for n in range(count)]), rows([f"old {n}" for n in range(count)])
    name = VectorName("kar_item", "lexical")
    with store.writer("a test") as writer:
        write_vectors(writer, name, "old fit", before["text_key"].to_list(), random_vectors[1].astype(np.float32))
        pinned = store.version(vectors_table(name, 8))
        # What was written since does not count: the current release is compared as it is pinned.
        write_vectors(writer, name, "old fit", before["text_key"].to_list(), np.ones((count, 8), dtype=np.float32))
        write_vectors(writer, name, "one fit", now["text_key"].to_list(), random_vectors[0].astype(np.float32))
    one = Side(now, ReleasedVectors("one fit", 8), vectors_table(name, 8))
    old = Side(before, ReleasedVectors("old fit", 8), vectors_table(name, 8), pinned)

    def nearest(vectors: np.ndarray) -> list[set[int]]:
        unit = [row / np.sqrt((row**2).sum()) for row in vectors.astype(np.float64)]
        cosine = [[-2.0 if a == b else float(unit[a] @ unit[b]) for b in range(count)] for a in range(count)]
        return [set(sorted(range(count), key=lambda b, a=a: -cosine[a][b])[:10]) for a in range(count)]

    share = np.mean([len(a & b) / 10 for a, b in zip(*map(nearest, random_vectors), strict=True)])
    changed, *unknown = vector_gates(store, name, one, old, GatesConfig())
    same, *unmoved = vector_gates(store, name, one, one, GatesConfig())

    assert changed.found == f"{share:.1%} of the 10 nearest among 60 rows are the same, at least 50.0%"
    assert (changed.holds, same.holds, same.found[:6]) == (False, True, "100.0%")
    assert {gate.found for gate in unknown} == {
        "made by another encoder, or fitted anew: neighbours alone can be compared"
    }
    assert [gate.found for gate in unmoved] == [
        "means of 60 rows moved by 0.00 standard deviations, at most 0.25",
        "the covariance of 60 rows changed by 0% of its norm, at most 35%",
    ]


def normal(count: int, width: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width))


def test_means_are_measured_on_projections_in_standard_deviations():
    then = normal(20_000)
    # A step of c times each direction's deviation: the same step in every projection, by linearity.
    directions = np.random.default_rng(0).standard_normal((32, PROJECTIONS)) / np.sqrt(32)
    step = np.linalg.lstsq(directions.T, 0.8 * (then @ directions).std(axis=0), rcond=None)[0]

    moved, spread = moves(then + step, then)

    assert moved == pytest.approx(0.8, abs=0.01)
    assert spread == 0


def test_the_covariance_is_measured_by_its_frobenius_distance_beyond_chance():
    then = normal(20_000)

    moved, spread = moves(then * np.sqrt(1.5), then)  # every covariance is 1.5 times as large

    assert spread == pytest.approx(0.5, abs=0.01)
    assert moved == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("count", [50, 100, 500])
def test_two_samples_of_one_distribution_hardly_ever_pass_the_thresholds(count):
    config = GatesConfig()
    found = np.array([moves(normal(count, seed=2 * n), normal(count, seed=2 * n + 1)) for n in range(50)])

    assert (found > [config.means, config.spread]).mean() <= 0.02


def text(chance: random.Random, words: int = 40, first: int = 0) -> str:
    return " ".join(f"w{first + int(chance.paretovariate(0.7)) % 500}" for _ in range(words))


def test_the_divergence_is_that_of_the_counted_words_less_what_swaps_give():
    chance = random.Random(0)
    then = [text(chance) for _ in range(400)]
    now = [text(chance, first=500) if n % 2 else one for n, one in enumerate(then)]  # half of them in new words

    def counts(texts: list[str]) -> np.ndarray:
        return np.bincount([int(word[1:]) for one in texts for word in one.split()], minlength=1000).astype(float)

    whole = jensenshannon(counts(now), counts(then), base=2) ** 2  # scipy gives the root
    assert divergence(now, then) == pytest.approx(whole, abs=0.02)
    assert divergence(now, then) > 0.2


@pytest.mark.parametrize("count", [12, 60, 400])
def test_new_answers_of_the_same_words_are_no_drift_however_few_there_are(count):
    chance = random.Random(1)
    limit = GatesConfig().vocabulary
    found = [divergence([text(chance) for _ in range(count)], [text(chance) for _ in range(count)]) for _ in range(20)]

    assert sum(one > limit for one in found) == 0


def test_the_words_of_the_same_rows_alone_are_compared():
    before = rows(["a b c"] * 30)
    new_items = pl.concat([before, rows(["x y z"] * 60).tail(30)])

    same = vocabulary_gate("kar_item", new_items, before, 0.1, find_texts)
    assert same.found.startswith("the words of 30 rows diverge by 0.000")
    assert not vocabulary_gate("kar_item", rows(["x y z"] * 30), before, 0.1, find_texts).holds


@pytest.mark.parametrize("shared", [0.0, 0.3, 1.0])
def test_the_rows_with_the_least_hashes_among_those_of_both_releases_are_compared(shared):
    chance, now = random.Random(0), rows(["same"] * 90)
    before = now.filter(pl.Series([chance.random() < shared for _ in range(90)])).with_columns(text_key=pl.lit("old"))
    theirs = sorted(zip(now["row"].hash(0), now["row"], strict=True))

    found = _both(now, before, 20)

    assert found["row"].to_list() == [row for _, row in theirs if row in set(before["row"])][:20]
    assert set(found["old_key"]) <= {"old"}


def test_a_refresh_that_takes_more_than_its_plan_is_noticed():
    plan = {"planned_calls": 10, "planned_input_tokens": 1_000, "planned_output_tokens": 400}
    asked = [
        {"task": "fine", "calls": 10, "input_tokens": 1_400, "output_tokens": 500, **plan},
        {"task": "dear", "calls": 10, "input_tokens": 1_000, "output_tokens": 640, **plan},
        {"task": "idle", "calls": 0, "input_tokens": 0, "output_tokens": 0, **plan},
    ]

    fine, dear = cost_gates(asked, 1.5)

    assert (fine.name, fine.holds, dear.name, dear.holds) == ("fine cost", True, "dear cost", False)
    assert dear.found.endswith("640 tokens out (planned: 400): 1.60 times the plan, at most 1.5")
