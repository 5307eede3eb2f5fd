"""The logistic head is scikit-learn's, and the similarity columns are those of the adapter."""

import numpy as np
import torch
from scipy.optimize import minimize

from ctr.adapters.similarity import history_similarity
from evals.prompts.worth.click import similarities
from evals.prompts.worth.head import PENALTY, head_logits


def test_the_head_minimises_the_penalised_loss():
    random = np.random.default_rng(0)
    columns, offset = random.normal(size=(80, 3)), random.normal(size=80)
    label = (random.random(80) < 1 / (1 + np.exp(-offset - columns[:, 0]))).astype(np.float32)
    trains = np.arange(80) < 60
    scaled = (columns - columns[trains].mean(0)) / columns[trains].std(0)

    def loss(weight: np.ndarray) -> float:
        logit = offset[trains] + scaled[trains] @ weight[:3] + weight[3]
        return float(np.logaddexp(0, -(2 * label[trains] - 1) * logit).sum() + PENALTY / 2 * (weight[:3] ** 2).sum())

    best = minimize(loss, np.zeros(4), tol=1e-12).x

    found = head_logits(columns, offset, label, trains)

    np.testing.assert_allclose(found, offset[~trains] + scaled[~trains] @ best[:3] + best[3], atol=1e-4)


def test_labels_of_rows_that_do_not_train_change_nothing():
    random = np.random.default_rng(1)
    columns, offset, label = random.normal(size=(50, 2)), random.normal(size=50), random.integers(0, 2, 50)
    trains = np.arange(50) < 40
    other = np.where(trains, label, 1 - label)

    np.testing.assert_array_equal(
        head_logits(columns, offset, label, trains), head_logits(columns, offset, other, trains)
    )


def test_similarity_columns_are_those_of_the_adapter():
    random = np.random.default_rng(2)
    target, history = (
        torch.nn.functional.normalize(torch.from_numpy(random.normal(size=size)), dim=-1)
        for size in ((4, 5), (4, 3, 5))
    )
    rating, surprise, liked = random.normal(size=(4, 3)), random.normal(size=(4, 3)), random.integers(0, 2, (4, 3))
    mask = np.array([[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]])
    wanted = history_similarity(target, history, *(torch.from_numpy(of) for of in (rating, surprise, liked, mask)))

    place, slot = np.nonzero(mask)
    cosine = torch.einsum("bd,bhd->bh", target, history).numpy()[place, slot]
    values = np.stack([rating[place, slot], surprise[place, slot]])
    found = similarities(cosine, values, liked[place, slot] == 1, place, 4)

    np.testing.assert_allclose(np.column_stack(found), wanted.numpy(), atol=1e-9)
