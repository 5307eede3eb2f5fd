"""Half recommendation rows, half instructions; nothing is repeated, and where rows come from is on record."""

import json

import pytest

from base.faults import WrongUse
from prompts.domain import load_domain
from tuning.config import TuningConfig
from tuning.mixture import mix

DOMAIN = load_domain("generic")


@pytest.fixture
def dataset(make_shop):
    """40 users with 10 events each: 8 of each train, 7 of them with a history, 280 in all."""
    return make_shop(items=97, users=40, events=10).place().dataset


def mixed(dataset, instructions=None, **settings):
    return mix(dataset, DOMAIN, TuningConfig(**settings), instructions)


def test_both_kinds_have_as_many_rows_as_the_smaller_one_and_none_twice(dataset, instructions, sums):
    mixture = mixed(dataset, instructions)

    of_kind = {
        kind: [said for said, its in zip(mixture.conversations, mixture.kinds, strict=True) if its == kind]
        for kind in set(mixture.kinds)
    }
    assert {kind: len(rows) for kind, rows in of_kind.items()} == {"recommendation": 40, "instructions": 40}
    assert sorted(map(str, of_kind["instructions"])) == sorted(map(str, sums))
    assert len(set(map(str, of_kind["recommendation"]))) == 40
    assert 5 < sum(kind == "instructions" for kind in mixture.kinds[:40]) < 35  # in any order, not one after the other


def test_more_instructions_than_rows_are_left_out_by_chance_and_the_numbers_say_so(dataset, instructions, sums):
    mixture = mixed(dataset, instructions, share=0.05)

    assert mixture.kinds.count("instructions") == mixture.kinds.count("recommendation") == 14  # 280 * 0.05
    assert (mixture.facts["instructions"]["rows"], mixture.facts["instructions"]["of"]) == (14, 40)
    taken = [said for said in mixture.conversations if said in sums]
    assert len(taken) == 14
    assert sorted(map(sums.index, taken)) != list(range(14))


def test_the_same_seed_gives_the_same_mixture_and_another_one_another(dataset, instructions):
    first, again, other = (mixed(dataset, instructions, seed=seed) for seed in (0, 0, 1))

    assert first == again
    assert first.facts["recommendation"]["digest"] != other.facts["recommendation"]["digest"]


def test_where_rows_come_from_is_on_record(dataset, instructions):
    facts = mixed(dataset, instructions, held_out=25).facts

    assert facts["recommendation"] | {"digest": "", "prompt_digest": "", "newest_event": ""} == {
        "rows": 40,
        "of": 280,
        "share": 0.5,
        "data_version": dataset.version,
        "prompt": "recgen.v1",
        "prompt_digest": "",
        "newest_event": "",
        "digest": "",
    }
    assert facts["recommendation"]["newest_event"] <= str(dataset.events["time"].sort()[-1])
    assert facts["instructions"]["file"] == "sums.jsonl"
    assert json.loads(json.dumps(facts)) == facts


def test_held_out_rows_are_none_that_are_learnt(dataset, instructions):
    mixture = mixed(dataset, instructions, held_out=25)
    scarce = mixed(dataset, instructions, share=0.95, held_out=25)

    assert len(mixture.held_out) == 25
    assert not [row for row in mixture.held_out if row in mixture.conversations]
    assert len(scarce.held_out) == 14  # 280 - 266
    assert mixed(dataset, instructions, share=1.0).held_out == []


def test_one_kind_alone_is_taken_whole(dataset, instructions, sums):
    plain, rows = mixed(dataset, instructions, share=0.0), mixed(dataset)

    assert sorted(map(str, plain.conversations)) == sorted(map(str, sums))
    assert (list(plain.facts), plain.held_out) == (["instructions"], [])
    assert (set(rows.kinds), len(rows.conversations), list(rows.facts)) == (
        {"recommendation"},
        140,
        ["recommendation"],
    )


def test_nothing_to_learn_is_told(dataset):
    with pytest.raises(WrongUse, match=r"there is nothing to learn.*\n  raise --share"):
        mixed(dataset, share=0.0)
