"""Examples of one sample: what training would show it, the liked ones first, and a shortage is reported."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from feature_store.database import Store
from feature_store.lineage import EPOCH, VectorName, row_key, write_lineage
from feature_store.releases import publish
from feature_store.schemas import LINEAGE
from feature_store.vectors import Knowledge, text_key, write_vectors
from retrieval.example_search import ExampleSearch, open_examples
from retrieval.examples import ExamplePool, ExampleRule, Situations, encodings
from sources.tables import event_id

LOOSE, TWO = ExampleRule(strict=False), ExampleRule(count=2)
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


EVENTS = [("u", "a", 1, 1), ("u", "b", 5, 1), ("v", "c", 2, 1), ("v", "d", 9, 0), ("w", "e", 3, 0), ("w", "f", 4, 0)]
NEARNESS = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.95, "e": 0.5, "f": 0.6}
"""Cosine of each item and the one that is asked about."""


def known(entities: list[str], vectors: list[list[float]]) -> Knowledge:
    as_of = np.full(len(entities), np.datetime64(0, "us"))
    return Knowledge("item_facts", "dense", "item", np.array(entities), as_of, np.array(vectors, dtype=np.float32))


@pytest.fixture
def small() -> ExampleSearch:
    """Six examples, compared by their items alone: nobody of them has a history that is encoded."""
    items = known([*NEARNESS, "q"], [[near, (1 - near**2) ** 0.5] for near in NEARNESS.values()] + [[1.0, 0.0]])
    examples = table(EVENTS)
    users = {user: code for code, user in enumerate("uvw")}
    times = examples["time"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    encoded = encodings(items.vectors, np.arange(6), np.full((6, 1), -1))
    user = np.array([users[one] for one in examples["user"]])
    pool = ExamplePool(Situations(user, times, encoded), examples["label"].to_numpy())
    return ExampleSearch(examples, pool, examples.select("user", "item", "time").sort("time"), users, items)


def names(found) -> list[str]:
    return [row["item"] for row in found.examples]


def test_half_of_the_examples_are_liked_the_nearest_of_each_label_first(small):
    found = small.examples_of("x", "q", minute(20))

    assert names(found) == ["a", "b", "d", "f"]
    assert [row["label"] for row in found.examples] == [1, 1, 0, 0]
    assert [row["similarity"] for row in found.examples] == pytest.approx(
        [0.45, 0.4, 0.475, 0.3], abs=1e-6
    )  # half of the items'
    assert found.examples[0]["text"] == "why u a"
    assert found.lacking == 0


def test_in_strict_mode_every_example_is_strictly_earlier_than_the_sample(small):
    assert names(small.examples_of("x", "q", minute(5))) == ["a", "c", "f", "e"]  # b is of this very minute, d later
    assert names(small.examples_of("x", "q", minute(5), LOOSE)) == ["a", "b", "d", "f"]


def test_an_example_of_the_same_user_is_strictly_earlier_in_either_mode_and_so_never_the_sample_itself(small):
    found = small.examples_of("u", "q", minute(5), LOOSE)  # u's own event with b happened at minute 5

    assert names(found) == ["a", "c", "d", "f"]


def test_a_shortage_is_told_and_never_filled_up_in_silence(small):
    found = small.examples_of(
        "x", "q", minute(3)
    )  # of the three earlier ones a and c are liked; no other label is there

    assert names(found) == ["a", "c"]
    assert found.lacking == 2
    nothing = small.examples_of("x", "q", minute(0))
    assert (nothing.examples, nothing.lacking) == ((), 4)


def released_examples(folder, seen_until: datetime | None, **columns):
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
        for task, rows, vectors in [
            ("item_facts", items, [[1, 0], [0, 1]]),
            ("cot_examples", reasonings, [[1, 1], [1, 1]]),
        ]:
            keys, name = [one["text_key"] for one in rows], VectorName(task, "dense")
            write_vectors(writer, name, "fit", keys, np.array(vectors, dtype=np.float32))
        release = publish(writer, {"vectors": {"item_facts/dense": made, "cot_examples/dense": made}})
    return open_examples(store, release, events.with_columns(part=pl.Series(["train", "train", "test"]), **columns))


def test_encodings_of_a_tuned_encoder_count_only_for_moments_later_than_all_that_it_saw(tmp_path):
    frozen, tuned = released_examples(tmp_path / "frozen", None), released_examples(tmp_path / "tuned", minute(6))

    def similarities(search, at: int) -> list[float]:
        return [one["similarity"] for one in search.examples_of("v", "a", minute(at), TWO).examples]

    # Items alone count, v has no history yet: the liked example is of a, the other one of b.
    assert similarities(frozen, 7) == pytest.approx([0.5, 0.0])
    # The encoder saw minute 6: both examples, of minutes 1 and 6, were before anything was known of their items.
    assert similarities(tuned, 7) == [0.0, 0.0]
    assert not tuned.examples.is_empty()
    # One that saw minute 5: the example of minute 6 has its item's encoding, and a sample of minute 5 itself has none.
    later = released_examples(tmp_path / "later", minute(5))
    found = later.examples_of("v", "b", minute(7), TWO).examples
    assert [(one["item"], one["similarity"]) for one in found] == [("a", 0.0), ("b", pytest.approx(0.5 + 0.0))]
    assert [one["similarity"] for one in later.examples_of("v", "b", minute(5), TWO).examples] == [0.0]


def test_recent_items_are_those_rated_or_chosen(tmp_path):
    # u chose a at minute 1, and was shown b at minute 6 without choosing it; the example about a has no history.
    implicit = released_examples(tmp_path / "implicit", None)
    rated = released_examples(tmp_path / "rated", None, rating=pl.Series([5.0, 1.0, 5.0]))

    def similarity_to_b(search) -> float:
        found = search.examples_of("u", "b", minute(8), TWO).examples
        return next(one["similarity"] for one in found if one["item"] == "b")

    # The example about b has the history [a]; u's own history at minute 8 is [a], and [a, b] if b was rated.
    assert similarity_to_b(implicit) == pytest.approx(1.0)
    assert similarity_to_b(rated) == pytest.approx(0.5 + 0.5 * 0.5**0.5)
