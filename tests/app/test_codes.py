"""Publishing codes: beside what is there, behind gates, once, and kept by the next refresh."""

import numpy as np
import pytest

from app.codes import publish_sets
from app.config import load_config
from app.recommend_evaluation import Released
from base.faults import WrongUse
from feature_store.codes import Codes, Made, released_codes
from feature_store.gate import GatesClosed
from feature_store.releases import get_release

NOW = np.datetime64("2030-01-01", "us")


def codes_of(name: str, items: int, value: int = 0, seen_until=None, made_from=None, entity: str = "item") -> Codes:
    entities = np.array([f"i{place}" for place in range(items)])
    codes = np.full((items, 2), value, dtype=np.int32)
    made = Made(name, f"fit {value}", made_from or {}, seen_until)
    return Codes(made, entity, entities, np.full(items, np.datetime64(0, "us")), codes)


@pytest.fixture
def publish(shop):
    """Release facts of the shop, then publish codes beside them."""
    shop.release("item_facts")
    config = load_config(shop.config)

    def run(*codes: Codes) -> str:
        return publish_sets(config, shop.place(), get_release(shop.place().store), "knowflow mine", codes)

    return run


def test_sets_stand_beside_each_other_are_published_once_and_outlast_a_refresh(shop, publish):
    first = publish(codes_of("ids", 12))
    second = publish(codes_of("other", 12, value=3))

    assert (first, second) == ("rel-000002", "rel-000003")
    assert publish(codes_of("other", 12, value=3)) == second
    shop.write_items({f"i{place}": f"Other {place}" for place in range(12)})
    assert shop.release("item_facts") == "rel-000004"
    released = get_release(shop.place().store)
    assert set(released.facts["codes"]) == {"ids", "other"}
    assert released_codes(shop.place().store, released, "ids").codes.tolist() == [[0, 0]] * 12
    reader = Released(load_config(shop.config), None, ["i3", "nobody"], NOW)
    assert reader.codes("other").tolist() == [[3, 3], [-1, -1]]


def test_codes_below_zero_and_codes_that_hide_what_is_behind_them_are_not_published(shop, publish):
    with pytest.raises(GatesClosed, match="ids coded"):
        publish(codes_of("ids", 3, value=-1))

    shop.release("kar_item", "kar_user")
    made = get_release(shop.place().store).facts["vectors"]["kar_user/lexical"]
    behind = {"kar_user/lexical": made["fingerprint"]}
    with pytest.raises(GatesClosed, match="ids dated"):
        publish(codes_of("ids", 3, made_from=behind))
    assert "codes" not in get_release(shop.place().store).facts
    assert publish(codes_of("ids", 3, made_from=behind, seen_until=NOW)) == "rel-000003"


def test_a_recommender_reads_what_is_about_items_alone(shop, publish):
    publish(codes_of("people", 3, entity="user"))
    shop.release("kar_item", "kar_user")
    reader = Released(load_config(shop.config), None, ["i0"], NOW)

    with pytest.raises(WrongUse, match="people: is about each user"):
        reader.codes("people")
    with pytest.raises(WrongUse, match="kar_user/lexical: is about each user"):
        reader.vectors("kar_user/lexical")
    with pytest.raises(WrongUse, match="dense: should be technique/encoder"):
        reader.vectors("dense")
