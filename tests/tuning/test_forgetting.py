"""R3F and Wise-FT: the formulas against NumPy, and what they do to a model that is tuned."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from base.progress import silent
from tuning.base import load_weights
from tuning.config import StepConfig
from tuning.forgetting import interpolated, symmetric_divergence
from tuning.packing import NOT_LEARNT, collate
from tuning.supervised import make_trainer, tokenise_all, tune


def test_the_divergence_is_the_formula_in_numpy():
    chance = np.random.default_rng(0)
    logits, moved = chance.normal(size=(2, 2, 3, 5)) * 3
    labels = np.array([[NOT_LEARNT, 1, NOT_LEARNT, 2], [NOT_LEARNT, 0, 4, NOT_LEARNT]])
    expected = 0.0
    for row, place in ((0, 0), (0, 2), (1, 0), (1, 1)):
        log_p, log_q = log_softmax(logits[row, place]), log_softmax(moved[row, place])
        expected += (np.exp(log_p) * (log_p - log_q)).sum() + (np.exp(log_q) * (log_q - log_p)).sum()

    got = symmetric_divergence(torch.from_numpy(logits), torch.from_numpy(moved), torch.from_numpy(labels), 4)

    assert float(got) == pytest.approx(expected / 4, rel=1e-5)


def test_the_divergence_of_equal_predictions_is_0_and_has_no_gradient():
    logits = torch.randn(1, 2, 7, requires_grad=True)

    divergence = symmetric_divergence(logits, logits.detach(), torch.tensor([[NOT_LEARNT, 3, 4]]), 2)
    divergence.backward()

    assert logits.grad is not None
    assert (float(divergence.detach()), float(logits.grad.abs().max())) == (0, 0)


def test_the_loss_of_a_step_is_that_of_the_answers_plus_the_weighted_divergence(base, sums, mixture_of, tmp_path):
    examples, _ = tokenise_all(base, mixture_of(sums[:3]), 256)
    rows = [[one] for one in examples]
    model = load_weights(base.folder).eval()
    batch = collate(rows, base.pad)
    labels, losses = batch.pop("labels"), {}
    count = int((labels != NOT_LEARNT).sum())
    for weight in (0.0, 2.0, 4.0):
        settings = StepConfig(method="full", noise_weight=weight, noise_radius=0.05)
        trainer = make_trainer(model, rows, base.pad, settings, tmp_path, silent)
        torch.manual_seed(0)
        loss: Any = trainer.compute_loss(model, collate(rows, base.pad), num_items_in_batch=count)
        losses[weight] = float(loss)
    torch.manual_seed(0)
    embedded = model.get_input_embeddings()(batch.pop("input_ids"))
    noise = torch.empty_like(embedded).uniform_(-0.05, 0.05)
    logits, moved = (model(**batch, inputs_embeds=of).logits for of in (embedded, embedded + noise))
    divergence = float(symmetric_divergence(logits, moved, labels, count))

    assert divergence > 1e-6
    assert losses[2.0] - losses[0.0] == pytest.approx(2 * divergence, rel=1e-2)
    assert losses[4.0] - losses[0.0] == pytest.approx(4 * divergence, rel=1e-2)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_model_is_tuned_with_r3f(method, base, sums, mixture_of, tmp_path):
    settings = StepConfig(
        method=method, noise_weight=1.0, epochs=3, learning_rate=5e-3, batch_rows=2, rows_at_once=1, row_tokens=256
    )

    told = tune(base, mixture_of(sums), settings, tmp_path / "tuned", silent)

    assert told["learnt"]["steps"] == 3 * -(-told["learnt"]["rows"] // 2)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_weights_between_two_models_are_the_formula_in_numpy(share):
    chance = np.random.default_rng(1)
    before, after = ({"a": chance.normal(size=(3, 2)), "b": chance.normal(size=4)} for _ in range(2))

    one, other = ({name: torch.from_numpy(of) for name, of in weights.items()} for weights in (before, after))
    got = interpolated(one, other, share)

    for name, of in got.items():
        assert np.allclose(of.numpy(), (1 - share) * before[name] + share * after[name], atol=1e-12)


def test_weights_of_another_model_are_refused():
    with pytest.raises(ValueError, match="extra"):
        interpolated({"a": torch.zeros(1)}, {"a": torch.zeros(1), "extra": torch.zeros(1)}, 0.5)
