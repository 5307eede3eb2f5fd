"""What a plan says of encoding: as many texts as encoding then finds without a vector, for each encoder."""

import pytest

from app.config import load_config
from app.workplace import encoders_of
from llm_tasks.pipeline.encode_plan import texts_to_encode


def expected(shop, task: str = "kar_item", *, retry=()) -> list[tuple[str, str, int]]:
    config = load_config(shop.config)
    plan = shop.plan(task, retry=retry)
    counted = texts_to_encode(plan, encoders_of(config, task), shop.place().store, config.folder, retry=bool(retry))
    return [(one.task, one.encoder, one.texts) for one in counted]


def items(count: int) -> dict[str, str]:
    return {f"i{place}": f"Thing {place}" for place in range(count)}


@pytest.mark.parametrize("task", ["kar_item", "item_facts"])  # answers of a model, and texts that a plan knows
@pytest.mark.parametrize(
    ("now", "said"),
    [
        (12, 0),
        (15, 3),  # 3 of 15 are new: a fifth, so that the fit is kept
        (16, 16),  # 4 of 16 are more: all would be encoded by a new fit
    ],
)
def test_the_plan_counts_what_encoding_then_does(shop, task, now, said):
    shop.configure(encoders={"lexical": {"kind": "lexical", "dimension": 4, "refit_share": 0.2}})
    assert expected(shop, task) == [(task, "lexical", 12)]
    shop.ask(task)
    shop.encode(task)
    shop.write_items(items(now))

    counted = expected(shop, task)

    shop.ask(task)
    (made,) = shop.encode(task)
    assert counted == [(task, "lexical", said)]
    assert made.new == said


def test_an_encoder_that_is_named_later_would_encode_all_texts_and_none_is_loaded(shop):
    shop.ask("item_facts")
    shop.encode("item_facts")
    shop.configure(encoders={**shop.settings["encoders"], "dense": {"kind": "dense"}})

    assert expected(shop, "item_facts") == [("item_facts", "lexical", 0), ("item_facts", "dense", 12)]
