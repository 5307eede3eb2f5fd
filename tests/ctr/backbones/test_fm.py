"""FM: the double sum of Rendle's equation 1, over the one-hot input and the dense values."""

import numpy as np
import pytest
import torch

from ctr.backbones.fm import FM
from ctr.batch import States

FIELDS, WIDTH, DENSE = 4, 3, 2


def test_fm_equals_the_sum_over_all_pairs(world, numbers):
    torch.manual_seed(0)
    states, model = world.states(), FM(FIELDS, WIDTH, DENSE)
    torch.nn.init.normal_(model.factors)
    w = numbers.arrays(model)

    found = model(states)

    for row in range(len(states.fields)):
        vectors = list(states.fields[row].double().numpy())
        vectors += [x * v for x, v in zip(states.dense[row].double().numpy(), w["factors"], strict=True)]
        pairs = sum(vectors[i] @ vectors[j] for i in range(len(vectors)) for j in range(i + 1, len(vectors)))
        linear = numbers.start_of(states)[row] @ w["first.weight"][0] + w["first.bias"][0]
        assert found[row].item() == pytest.approx(linear + pairs, abs=1e-4)


def test_a_sample_worked_out_by_hand():
    model = FM(2, 1, 1)
    with torch.no_grad():
        model.first.weight.copy_(torch.tensor([[1.0, 10.0, 100.0]]))
        model.first.bias.copy_(torch.tensor([0.5]))
        model.factors.copy_(torch.tensor([[4.0]]))
    zeros = torch.zeros(1, 1, 1)

    logit = model(States(torch.tensor([[[2.0], [3.0]]]), torch.tensor([[5.0]]), zeros[0], zeros, zeros[0], zeros[0]))

    # linear 0.5 + 2 + 30 + 500; pairs 2 * 3 + 2 * (5 * 4) + 3 * (5 * 4) = 106
    assert logit.item() == pytest.approx(638.5)


def test_fm_without_factors_is_logistic_regression(world, numbers):
    states, model = world.states(), FM(FIELDS, WIDTH, DENSE)
    torch.nn.init.zeros_(model.factors)
    alone = states.__class__(**{**vars(states), "fields": states.fields * (torch.arange(FIELDS) == 1)[None, :, None]})
    w = numbers.arrays(model)

    numbers.check_close(model(alone), numbers.start_of(alone) @ w["first.weight"][0] + w["first.bias"][0])
    assert np.abs((model(states) - model(alone)).detach().numpy()).min() > 0
