"""Several candidates a row: each is an answer of its own, the best is kept, and nothing is asked or compared twice."""

import json

import numpy as np
import pytest

from engines.model_folder import minilm_folder
from engines.request import ModelIdentity, Request, answer_key, candidates_of
from feature_store.answers import read_answers
from llm_tasks.pipeline.choice import CandidateChooser
from prompts.library import choose_prompt
from sources.faults import SourceFaults

POINTS = (
    "profile of the user",
    "the target item and items related to it",
    "the match between them",
    "the user's wish for diversity",
)


def shop_with(make_shop, candidates: int, **settings):
    tasks = {"cot_examples": {"examples": 8, "candidates": candidates}}
    return make_shop(items=40, users=12, events=10, tasks=tasks, **settings)


def candidates_on_record(shop) -> dict[str, list[dict]]:
    """Shown prompt -> its answers."""
    found: dict[str, list[dict]] = {}
    for answer in read_answers(shop.place().store, shop.calls()).iter_rows(named=True):
        found.setdefault(answer["messages"], []).append(answer)
    return found


def reference_scores(answers: list[dict]) -> np.ndarray:
    """The published choice from its definition, with sentence-transformers itself."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(minilm_folder()), device="cpu")

    def cosine(one: str, other: str) -> float:
        a, b = model.encode([one, other])
        return max(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)), 0.0)

    (content,) = [message["content"] for message in json.loads(answers[0]["messages"])]
    _, history, target, decision = content.split("\n\n")
    shown = f"{history.splitlines()[1]} {target.splitlines()[1]}"
    scores = []
    for answer in answers:
        text = answer["text"]
        words = text.split()
        runs = [tuple(words[i : i + 3]) for i in range(len(words) - 2)]
        marks = [
            len(set(runs)) / len(runs),
            np.mean([cosine(text, point) for point in POINTS]),
            cosine(text, shown),
            cosine(text, decision.splitlines()[1]),  # the scripted answers have one sentence, so that it is the last
        ]
        scores.append(np.mean(marks))
    return np.array(scores)


def test_three_candidates_are_asked_for_each_row_under_keys_of_their_own_and_the_best_is_kept(make_shop):
    shop = shop_with(make_shop, 3)

    done = shop.ask("cot_examples")

    assert (done.rows, done.calls, done.errors) == (8, 24, {})
    assert len(set(shop.calls())) == 24
    chosen = {row["answer_key"]: row["text"] for row in shop.lineage("cot_examples").values()}
    by_prompt = candidates_on_record(shop)
    assert len(by_prompt) == len(chosen) == 8
    for answers in by_prompt.values():
        assert sorted(json.loads(answer["sampling"]).get("seed", 0) for answer in answers) == [0, 1, 2]
        answers.sort(key=lambda answer: json.loads(answer["sampling"]).get("seed", 0))
        scores = reference_scores(answers)
        (kept,) = [answer for answer in answers if answer["key"] in chosen]
        assert chosen[kept["key"]] == kept["text"]
        assert scores[answers.index(kept)] == pytest.approx(scores.max(), abs=1e-4)
    assert (
        len({json.loads(a["sampling"]).get("seed", 0) for v in by_prompt.values() for a in v if a["key"] in chosen}) > 1
    )


def test_a_second_run_asks_nothing_and_compares_nothing(make_shop, monkeypatch):
    shop = shop_with(make_shop, 3)
    shop.ask("cot_examples")
    before = shop.lineage("cot_examples")

    def compared(*_: object) -> None:
        raise AssertionError("compared again")

    monkeypatch.setattr(CandidateChooser, "_best", compared)
    done = shop.ask("cot_examples")

    assert done.calls == 0
    assert shop.lineage("cot_examples") == before


def test_more_candidates_ask_for_those_alone_that_are_not_there_and_fewer_for_none(make_shop):
    shop = shop_with(make_shop, 1)
    first = shop.ask("cot_examples")
    shop.configure(tasks={"cot_examples": {"examples": 8, "candidates": 3}})
    plan = shop.plan("cot_examples")
    more = shop.ask("cot_examples")
    shop.configure(tasks={"cot_examples": {"examples": 8, "candidates": 1}})
    fewer = shop.ask("cot_examples")

    assert (first.calls, more.calls, fewer.calls) == (8, 16, 0)
    assert (plan.count("changed"), len(plan.asks)) == (8, 16)
    assert len(set(shop.calls())) == 24


def test_the_first_candidate_has_the_key_of_a_single_answer(make_shop):
    """So that a recorded answer, or one sampled before, is one of the candidates."""
    one, three = shop_with(make_shop, 1, name="one"), shop_with(make_shop, 3, name="three")

    assert set(one.plan("cot_examples").asks) < set(three.plan("cot_examples").asks)


def test_candidates_that_were_answered_stand_in_for_one_that_was_not(make_shop):
    shop = shop_with(make_shop, 1, rules={"likes": "refused"})
    refused = shop.ask("cot_examples")
    shop.configure(tasks={"cot_examples": {"examples": 8, "candidates": 3}}, rules={})

    done = shop.ask("cot_examples")

    assert refused.errors == {"refused": 4}
    assert (done.calls, done.errors) == (16, {})
    assert len([row for row in shop.lineage("cot_examples").values() if row["text"]]) == 8


def test_a_row_without_a_single_answer_is_an_error_row_and_can_be_retried(make_shop):
    shop = shop_with(make_shop, 2, rules={"likes": "refused"})
    done = shop.ask("cot_examples")
    shop.configure(rules={})

    assert done.errors == {"refused": 4}
    assert shop.ask("cot_examples").calls == 0
    retried = shop.plan("cot_examples", retry=["refused"])
    assert (len(retried.rows), len(retried.asks)) == (4, 8)
    assert shop.ask("cot_examples", retry=["refused"]).errors == {}


def test_a_seed_of_the_prompt_s_own_is_no_candidate_s(make_shop):
    identity, messages = ModelIdentity("m", "1"), ({"role": "user", "content": "hi"},)
    sampling = {"temperature": 0.6, "seed": 5}
    request = Request(answer_key(messages, identity, sampling, {}), messages, sampling, {})

    found = candidates_of(request, identity, 3)

    assert [one.sampling["seed"] for one in found] == [5, 6, 7]
    assert len({one.key for one in found}) == 3
    assert found[0] is request
    assert candidates_of(request, identity, 1) == (request,)


def test_a_technique_that_does_not_choose_refuses_candidates(make_shop):
    shop = make_shop(tasks={"kar_item": {"candidates": 3}, "item_facts": {"candidates": 2}})

    for task in ("kar_item", "item_facts"):
        with pytest.raises(SourceFaults, match=rf"tasks\.{task}\.candidates +is not a setting there"):
            shop.plan(task)
    assert choose_prompt("cot_examples").front.sampling["temperature"] > 0
