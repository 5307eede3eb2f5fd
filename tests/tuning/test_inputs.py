"""What a recipe reads is what its model has seen."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from base.faults import WrongUse
from tuning.inputs import Readers, RecipeInputs

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def inputs(make_shop):
    """Inputs of a shop whose technique wrote about i0 at no time, and about i1 first at hour 5 and then at hour 30."""
    from app.config import load_config
    from app.tuning import readers

    shop = make_shop(items=4)
    shop.write_events([(f"u{user}", f"i{p}", START + timedelta(hours=p), 5.0) for user in range(4) for p in range(4)])
    hours = [None, 5, 30]
    table = pl.DataFrame(
        {
            "entity": ["i0", "i1", "i1"],
            "as_of": [datetime(1970, 1, 1, tzinfo=UTC), START + timedelta(hours=5), START + timedelta(hours=30)],
            "text": ["timeless", "early", "late"],
            "known": [None if hour is None else START + timedelta(hours=hour) for hour in hours],
        }
    )
    given = readers(load_config(shop.config))
    given = Readers(**{**vars(given), "texts": lambda task: table})
    return RecipeInputs("encoder", ("notes", "pairs"), given)


def test_the_newest_text_of_a_technique_counts_as_seen_beside_the_events(inputs):
    from engines.seen import learnt_until

    counted = inputs.pairs(items=["i0", "i1", "i2", "i3"])
    notes = inputs.notes(knowledge="kar_item")

    assert "late" in notes.texts["i1"]
    assert "timeless" in notes.texts["i0"]
    assert counted.seen_until is not None
    assert counted.seen_until < START + timedelta(hours=30)
    assert learnt_until(Path("untuned"), inputs.noted) == {"seen_until": (START + timedelta(hours=30)).isoformat()}


def test_before_a_moment_only_texts_count_that_were_known_before_it(inputs):
    notes = inputs.notes(knowledge="kar_item", until=START + timedelta(hours=30))

    assert "early" in notes.texts["i1"]
    assert inputs.noted["knowledge"] == {"newest_event": str(START + timedelta(hours=5))}


def test_texts_that_rest_on_no_event_add_nothing_to_what_was_seen(inputs):
    notes = inputs.notes(knowledge="kar_item", until=START)

    assert "timeless" in notes.texts["i0"]
    assert "knowledge" not in inputs.noted


def test_what_is_not_declared_is_not_given(inputs):
    with pytest.raises(WrongUse, match=r"the recipe encoder reads events without declaring it\n  add it"):
        inputs.events()
