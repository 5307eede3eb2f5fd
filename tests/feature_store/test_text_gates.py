"""Gates over texts: refusals, answers that are alike, length, script, neighbours; some stop a release, some warn."""

import random
from itertools import combinations

import numpy as np
import polars as pl
import pytest

from feature_store.gate import Gate, GatesClosed, GatesConfig
from feature_store.kept_facts import complete_facts, with_facts
from feature_store.text_facts import FACTS, excuses, signatures
from feature_store.text_gates import share_alike, text_gates

WORDS = [f"word{chr(97 + a)}{chr(97 + b)}" for a in range(20) for b in range(20)]


def rows(texts: list[str], task: str = "kar_item") -> pl.DataFrame:
    keys = [f"{task}/{place}/0" for place in range(len(texts))]
    table = {"row": keys, "task": task, "entity": keys, "text_key": texts, "answer_key": keys}  # each its own key
    return pl.DataFrame({**table, "error": [None] * len(keys)}, schema_overrides={"error": pl.String})


def gates_of(now: pl.DataFrame, before: pl.DataFrame | None = None, task: str = "kar_item") -> list[Gate]:
    def find_texts(keys: pl.Series) -> pl.DataFrame:
        return keys.unique().alias("text_key").to_frame().with_columns(text="text_key")

    facts, sides = complete_facts(FACTS.to_frame(), [now] if before is None else [now, before], find_texts)
    told, *told_then = [with_facts(side, facts) for side in sides]
    return text_gates(task, now, told, next(iter(told_then), None), GatesConfig(), find_texts)


def alike(entities: list[str], texts: list[str]) -> float:
    return share_alike(entities, signatures(pl.Series(texts, dtype=pl.String)))


def result(gates: list[Gate]) -> dict[str, bool]:
    return {gate.name.partition(" ")[2]: gate.holds for gate in gates}


def good(count: int) -> list[str]:
    chance = random.Random(0)
    return [" ".join(chance.choices(WORDS, k=40)) for _ in range(count)]


def is_excuse(text: str) -> bool:
    return excuses(pl.Series([text])).item()


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
    gates = gates_of(rows(good(11) + ["I am sorry, as an AI model I cannot help."] * 49))

    # Ten words are too few to compare, and the good ones are of no language.
    assert {name for name, holds in result(gates).items() if not holds} == {"refusals", "language"}
    assert gates[0].found.startswith("81.7% of 60 answers, at most 2.0%; the first: kar_item/11/0: 'I am sorry, as")
    assert gates[0].closed


def test_answers_that_are_all_alike_are_found_whatever_numbers_they_hold():
    pattern = "Thing {} is a well made product that people of every age will enjoy for many years to come."

    gates = gates_of(rows(good(6) + [pattern.format(n) for n in range(4)]))

    assert {name for name, holds in result(gates).items() if not holds} == {"alike", "language"}
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
    assert alike([str(n) for n in range(len(texts))], texts) == len(near) / len(texts)


def test_the_order_of_words_counts_and_texts_of_any_number_are_compared(monkeypatch):
    words = WORDS[:20]
    other = [*words[10:], *words[:10][::-1]]
    texts = [" ".join(words), " ".join(other), "too short", " ".join(words), ""]

    assert alike(["a", "b", "c", "d", "e"], texts) == 2 / 5
    monkeypatch.setattr("feature_store.text_facts.HASHED_AT_ONCE", 2)  # a text is compared across batches
    assert alike(["a", "b", "c", "d", "e"], texts) == 2 / 5
    assert alike(["a", "b"], [" ".join(words), " ".join(reversed(words))]) == 0


def test_snapshots_of_one_user_may_agree():
    assert alike(["u1", "u1", "u2"], [good(1)[0], good(1)[0], good(2)[1]]) == 0


def test_short_answers_such_as_categories_may_agree():
    assert alike(["a", "b"], ["Action films", "Action films"]) == 0


def test_a_technique_that_asks_no_model_has_no_such_gates():
    assert gates_of(rows(["same"] * 9, "item_facts").with_columns(answer_key=pl.lit(None, pl.String))) == []


def test_another_script_and_another_length_are_noticed():
    before = rows(good(20))
    now = rows([*[text[:60] for text in good(18)], "это фильм о двух друзьях", "这是一部电影"])

    found = {gate.name: gate for gate in gates_of(now, before)}

    assert not found["kar_item script"].holds
    assert found["kar_item script"].found == "10.0% of 20 answers are not in Latin letters, at most 5.0%"
    assert not found["kar_item length"].holds
    middle = np.median([len(text) for text in good(20)])
    assert f"60 characters in the middle, {middle:,.0f} in the current release" in found["kar_item length"].found


ENGLISH = "A warm film about two friends who want to rob the bank of a small town, and what comes of it."
GERMAN = "Ein warmer Film über zwei Freunde, die eine Bank in der Stadt ausrauben wollen, und was daraus wird."


def test_answers_in_another_language_than_the_current_release_are_noticed():
    before = rows([ENGLISH] * 20)
    one, all_of_them = rows([ENGLISH] * 18 + [GERMAN] * 2), rows([GERMAN] * 20)

    gates = [
        next(gate for gate in gates_of(now, then) if gate.setting == "language")
        for now, then in ((before, None), (one, before), (all_of_them, before), (all_of_them, None))
    ]

    assert [gate.holds for gate in gates] == [True, False, False, True]  # a first release in German is German
    assert (
        gates[1].found
        == "10.0% of 20 answers are not in the usual language (English; most of these: German), at most 5.0%"
    )


def test_thinking_without_an_answer_and_its_marks_stop_a_release():
    texts = rows([*good(96), "<think>\nHm, what", "Well.</think> A film.", "A film about <thinking> as such."])
    empty = texts.head(1).with_columns(
        text_key=pl.lit(None, pl.String), error=pl.lit("no_text: the model gave no text")
    )

    (gate,) = [one for one in gates_of(pl.concat([texts, empty])) if one.setting == "thinking"]

    assert gate.found.startswith("3.0% of 100 answers are thinking alone or hold its marks, at most 2.0%; switch")
    assert gate.blocks
    assert not gate.holds


def test_only_a_gate_that_blocks_stops_a_release_and_the_others_are_listed_as_warnings():
    stops, warns = Gate("kar_item refusals", False, "many"), Gate("kar_item length", False, "short", blocks=False)

    text = str(GatesClosed([stops, warns]))

    assert (stops.closed, warns.closed) == (True, False)
    assert "FAILED  kar_item refusals: many\n  warns   kar_item length: short" in text


def test_refusals_stop_a_release_unless_the_config_only_wants_a_warning(shop, knowflow):
    shop.configure(tasks={"kar_item": {}}, rules={"Thing 1": "I am sorry, as an AI model I cannot help."})

    stopped = knowflow.run("refresh", "--config", shop.config)
    shop.configure(gates={"warn": ["refusals", "language"]})
    warned = knowflow.run("refresh", "--config", shop.config)
    shown = knowflow.run("release", "show", "--config", shop.config)

    assert stopped.returncode == 1
    assert "FAILED  kar_item refusals: " in stopped.stderr
    assert warned.returncode == 0
    assert "warning: kar_item refusals: " in warned.stderr
    assert "kar_item refusals" in shown.stdout
    assert "no, it only warns" in shown.stdout
