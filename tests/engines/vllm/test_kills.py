"""Generation with vLLM killed (SIGKILL) in the middle, again and again: nothing is lost, doubled or changed."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import killed_vllm
import pytest

from feature_store.answers import JOURNAL, known_answers, read_answers
from feature_store.keys import check_keys

PROGRAM = Path(killed_vllm.__file__)
ROOT = PROGRAM.parents[2]
ITEMS, IN_FLIGHT, KILLS = 80, 8, 2


def start(shop) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(shop.config), str(shop.folder / "calls.txt")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(shop) -> int:
    """Run to the end, in this process; returns how many calls were made."""
    with pytest.MonkeyPatch.context() as patch:
        return killed_vllm.ask(shop.config, shop.folder / "calls.txt", patch.setattr)


def answers(shop) -> dict[str, tuple]:
    """Row -> text, error and tokens."""
    store = shop.place().store
    stored = {row["key"]: row for row in read_answers(store, known_answers(store)).iter_rows(named=True)}
    found = {}
    for key, row in shop.lineage("kar_item").items():
        answer = stored[row["answer_key"]]
        found[key] = (row["text"], row["error"], answer["text"], answer["input_tokens"], answer["output_tokens"])
    return found


@pytest.mark.slow(reason="vLLM is loaded by two processes that are really killed")
def test_a_run_that_was_killed_again_and_again_ends_with_the_answers_of_one_that_was_not(vllm_shop):
    disturbed, undisturbed = vllm_shop(items=ITEMS, name="disturbed"), vllm_shop(items=ITEMS, name="undisturbed")
    for shop in (disturbed, undisturbed):
        shop.configure(options={"in_flight": IN_FLIGHT})
    chance = random.Random(4)
    moments = sorted(chance.sample(range(1, ITEMS - IN_FLIGHT), KILLS))

    for moment in moments:
        process = start(disturbed)
        try:
            while len(disturbed.calls("gave")) < moment:
                assert process.poll() is None, process.communicate()
                time.sleep(chance.random() / 200)
        finally:
            process.kill()
            process.communicate()
    store = disturbed.place().store
    known = len(known_answers(store))
    last = finish(disturbed)

    assert finish(undisturbed) == ITEMS
    assert answers(disturbed) == answers(undisturbed)
    assert (
        len(answers(disturbed)) == check_keys(store, "answers", "key") == check_keys(store, "lineage", "row") == ITEMS
    )
    assert last == ITEMS - known
    assert len(disturbed.calls()) <= ITEMS + KILLS * IN_FLIGHT
    assert (store.folder / JOURNAL).read_bytes() == b""
