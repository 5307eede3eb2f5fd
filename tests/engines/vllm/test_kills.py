"""Generation with vLLM killed (SIGKILL) in the middle, again and again: nothing is lost, doubled or changed."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from feature_store.answers import JOURNAL, known_answers, read_answers
from feature_store.keys import check_keys

ROOT = Path(__file__).resolve().parents[3]
ITEMS, IN_FLIGHT, KILLS = 80, 8, 2
PROGRAM = """
import sys
from dataclasses import replace
from pathlib import Path
from app.config import load_config
from app.workplace import open_workplace
from llm_tasks.pipeline import generate, plan
from llm_tasks.pipeline.catalogue import find_tasks
from prompts.library import choose_prompt
from base.progress import silent

prompt = choose_prompt("kar_item")
short = replace(prompt, front=prompt.front.model_copy(update={"sampling": {"temperature": 0.0, "max_tokens": 24}}))
plan.choose_prompt = lambda *_: short
generate.COMMIT_ROWS = 10
place = open_workplace(load_config(Path(sys.argv[1])))
engine, file = place.engine, open(sys.argv[2], "a", buffering=1)


def noted(requests):
    for request in requests:
        file.write(f"asked {request.key}\\n")
        yield request


class Noting:
    identity, token_counter, context_tokens = engine.identity, engine.token_counter, engine.context_tokens
    count_tokens = staticmethod(engine.count_tokens)

    def generate(self, requests):
        for answer in engine.generate(noted(requests)):
            file.write(f"gave {answer.key}\\n")
            yield answer


place = replace(place, engine=Noting())
with place.store.writer("to be killed") as writer:
    done = generate.generate(plan.plan_task(find_tasks()["kar_item"], place), place, writer, silent)
print(done.calls, flush=True)
"""


def start(shop) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", PROGRAM, str(shop.config), str(shop.folder / "calls.txt")]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(shop) -> int:
    """Run to the end; returns how many calls were made."""
    process = start(shop)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return int(out.splitlines()[-1])


def answers(shop) -> dict[str, tuple]:
    """Row -> text, error and tokens."""
    store = shop.place().store
    stored = {row["key"]: row for row in read_answers(store, known_answers(store)).iter_rows(named=True)}
    found = {}
    for key, row in shop.lineage("kar_item").items():
        answer = stored[row["answer_key"]]
        found[key] = (row["text"], row["error"], answer["text"], answer["input_tokens"], answer["output_tokens"])
    return found


@pytest.mark.slow(reason="vLLM is loaded by four processes, two of which are really killed")
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
