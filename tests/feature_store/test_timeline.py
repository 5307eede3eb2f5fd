"""As-of reads in chunks: the same rows as the as-of join of whole tables, and ids that are compared whole."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from feature_store.ids import Ids
from feature_store.timeline import LIVE, Timeline

moment = st.integers(min_value=0, max_value=6)
entity = st.integers(min_value=-1, max_value=3)


@given(
    samples=st.lists(st.tuples(entity, st.one_of(moment, st.just(LIVE))), max_size=20),
    rows=st.lists(st.tuples(entity, moment), max_size=12, unique=True),
)
def test_each_row_sees_the_newest_strictly_earlier_row_of_its_entity(samples, rows):
    expected = []
    for who, when in samples:
        earlier = [(known, place) for place, (other, known) in enumerate(rows) if other == who >= 0 and known < when]
        expected.append(max(earlier)[1] if earlier else -1)
    codes, known = (np.array([row[place] for row in rows], dtype=np.int64) for place in (0, 1))

    found = Timeline(codes, known, 4).rows(
        np.array([who for who, _ in samples], dtype=np.int64), np.array([when for _, when in samples], dtype=np.int64)
    )

    assert found.tolist() == expected


@given(known=st.lists(st.text(max_size=3), unique=True, max_size=40), asked=st.lists(st.text(max_size=3), max_size=40))
def test_an_id_has_the_code_of_its_place_and_any_other_text_has_none(known, asked):
    wanted = [known.index(one) if one in known else -1 for one in [*asked, *known]]

    found = Ids(pl.Series(known, dtype=pl.String)).codes(pl.Series([*asked, *known], dtype=pl.String))

    assert found.tolist() == wanted


def test_a_missing_id_has_no_code():
    assert Ids(pl.Series(["a"])).codes(pl.Series([None, "a"], dtype=pl.String)).tolist() == [-1, 0]


def test_a_text_with_the_hash_of_a_known_id_is_still_another_text():
    ids = Ids(pl.Series(["a", "b"]))
    ids.ids = pl.Series(["x", "b"])  # as if x were what was hashed

    assert ids.codes(pl.Series(["a", "b"])).tolist() == [-1, 1]
