"""GDCN: gated crosses equal the paper's formula; with its gates open it is DCNv2."""

import numpy as np
import pytest
import torch

from ctr.backbones.dcnv2 import DCNv2
from ctr.backbones.gdcn import GDCN
from ctr.batch import States

FIELDS, WIDTH, DENSE = 4, 3, 2


def test_gdcn_equals_the_paper_s_formula(world, numbers):
    torch.manual_seed(0)
    states, model = world.states(), GDCN(FIELDS, WIDTH, DENSE, crosses=3, hidden=(6, 3))
    w, start = numbers.arrays(model), numbers.start_of(states)

    found = model(states)

    crossed = []
    for row in start:  # one sample, one layer and one output at a time
        state = row
        for layer in range(3):
            matrix, bias, gate = (w[f"{name}.{layer}.{part}"] for name, part in PARTS)
            state = np.array(
                [
                    row[i] * (matrix[i] @ state + bias[i]) / (1 + np.exp(-(gate[i] @ state))) + state[i]
                    for i in range(len(row))
                ]
            )
        crossed.append(state)
    both = np.concatenate([np.array(crossed), numbers.dense_layers(start, w, "deep", 2)], axis=1)
    numbers.check_close(found, both @ w["out.weight"][0] + w["out.bias"][0])


PARTS = (("crosses", "weight"), ("crosses", "bias"), ("gates", "weight"))


def test_a_gated_cross_worked_out_by_hand():
    model = GDCN(1, 1, 1, crosses=1, hidden=(1,))
    with torch.no_grad():
        model.crosses[0].weight.copy_(torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
        model.crosses[0].bias.copy_(torch.tensor([0.5, -1.0]))
        model.gates[0].weight.copy_(torch.tensor([[3.0, -2.0], [100.0, 0.0]]))
        model.out.weight.copy_(torch.tensor([[1.0, 10.0, 0.0]]))
        model.out.bias.zero_()
    zeros = torch.zeros(1, 1, 1)

    logit = model(States(torch.tensor([[[2.0]]]), torch.tensor([[3.0]]), zeros[0], zeros, zeros[0], zeros[0]))

    # c0 = (2, 3); W c0 + b = (8.5, 2); V c0 = (0, 200), so the gates are 1/2 and 1: c1 = (8.5 + 2, 6 + 3)
    assert logit.item() == pytest.approx(10.5 + 90)


def test_with_open_gates_it_is_dcnv2_with_crosses_of_the_same_weights(world):
    torch.manual_seed(1)
    plain, gated = DCNv2(FIELDS, WIDTH, DENSE), GDCN(FIELDS, WIDTH, DENSE, crosses=2)
    gated.load_state_dict(plain.state_dict(), strict=False)
    states = world.states()
    with torch.no_grad():
        for cross, gate in zip(gated.crosses, gated.gates, strict=True):
            gate.weight.zero_()  # sigmoid(0) = 1/2
            cross.weight.mul_(2)
            cross.bias.mul_(2)

    torch.testing.assert_close(gated(states), plain(states))
