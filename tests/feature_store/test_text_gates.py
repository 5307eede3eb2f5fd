"""Gates over texts: refusals, answers that are alike, length, script, neighbours; some stop a release, some warn."""

import random
from itertools import combinations

import numpy as np
import polars as pl
import pytest

from feature_store.database import Store
from feature_store.gate import Gate, GatesClosed, GatesConfig
from feature_store.lineage import VectorName
from feature_store.releases import ReleasedVectors
from feature_store.text_gates import is_excuse, neighbours_gate, share_alike, text_gates
from feature_store.vectors import write_vectors

WORDS = [f"word{chr(97 + a)}{chr(97 + b)}" for a in range(20) for b in range(20)]


def rows(texts: list[str], task: str = "kar_item") -> pl.DataFrame:
    keys = [f"{task}/{place}/0" for place in range(len(texts))]
    return pl.DataFrame({"row": keys, "entity": keys, "text": texts, "text_key": texts, "answer_key": keys})


def result(gates: list[Gate]) -> dict[str, bool]:
    return {gate.name.partition(" ")[2]: gate.holds for gate in gates}


def good(count: int) -> list[str]:
    chance = random.Random(0)
    return [" ".join(chance.choices(WORDS, k=40)) for _ in range(count)]


@pytest.mark.parametrize(
    "text",
    [
        "I am sorry, as an AI model I cannot help with that.",
        "I'm sorry, but I can't assist with that request.",
        "Sorry, I do not know this film.",
        "As a large language model, I have no opinions.",
        "Unfortunately, I am unable to provide details about this item.",
        "I cannot provide information on this user.",
        "I don't have enough information to answer.",
        "Es tut mir leid, dabei kann ich nicht helfen.",
        "抱歉，我无法回答这个问题。",
    ],
)
def test_refusals_and_excuses_are_recognised(text):
    assert is_excuse(text)


@pytest.mark.parametrize(
    "text",
    [
        "A sorry tale of two thieves who cannot help each other.",
        "Directed by an artist who was unable to finish it.",
        "The user likes films about AI models and language.",
        "I, Robot is a science fiction film.",
        "Unfortunate events befall three children.",
        "An AI thriller in which a language model helps a detective.",
    ],
)
def test_answers_about_such_things_are_none(text):
    assert not is_excuse(text)


def test_a_release_full_of_refusals_is_stopped_with_an_example():
    gates = text_gates(
        "kar_item", rows(good(11) + ["I am sorry, as an AI model I cannot help."] * 49), None, GatesConfig()
    )

    assert result(gates) == {"refusals": False, "alike": True, "script": True}  # ten words are too few to compare
    assert gates[0].found.startswith("81.7% of 60 answers, at most 2.0%; the first: kar_item/11/0: 'I am sorry, as")
    assert gates[0].closed


def test_answers_that_are_all_alike_are_found_whatever_numbers_they_hold():
    pattern = "Thing {} is a well made product that people of every age will enjoy for many years to come."

    gates = text_gates("kar_item", rows(good(6) + [pattern.format(n) for n in range(4)]), None, GatesConfig())

    assert result(gates) == {"refusals": True, "alike": False, "script": True}
    assert gates[1].found == "40.0% of 10 answers are nearly the same as another entity's, at most 30.0%"


def test_alike_is_the_share_with_a_neighbour_of_jaccard_above_the_limit():
    chance = random.Random(1)
    texts: list[str] = []
    for _ in range(12):
        words = chance.choices(WORDS, k=60)
        texts.append(" ".join(words))
        changed = [*words[:-1], "changed"] if chance.random() < 0.5 else [*words[:20], *chance.choices(WORDS, k=40)]
        texts.append(" ".join(changed))

    def shingles(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[place : place + 3]) for place in range(len(words) - 2)}

    near: set[int] = set()
    for a, b in combinations(range(len(texts)), 2):
        one, other = shingles(texts[a]), shingles(texts[b])
        if len(one & other) / len(one | other) >= 0.8:
            near |= {a, b}
    assert 0 < len(near) < len(texts)
    assert share_alike([str(n) for n in range(len(texts))], texts) == len(near) / len(texts)


def test_snapshots_of_one_user_may_agree():
    assert share_alike(["u1", "u1", "u2"], [good(1)[0], good(1)[0], good(2)[1]]) == 0


def test_short_answers_such_as_categories_may_agree():
    assert share_alike(["a", "b"], ["Action films", "Action films"]) == 0


def test_a_technique_that_asks_no_model_has_no_such_gates():
    assert text_gates("item_facts", rows(["same"] * 9).with_columns(answer_key=pl.lit(None)), None, GatesConfig()) == []


def test_another_script_and_another_length_are_noticed():
    before = rows(good(20))
    now = rows([*[text[:60] for text in good(18)], "это фильм о двух друзьях", "这是一部电影"])

    found = {gate.name: gate for gate in text_gates("kar_item", now, before, GatesConfig())}

    assert not found["kar_item script"].holds
    assert found["kar_item script"].found == "10.0% of 20 answers are not in Latin letters, at most 5.0%"
    assert not found["kar_item length"].holds
    middle = np.median([len(text) for text in good(20)])
    assert f"60 characters in the middle, {middle:,.0f} in the current release" in found["kar_item length"].found


def test_only_a_gate_that_blocks_stops_a_release_and_the_others_are_listed_as_warnings():
    stops, warns = Gate("kar_item refusals", False, "many"), Gate("kar_item length", False, "short", blocks=False)

    text = str(GatesClosed([stops, warns]))

    assert (stops.closed, warns.closed) == (True, False)
    assert "FAILED  kar_item refusals: many\n  warns   kar_item length: short" in text


def test_refusals_stop_a_release_unless_the_config_only_wants_a_warning(shop, knowflow):
    shop.configure(tasks={"kar_item": {}}, rules={"Thing 1": "I am sorry, as an AI model I cannot help."})

    stopped = knowflow.run("refresh", "--config", shop.config)
    shop.configure(gates={"warn": ["refusals"]})
    warned = knowflow.run("refresh", "--config", shop.config)
    shown = knowflow.run("release", "show", "--config", shop.config)

    assert stopped.returncode == 1
    assert "FAILED  kar_item refusals: " in stopped.stderr
    assert warned.returncode == 0
    assert "warning: kar_item refusals: " in warned.stderr
    assert "kar_item refusals" in shown.stdout
    assert "no, it only warns" in shown.stdout


def test_neighbours_that_changed_are_found_by_the_share_that_is_left(tmp_path):
    count, store = 60, Store(tmp_path / "store")
    random_vectors = np.random.default_rng(0).normal(size=(2, count, 8)).astype(np.float16)
    now, before = rows([f"new {n}" for n in range(count)]), rows([f"old {n}" for n in range(count)])
    with store.writer("a test") as writer:
        write_vectors(writer, "lexical", "one fit", now["text_key"].to_list(), random_vectors[0].astype(np.float32))
        write_vectors(writer, "lexical", "old fit", before["text_key"].to_list(), random_vectors[1].astype(np.float32))
    name, one, old = VectorName("kar_item", "lexical"), ReleasedVectors("one fit", 8), ReleasedVectors("old fit", 8)

    def nearest(vectors: np.ndarray) -> list[set[int]]:
        unit = [row / np.sqrt((row**2).sum()) for row in vectors.astype(np.float64)]
        cosine = [[-2.0 if a == b else float(unit[a] @ unit[b]) for b in range(count)] for a in range(count)]
        return [set(sorted(range(count), key=lambda b, a=a: -cosine[a][b])[:10]) for a in range(count)]

    share = np.mean([len(a & b) / 10 for a, b in zip(*map(nearest, random_vectors), strict=True)])
    changed = neighbours_gate(store, name, (now, one), (before, old), 0.5)
    same = neighbours_gate(store, name, (now, one), (now, one), 0.5)

    assert changed.found == f"{share:.1%} of the 10 nearest among 60 rows are the same, at least 50.0%"
    assert (changed.holds, same.holds, same.found[:6]) == (False, True, "100.0%")
