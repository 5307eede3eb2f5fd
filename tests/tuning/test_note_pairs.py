"""NoteLLM's pairs (N1): the score by hand, its bounds, and a loop written from the formula."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_tasks.pipeline.task import EPOCH
from sources.config import SplitConfig
from sources.events import with_parts
from sources.tables import Dataset
from tuning import note_pairs as module
from tuning.note_pairs import note_pairs, training_pairs


def log(*rows: tuple[str, str, int]) -> pl.DataFrame:
    """User, item, second."""
    return pl.DataFrame(rows, schema={"user": pl.String, "item": pl.String, "time": pl.Int64}, orient="row")


TOY = log(
    ("u", "a", 1), ("u", "b", 2), ("u", "c", 3),  # N = 3
    ("v", "a", 1), ("v", "b", 1), ("v", "c", 2),  # N = 3, a and b at once
    ("w", "b", 1), ("w", "a", 2), ("w", "b", 3),  # N = 2, b twice
)  # fmt: skip


def test_the_score_of_three_users_by_hand():
    scores = {(source, target): score for source, target, score in note_pairs(TOY).iter_rows()}

    # a -> b: u (1/3) and w (1/2; b after a at 3), not v, whose a and b are of one moment; b -> a: w alone
    expected = {("a", "b"): 1 / 3 + 1 / 2, ("b", "a"): 1 / 2, ("a", "c"): 2 / 3, ("b", "c"): 2 / 3}
    assert scores == pytest.approx(expected, abs=1e-9)


def test_bounds_and_the_number_of_targets_hold_and_equal_scores_go_by_id():
    assert note_pairs(TOY, low=0.6).select("source", "target").rows() == [("a", "b"), ("a", "c"), ("b", "c")]
    assert note_pairs(TOY, high=0.7).select("source", "target").rows() == [("a", "c"), ("b", "c"), ("b", "a")]
    tied = log(("u", "a", 1), ("u", "d", 2), ("u", "c", 2), ("u", "b", 3))
    assert note_pairs(tied, top=2).filter(pl.col("source") == "a")["target"].to_list() == ["b", "c"]


def test_only_so_many_later_events_are_looked_at():
    events = log(("u", "a", 1), ("u", "z", 1), ("u", "b", 2), ("u", "c", 3))

    found = note_pairs(events, window=1).select("source", "target").rows()

    assert found == [("a", "b"), ("b", "c"), ("z", "b")]  # z, as early as a, takes no place of the window


def test_what_was_not_liked_is_no_engagement():
    events = log(("u", "a", 1), ("u", "b", 2), ("u", "c", 3)).with_columns(label=pl.Series([1.0, 0.0, 1.0]))

    assert note_pairs(events).rows() == [("a", "c", 0.5)]


def test_no_event_gives_no_pair():
    assert note_pairs(log()).shape == (0, 3)
    assert note_pairs(log(("u", "a", 1), ("u", "a", 2))).is_empty()  # never a -> a


def by_loop(events: pl.DataFrame, window: int, low: float, high: float, top: int) -> list[tuple[str, str, float]]:
    """The formula, user by user and pair by pair."""
    scores: dict[tuple[str, str], float] = defaultdict(float)
    for user in events["user"].unique():
        own = sorted((time, item) for who, item, time in events.iter_rows() if who == user)
        pairs = set()
        for time, item in own:
            pairs |= {(item, other) for _, other in [one for one in own if one[0] > time][:window] if other != item}
        for pair in pairs:
            scores[pair] += 1 / len({item for _, item in own})
    kept = [(source, target, score) for (source, target), score in scores.items() if low <= score <= high]
    ordered = sorted(kept, key=lambda row: (row[0], -round(row[2], 9), row[1]))
    return [row for row in ordered if [other[:2] for other in ordered if other[0] == row[0]].index(row[:2]) < top]


@given(
    rows=st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from("abcdef"), st.integers(0, 5)), max_size=25),
    window=st.integers(1, 4),
    top=st.integers(1, 3),
    at_once=st.sampled_from([1, 5, 4_000_000]),
)
def test_the_fast_count_equals_a_loop_whatever_is_worked_on_at_once(rows, window, top, at_once):
    events = log(*rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CANDIDATES_AT_ONCE", at_once)
        found = note_pairs(events, window=window, low=0.3, high=1.2, top=top).rows()

    expected = by_loop(events, window, 0.3, 1.2, top)
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in expected], abs=1e-9)


def dataset(count: int = 10) -> Dataset:
    """One user who goes through ten items, one a minute, and likes all of them."""
    times = [EPOCH + timedelta(minutes=place) for place in range(count)]
    events = pl.DataFrame(
        {
            "user": ["u"] * count,
            "item": [f"i{place}" for place in range(count)],
            "time": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
            "label": pl.Series([1.0] * count, dtype=pl.Float32),
            "position": pl.Series(range(count), dtype=pl.UInt32),
        }
    )
    events = with_parts(events, SplitConfig(by="user_position", train=0.8, validation=0.1))
    return Dataset(events, pl.DataFrame({"item": events["item"]}), None, None, (), (), (), "v")


def test_pairs_come_from_training_events_strictly_before_a_moment_and_say_how_far_they_have_seen():
    whole = training_pairs(dataset(), low=0.0, top=99)
    cut = training_pairs(dataset(), until=datetime(1970, 1, 1, 0, 3, tzinfo=UTC), low=0.0)

    assert set(whole.pairs["target"]) == {f"i{place}" for place in range(1, 8)}  # i8 and i9 do not train
    assert whole.seen_until == EPOCH + timedelta(minutes=7)
    assert set(cut.pairs["source"]) | set(cut.pairs["target"]) == {"i0", "i1", "i2"}
    assert cut.seen_until == EPOCH + timedelta(minutes=2)
    assert training_pairs(dataset(), until=EPOCH).seen_until is None
