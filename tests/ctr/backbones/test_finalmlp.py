"""FinalMLP: gates, two streams and the bilinear form equal the paper's formula."""

import numpy as np
import torch

from ctr.backbones.finalmlp import FinalMLP

FIELDS, WIDTH, DENSE = 4, 3, 2


def model_of(seed=0):
    torch.manual_seed(seed)
    return FinalMLP(FIELDS, WIDTH, DENSE, gate=5, hidden=(6, 4), heads=2)


def stream(start, condition, w, place, numbers):
    hidden = numbers.dense_layers(condition, w, f"gates.{place}.0", 1)
    gate = 2 / (1 + np.exp(-(hidden @ w[f"gates.{place}.1.weight"].T + w[f"gates.{place}.1.bias"])))
    return numbers.dense_layers(gate * start, w, f"streams.{place}", 2)


def test_finalmlp_equals_the_paper_s_formula(world, numbers):
    states, model = world.states(), model_of()
    w, start = numbers.arrays(model), numbers.start_of(states)

    found = model(states)

    user, item = (states.fields[:, place].double().numpy() for place in (0, 1))
    one, two = stream(start, user, w, 0, numbers), stream(start, item, w, 1, numbers)
    expected = one @ w["out.0.weight"][0] + w["out.0.bias"][0] + two @ w["out.1.weight"][0]
    for head in range(2):
        at = slice(2 * head, 2 * head + 2)
        expected = expected + [a[at] @ w["bilinear"][head] @ b[at] for a, b in zip(one, two, strict=True)]
    numbers.check_close(found, expected)


def test_gates_that_are_shut_nowhere_leave_two_perceptrons_and_their_product(world, numbers):
    states, model = world.states(), model_of()
    for gate in model.gates:  # sigmoid(0) = 1/2, doubled
        torch.nn.init.zeros_(gate[1].weight)
        torch.nn.init.zeros_(gate[1].bias)
    w, start = numbers.arrays(model), numbers.start_of(states)

    one, two = (numbers.dense_layers(start, w, f"streams.{place}", 2) for place in (0, 1))

    whole = np.zeros((4, 4))  # a bilinear form over equal heads is one of a block-diagonal matrix
    whole[:2, :2], whole[2:, 2:] = w["bilinear"]
    linear = one @ w["out.0.weight"][0] + two @ w["out.1.weight"][0] + w["out.0.bias"][0]
    numbers.check_close(model(states), linear + ((one @ whole) * two).sum(1))
