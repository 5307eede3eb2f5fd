"""The pool: LanceDB finds what the published similarity ranks first, among what the guards allow, and says a shortage."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from feature_store.database import Store
from feature_store.lineage import EPOCH, row_key, write_lineage
from feature_store.releases import publish
from feature_store.schemas import LINEAGE
from feature_store.vectors import text_key, write_vectors
from retrieval.pool import Pool, normalised, open_pool, sample_vectors
from sources.tables import event_id

START = datetime(2024, 1, 1, tzinfo=UTC)


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def table(rows: list[tuple[str, str, int, int]]) -> pl.DataFrame:
    """(user, item, minute, label) -> examples."""
    return pl.DataFrame(
        {
            "user": [user for user, *_ in rows],
            "item": [item for _, item, *_ in rows],
            "time": pl.Series([minute(at) for *_, at, _ in rows], dtype=pl.Datetime("us", "UTC")),
            "label": pl.Series([label for *_, label in rows], dtype=pl.Float32),
            "text": [f"why {user} {item}" for user, item, *_ in rows],
        }
    )


def test_the_inner_product_is_half_the_histories_and_half_the_items():
    items = np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]], dtype=np.float32)

    # A: history of items 0 and 1, target 2; B: history of item 0 alone, target 1
    a, b = sample_vectors(np.array([[0, 1], [-1, 0]]), np.array([2, 1]), items)

    # By hand: histories (1, 1)/sqrt 2 and (1, 0) have 1/sqrt 2; items (1, 1)/sqrt 2 and (0, 1) have 1/sqrt 2.
    assert a @ b == pytest.approx(0.5 / 2**0.5 + 0.5 / 2**0.5)
    assert a @ a == pytest.approx(1.0)


def test_a_sample_without_a_history_is_compared_by_its_item_alone():
    items = np.eye(3, dtype=np.float32)

    none, other = sample_vectors(np.array([[-1, -1], [0, 1]]), np.array([2, 2]), items)

    assert none @ other == pytest.approx(0.5)
    assert none @ none == pytest.approx(0.5)
    (unknown,) = sample_vectors(np.array([[-1, -1]]), np.array([-1]), items)
    assert not unknown.any()


@pytest.fixture
def small():
    """Six examples on a line: the vector of each says how near it is to the query (1, 0)."""
    rows = [("u", "a", 1, 1), ("u", "b", 5, 1), ("v", "c", 2, 1), ("v", "d", 9, 0), ("w", "e", 3, 0), ("w", "f", 4, 0)]
    nearness = np.array([0.9, 0.8, 0.7, 0.95, 0.5, 0.6], dtype=np.float32)
    return Pool(table(rows), np.stack([nearness, np.zeros(6, dtype=np.float32)], axis=1))


QUERY = np.array([1.0, 0.0], dtype=np.float32)


def names(found) -> list[str]:
    return [row["item"] for row in found.examples]


def test_half_of_the_examples_are_liked_the_nearest_of_each_label_first(small):
    found = small.search(QUERY, "x", minute(20))

    assert names(found) == ["a", "b", "d", "f"]
    assert [row["label"] for row in found.examples] == [1, 1, 0, 0]
    assert [row["similarity"] for row in found.examples] == pytest.approx([0.9, 0.8, 0.95, 0.6], abs=1e-6)
    assert found.examples[0]["text"] == "why u a"
    assert found.lacking == 0


def test_in_strict_mode_every_example_is_strictly_earlier_than_the_sample(small):
    assert names(small.search(QUERY, "x", minute(5))) == ["a", "c", "f", "e"]  # b is of this very minute, d later
    assert names(small.search(QUERY, "x", minute(5), strict=False)) == ["a", "b", "d", "f"]


def test_an_example_of_the_same_user_is_strictly_earlier_in_either_mode_and_so_never_the_sample_itself(small):
    found = small.search(QUERY, "u", minute(5), strict=False)  # u's own event with b happened at minute 5

    assert names(found) == ["a", "c", "d", "f"]


def test_a_shortage_is_told_and_never_filled_up_in_silence(small):
    found = small.search(QUERY, "x", minute(3))  # of the three earlier ones a and c are liked; no other label is there

    assert names(found) == ["a", "c"]
    assert found.lacking == 2
    nothing = small.search(QUERY, "x", minute(0))
    assert (nothing.examples, nothing.lacking) == ((), 4)


@pytest.mark.parametrize("k", [0, 1, 3])
def test_an_odd_number_of_examples_is_refused(small, k):
    with pytest.raises(ValueError, match="it must be even"):
        small.search(QUERY, "x", minute(9), k)


def test_a_user_called_like_a_piece_of_sql_is_a_user(small):
    assert names(small.search(QUERY, "x' OR 'a' = 'a", minute(20), strict=False)) == ["a", "b", "d", "f"]


@pytest.mark.parametrize("indexed_from", [10**9, 1_000], ids=["one by one", "indexed"])
@pytest.mark.parametrize("strict", [True, False])
def test_recall_against_brute_force_is_at_least_98_percent(indexed_from, strict):
    random = np.random.default_rng(5)
    size, width, users = 3_000, 24, 60
    centres = random.normal(size=(40, width))  # items come in kinds, as films do
    items = (centres[random.integers(40, size=500)] + 0.7 * random.normal(size=(500, width))).astype(np.float32)
    past, target = random.integers(500, size=(size, 12)), random.integers(500, size=size)
    drawn = [random.integers(most, size=size) for most in (users, 10_000, 2)]
    rows = [(f"u{user}", f"i{item}", int(at), int(label)) for item, user, at, label in zip(target, *drawn, strict=True)]
    vectors = sample_vectors(past, target, items)
    pool, examples = Pool(table(rows), vectors, indexed_from), table(rows)
    # The reference computes the published similarity from its definition, in float64, over all examples.
    unit = normalised(items).astype(np.float64)
    means = unit[past].mean(axis=1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    user, time, label = (examples[name].to_numpy() for name in ("user", "time", "label"))
    hits = wanted = 0
    for place in range(0, size, 60):
        similarity = 0.5 * means @ means[place] + 0.5 * unit[target] @ unit[target[place]]
        allowed = (time < time[place]) if strict else ((user != user[place]) | (time < time[place]))
        best = {
            int(one)
            for side in (0, 1)
            for one in sorted(np.flatnonzero(allowed & (label == side)), key=lambda one: -similarity[one])[:2]
        }
        found = pool.search(vectors[place], str(user[place]), rows_time(examples, place), 4, strict=strict)
        keys = {(row["user"], row["item"], row["time"]) for row in found.examples}
        hits += len(keys & {examples.row(one)[:3] for one in best})
        wanted += len(best)
        assert len(found.examples) == len(best)

    assert wanted > 150
    assert hits / wanted >= 0.98


def rows_time(examples: pl.DataFrame, place: int) -> datetime:
    return examples["time"][place]


def released_pool(folder, seen_until: datetime | None):
    """Items a and b at right angles; two events of u with a reasoning each, on a at minute 1 and on b at minute 6."""
    events = table([("u", "a", 1, 1), ("u", "b", 6, 0), ("v", "a", 7, 1)]).drop("text")
    store = Store(folder)

    def row(task: str, kind: str, entity: str, as_of: datetime, text: str) -> dict:
        about = {"task": task, "entity_type": kind, "entity": entity, "as_of": as_of, "created_at": START}
        made = {"row": row_key(task, entity, as_of), "text": text, "text_key": text_key(text)}
        return dict.fromkeys(LINEAGE.names) | about | made

    items = [row("item_facts", "item", item, EPOCH, item) for item in "ab"]
    reasonings = [
        row("cot_examples", "event", event_id(user, item), time, f"why {item}")
        for user, item, time in events.select("user", "item", "time").rows()[:2]
    ]
    made = {"fingerprint": "fit", "dimension": 2} | ({"seen_until": seen_until.isoformat()} if seen_until else {})
    with store.writer("a test") as writer:
        write_lineage(writer, items + reasonings)
        keys = [one["text_key"] for one in items + reasonings]
        write_vectors(writer, "dense", "fit", keys, np.array([[1, 0], [0, 1], [1, 1], [1, 1]], dtype=np.float32))
        release = publish(writer, {"vectors": {"item_facts/dense": made, "cot_examples/dense": made}})
    return open_pool(store, release, events, ["train", "train", "test"])


def test_encodings_of_a_tuned_encoder_count_only_for_moments_later_than_all_that_it_saw(tmp_path):
    frozen, tuned = released_pool(tmp_path / "frozen", None), released_pool(tmp_path / "tuned", minute(6))

    def similarities(search, at: int) -> list[float]:
        return [one["similarity"] for one in search.examples_of("v", "a", minute(at), 2).examples]

    # Items alone count, v has no history yet: the liked example is of a, the other one of b.
    assert similarities(frozen, 7) == pytest.approx([0.5, 0.0])
    # The encoder saw minute 6: both examples, of minutes 1 and 6, were before anything was known of their items.
    assert similarities(tuned, 7) == [0.0, 0.0]
    assert not tuned.pool.examples.is_empty()
    # One that saw minute 5: the example of minute 6 has its item's encoding, and a sample of minute 5 itself has none.
    later = released_pool(tmp_path / "later", minute(5))
    found = later.examples_of("v", "b", minute(7), 2).examples
    assert [(one["item"], one["similarity"]) for one in found] == [("a", 0.0), ("b", pytest.approx(0.5 + 0.0))]
    assert [one["similarity"] for one in later.examples_of("v", "b", minute(5), 2).examples] == [0.0]
