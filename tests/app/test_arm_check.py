"""Arms that cannot be fed are told before anything is paid for; the usual ones take what there is."""

import pytest

from app.arm_check import check_arms, vectors_to_come
from app.config import load_config
from base.faults import WrongUse
from ctr.controls import arms_of, fitted_to, lacking

LEXICAL = {"lexical": {"kind": "lexical"}}


def test_without_an_encoder_the_usual_arms_take_the_others_and_say_so(make_shop):
    shop = make_shop(encoders=LEXICAL, tasks={"kar_item": {}, "item_facts": {}}, train={})

    notes = check_arms(load_config(shop.config))

    assert "arm knowledge goes without item_facts/dense, kar_item/dense" in notes
    assert "arm facts goes without item_facts/dense" in notes
    assert vectors_to_come(load_config(shop.config)) == {"kar_item/lexical", "item_facts/lexical"}


def test_a_named_arm_that_nothing_feeds_is_refused_with_what_there_is(make_shop):
    shop = make_shop(encoders=LEXICAL, tasks={"kar_item": {}, "item_facts": {}}, train={"arms": ["base", "kar"]})

    with pytest.raises(
        WrongUse,
        match=r"train\.arms: kar reads kar_user/dense, kar_item/dense\n  knowflow.yaml makes vectors of: "
        r"item_facts/lexical, kar_item/lexical\n  add the technique under tasks: and the encoder under encoders:",
    ):
        check_arms(load_config(shop.config))


def test_the_usual_controls_have_as_many_views_as_the_arm_that_is_left():
    arms, there = arms_of(), {"kar_item/lexical", "item_facts/lexical"}

    fitted = fitted_to(there)

    assert list(fitted) == ["constant", "base", "facts", "knowledge", "shuffled", "random"]
    assert all(set(arm.vectors) <= there for arm in fitted.values())
    views = [[len(use.vectors) for use in fitted[name].uses] for name in ("facts", "knowledge", "shuffled", "random")]
    assert views == [views[0]] * 4
    assert fitted_to({*there, "kar_item/dense", "item_facts/dense"})["knowledge"].uses == (arms["knowledge"].uses)


@pytest.mark.parametrize(
    ("there", "left"),
    [
        ({"item_facts/dense", "item_facts/lexical"}, ["constant", "base"]),  # no answer of a model
        ({"kar_item/lexical"}, ["constant", "base", "knowledge", "shuffled", "random"]),  # nothing to make facts of
        (set(), ["constant", "base"]),
    ],
)
def test_arms_that_nothing_is_left_of_are_left_out_and_named(there, left):
    arms = arms_of()
    fitted = fitted_to(there)

    assert list(fitted) == left
    out = [name for name in ("facts", "knowledge", "shuffled", "random") if name not in left]
    assert [note for note in lacking(there) if "left out" in note] == [
        f"arm {name} is left out: there are no vectors of {', '.join(arms[name].vectors)}" for name in out
    ]
