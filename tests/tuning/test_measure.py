"""Held-out rows: the loss of the true answer and the AUC, against probabilities worked out one answer at a time."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from base.progress import silent
from prompts.domain import load_domain
from tuning.base import load_weights
from tuning.config import TuningConfig
from tuning.measure import both_answers, measure
from tuning.mixture import mix
from tuning.supervised import tune


@pytest.fixture
def mixture(make_shop):
    dataset = make_shop(items=97, users=20, events=10).place().dataset
    return mix(dataset, load_domain("generic"), TuningConfig(held_out=12))


def log_probability(model, ids, prompt) -> float:
    with torch.inference_mode():
        logs = torch.log_softmax(model(torch.tensor([ids.tolist()]), use_cache=False).logits[0].double(), dim=-1)
    return sum(float(logs[place - 1, ids[place]]) for place in range(prompt, len(ids)))


def test_loss_and_auc_are_those_of_the_two_answers(base, mixture):
    model = load_weights(base.folder)
    pairs, liked = both_answers(base, mixture.held_out, mixture.words, 1_024)

    found = measure(model, pairs, liked, base.pad, silent)

    logs = np.array([[log_probability(model, one.ids, one.prompt) for one in pair] for pair in pairs])
    truth = np.array(liked)
    assert [row[-1]["content"] for row in mixture.held_out] == ["yes" if yes else "no" for yes in liked]
    assert 0 < sum(liked) < len(liked) == found["rows"] == 12
    assert found["loss"] == pytest.approx(-logs[range(12), (~truth).astype(int)].mean(), abs=1e-3)
    assert found["auc"] == pytest.approx(roc_auc_score(truth, logs[:, 0] - logs[:, 1]), abs=1e-4)


def test_where_all_rows_have_one_answer_there_is_no_auc(base, mixture):
    pairs, liked = both_answers(base, mixture.held_out, mixture.words, 1_024)
    alike = [pair for pair, yes in zip(pairs, liked, strict=True) if yes]

    assert measure(load_weights(base.folder), alike, [True] * len(alike), base.pad, silent)["auc"] is None


def test_a_tuning_measures_before_and_after_and_finds_the_answers_likelier(base, mixture, tmp_path):
    config = TuningConfig(learning_rate=5e-3, batch_rows=4, held_out=12)

    held_out = tune(base, mixture, config, tmp_path / "out", silent)["held_out"]

    assert held_out["before"]["rows"] == held_out["after"]["rows"] == 12
    assert held_out["after"]["loss"] < held_out["before"]["loss"]
