"""Durability without a flow: a real process that commits every third answer is killed, again and again."""

import random
import time
from pathlib import Path

import pytest

from feature_store.answers import JOURNAL, known_answers
from feature_store.keys import check_keys

PROGRAM = Path(__file__).resolve().parents[2] / "helpers" / "killed_generation.py"
ITEMS, IN_FLIGHT, KILLS = 150, 5, 3


@pytest.fixture
def start(forks, plain_knowflow):
    """Start the generation of a shop as a process."""
    return lambda shop: forks.start(PROGRAM, shop.config, environment=plain_knowflow.environment)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_generation_killed_at_any_moment_loses_and_doubles_nothing(make_shop, start, seed):
    shop = make_shop(items=ITEMS, users=1)
    shop.configure(options={"in_flight": IN_FLIGHT, "seconds": 0.002})
    chance = random.Random(seed)
    moments = sorted(chance.sample(range(1, ITEMS - IN_FLIGHT), KILLS))
    store, known = shop.place().store, set()

    for moment in moments:
        asked_before = len(shop.calls())
        process = start(shop)
        try:
            while len(shop.calls("gave")) < moment:
                assert process.poll() is None, process.communicate()
                time.sleep(chance.random() / 500)
        finally:
            process.kill()
            process.communicate()
        asked, gave = set(shop.calls()[asked_before:]), shop.calls("gave")
        assert not asked & known  # nothing that was known is asked again
        known = set(known_answers(store))
        assert set(gave) - known <= set(gave[-1:])  # what was given is known, but for the one on its way to the disk
        assert len(asked - known) <= IN_FLIGHT
    last = start(shop)
    out, err = last.communicate(timeout=120)

    assert last.returncode == 0, err
    assert int(out) == ITEMS - len(known)
    assert (store.folder / JOURNAL).read_bytes() == b""
    assert check_keys(store, "answers", "key") == len(shop.lineage("kar_item")) == ITEMS
    assert len(shop.calls()) <= ITEMS + IN_FLIGHT * len(moments)
    assert all(row["error"] is None for row in shop.lineage("kar_item").values())


@pytest.mark.slow(reason="ten processes that are really killed")
def test_ten_kills_at_random_moments_end_with_the_answers_of_an_undisturbed_run_row_for_row(make_shop, start):
    items, in_flight, kills = 200, 8, 10
    disturbed, undisturbed = (make_shop(items=items, users=1, name=name) for name in ("disturbed", "undisturbed"))
    for shop in (disturbed, undisturbed):
        shop.configure(options={"in_flight": in_flight, "seconds": 0.001})
    chance = random.Random(20)

    for moment in sorted(chance.sample(range(1, items - in_flight), kills)):
        process = start(disturbed)
        try:
            while len(disturbed.calls("gave")) < moment:
                assert process.poll() is None, process.communicate()
                time.sleep(chance.random() / 500)
        finally:
            process.kill()
            process.communicate()
    known = len(known_answers(disturbed.place().store))
    out, err = start(disturbed).communicate(timeout=120)
    undisturbed.ask("kar_item")

    def rows(shop) -> dict[str, tuple[str, str]]:
        return {key: (row["answer_key"], row["text"]) for key, row in shop.lineage("kar_item").items()}

    assert int(out) == items - known, err
    assert rows(disturbed) == rows(undisturbed)
    assert check_keys(disturbed.place().store, "answers", "key") == len(rows(disturbed)) == items
    assert len(disturbed.calls()) <= items + kills * in_flight
