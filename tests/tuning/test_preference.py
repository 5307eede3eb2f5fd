"""Preference tuning on a tiny model: scores, ranking before and after, the weights that are chosen, going on after a kill."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
import torch

from base.faults import WrongUse
from base.progress import silent
from prompts.domain import load_domain
from tuning.base import load_weights
from tuning.config import RewriteConfig
from tuning.packing import collate
from tuning.preference import tune_preferences
from tuning.ranking import (
    Ranked,
    agreement,
    collate_queries,
    mean_log_probability,
    measure_ranking,
    rank_queries,
    score_queries,
)

DOMAIN = load_domain("films")
WORDS = ("amber", "basil", "cedar", "delta", "ember", "flint", "grove", "hazel")
CONFIG = RewriteConfig(method="full", learning_rate=2e-3, batch_rows=8, rows_at_once=8, epochs=6, save_every=6)


def toy(count: int, start: int = 0) -> pl.DataFrame:
    """Queries whose rewrites are better the more of them says `yes`, in an order that tells nothing."""
    chance = np.random.default_rng(start)
    rows = []
    for number in range(start, start + count):
        one = f"{WORDS[number % 8]} {number}"
        for place, good in enumerate(chance.permutation(4)):
            rewrite = " ".join(["yes"] * int(good) + ["no"] * int(3 - good)) + f" {one}"
            rows.append((one, one, rewrite, place, good / 3))
    return pl.DataFrame(rows, ["query", "shown", "rewrite", "place", "reward"], orient="row")


def ranked(base, count: int, start: int = 0):
    table = toy(count, start)
    return rank_queries(table, table["reward"], base, DOMAIN, CONFIG)[0]


def test_scores_are_mean_log_probabilities_of_the_answers_tokens_alone(base):
    queries = ranked(base, 3)
    model = load_weights(base.folder).eval()

    scores = score_queries(model, queries, base.pad)

    for query, found in zip(queries, scores, strict=True):
        for answer, score in zip(query.answers, found, strict=True):
            ids = torch.tensor(answer.ids[None].astype(np.int64))  # alone: no padding
            with torch.inference_mode():
                logs = torch.log_softmax(model(ids, use_cache=False).logits[0].double(), dim=-1)
            by_loop = [float(logs[at - 1, answer.ids[at]]) for at in range(answer.prompt, len(answer))]
            assert score == pytest.approx(np.mean(by_loop), abs=1e-4)


def test_other_logits_at_prompt_and_padding_change_no_score(base):
    answers = ranked(base, 1)[0].answers
    batch = collate([[answer] for answer in answers], base.pad)
    logits = torch.randn(len(answers), len(batch["logits_to_keep"]), 1_024)
    learnt = batch["labels"][:, 1:] >= 0
    other = torch.where(learnt.unsqueeze(-1), logits, torch.randn_like(logits))

    assert torch.equal(mean_log_probability(logits, batch["labels"]), mean_log_probability(other, batch["labels"]))
    assert not learnt.all()  # some answers are shorter


def test_queries_with_fewer_rewrites_are_masked_and_those_that_teach_nothing_are_left_out(base):
    table = pl.concat([toy(2), toy(1, 2).head(2), toy(1, 3).with_columns(reward=pl.lit(0.0)), toy(1, 4).head(1)])

    queries, left_out = rank_queries(table, table["reward"], base, DOMAIN, CONFIG)
    batch = collate_queries(queries, base.pad)

    assert left_out == Counter({"queries: fewer than two rewrites of different rewards": 2})
    assert batch["mask"].tolist() == [[True] * 4, [True] * 4, [True, True, False, False]] or batch["mask"].sum() == 10
    assert len(batch["input_ids"]) == 10
    assert not batch["rewards"][~batch["mask"]].any()


def test_rewrites_beyond_the_number_of_candidates_and_too_long_ones_are_left_out(base):
    table = toy(2)
    two, _ = rank_queries(table, table["reward"], base, DOMAIN, CONFIG.model_copy(update={"candidates": 2}))
    none, left_out = rank_queries(table, table["reward"], base, DOMAIN, CONFIG.model_copy(update={"row_tokens": 16}))

    assert [len(one.answers) for one in two] == [2, 2]
    assert none == []
    assert left_out["rewrites: longer than 16 tokens"] == 8


def test_tau_of_equal_scores_is_0():
    assert agreement([np.zeros(2)], [Ranked("a", (), np.array([0.0, 1.0]))]).tolist() == [0.0]


@pytest.mark.parametrize("objective", ["pro", "pairwise"])
def test_ranking_rises_on_queries_that_were_never_seen(base, tmp_path, objective):
    training, held_out = ranked(base, 48), ranked(base, 16, 100)
    before = measure_ranking(load_weights(base.folder), held_out, base.pad)

    result = tune_preferences(
        base,
        training,
        ranked(base, 12, 200),
        objective,
        CONFIG,
        tmp_path / "out",
        silent,
        facts={},
        left_out=Counter(),
    )

    after = measure_ranking(load_weights(tmp_path / "out"), held_out, base.pad)
    assert after["tau"] > before["tau"] + 0.3
    assert after["tau"] > 0.4
    assert result["held_out"]["after"]["tau"] > result["held_out"]["before"]["tau"]
    assert result["learnt"]["steps"] == 36


class Broken(Exception):
    """What ends a tuning in the middle."""


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_tuning_that_was_broken_off_ends_with_the_weights_of_an_undisturbed_one(base, tmp_path, method):
    config = CONFIG.model_copy(update={"method": method, "epochs": 2, "save_every": 2, "dropout": 0.1, "batch_rows": 4})
    training, validation = ranked(base, 12), ranked(base, 6, 100)

    def run(out, progress=silent, **more):
        return tune_preferences(
            base, training, validation, "pro", config, out, progress, facts={}, left_out=Counter(), **more
        )

    def break_off(what: str, done: int, total: int) -> None:
        if what == "tuning steps" and done == 5:
            raise Broken

    whole = run(tmp_path / "whole")
    with pytest.raises(Broken):
        run(tmp_path / "broken", break_off)
    gone_on = run(tmp_path / "broken", resume=True)

    name = "adapter_model.safetensors" if method == "lora" else "model.safetensors"
    assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert gone_on == whole
    assert whole["learnt"]["chosen_step"] in (2, 4, 6)
    assert not (tmp_path / "whole" / ".tuning").exists()
    assert run(tmp_path / "whole", resume=True) == whole  # finished: nothing is done again


def test_the_weights_of_the_step_with_the_highest_tau_are_written(base, tmp_path):
    # A rate that is far too high spoils what the first steps learnt.
    config = CONFIG.model_copy(update={"learning_rate": 2e-2, "epochs": 2, "save_every": 1, "batch_rows": 8})
    at_the_end = config.model_copy(update={"save_every": 6})
    training, validation = ranked(base, 24), ranked(base, 8, 100)

    chosen, last = (
        tune_preferences(base, training, validation, "pro", one, tmp_path / name, silent, facts={}, left_out=Counter())
        for name, one in (("chosen", config), ("last", at_the_end))
    )

    assert last["learnt"]["chosen_step"] == last["learnt"]["steps"] == chosen["learnt"]["steps"] == 6
    assert chosen["held_out"]["after"]["tau"] >= last["held_out"]["after"]["tau"]
    written = measure_ranking(load_weights(tmp_path / "chosen"), validation, base.pad)
    assert written == chosen["held_out"]["after"]


def test_nothing_to_learn_is_told_and_nothing_is_written(base, tmp_path):
    with pytest.raises(WrongUse, match="no query can be learned\n  rewrites: too long: 3\n  give more rewrites"):
        tune_preferences(
            base, [], [], "pro", CONFIG, tmp_path / "out", silent, facts={}, left_out=Counter({"rewrites: too long": 3})
        )
    assert not (tmp_path / "out").exists()
