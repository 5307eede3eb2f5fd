"""Row-wise Adagrad by hand and against torch's Adagrad; AdamW as torch's, for everything else."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ctr.lookup import look_up
from ctr.optimisers import TIMES, Optimiser, RowwiseAdagrad


def test_two_steps_by_hand():
    table = nn.Parameter(torch.zeros(3, 2))
    optimiser = RowwiseAdagrad([table])

    for _ in range(2):  # row 1 occurs twice: its gradient is (3, 4) + (0, 0), of mean square 12.5
        (look_up(table, torch.tensor([1, 1]), True) * torch.tensor([[3.0, 4.0], [0, 0]])).sum().backward()
        optimiser.step(0.1)

    expected = -0.1 * np.array([3, 4]) * (1 / np.sqrt(12.5) + 1 / np.sqrt(25))
    np.testing.assert_allclose(table.detach().numpy(), [[0, 0], expected, [0, 0]], rtol=1e-6)
    assert table.grad is None


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=8), min_size=1, max_size=5), st.integers(0, 99))
def test_with_a_width_of_one_it_is_torch_s_adagrad_on_the_summed_gradient(steps, seed):
    random = torch.Generator().manual_seed(seed)
    start = torch.randn(6, 1, generator=random)
    table, other = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimiser, adagrad = RowwiseAdagrad([table]), torch.optim.Adagrad([other], 0.3, eps=1e-8)

    for codes in steps:
        by = torch.randn(len(codes), 1, generator=random)
        (look_up(table, torch.tensor(codes), True) * by).sum().backward()
        (other[torch.tensor(codes)] * by).sum().backward()
        optimiser.step(0.3)
        adagrad.step()
        adagrad.zero_grad()

    torch.testing.assert_close(table, other, atol=1e-5, rtol=1e-4)


def test_the_order_of_the_samples_does_not_change_a_step():
    """Exact on duplicates: not one update per occurrence."""
    codes, by = torch.tensor([2, 0, 2, 2]), torch.tensor([[1.0], [2.0], [4.0], [8.0]])
    tables = []
    for order in (torch.arange(4), torch.tensor([3, 1, 0, 2])):
        tables.append(nn.Parameter(torch.ones(3, 1)))
        (look_up(tables[-1], codes[order], True) * by[order]).sum().backward()
        RowwiseAdagrad(tables[-1:]).step(0.5)

    assert torch.equal(*tables)
    np.testing.assert_allclose(tables[0].detach().flatten(), [0.5, 1, 0.5], rtol=1e-6)  # |g| / sqrt(g^2) = 1


def test_tables_learn_by_adagrad_and_the_rest_by_adamw():
    model = nn.ModuleDict({"table": nn.Embedding(4, 1), "linear": nn.Linear(1, 1, bias=False)})
    table, linear = model["table"].weight, model["linear"].weight
    with torch.no_grad():
        table.fill_(2.0)
        linear.fill_(3.0)
    optimiser = Optimiser(model, [table], weight_decay=0.5)

    optimiser.step(model["linear"](look_up(table, torch.tensor([1]), True)).sum(), 0.01)

    # Gradients: 3 of the row, 2 of the weight; a first step of either is the rate, and AdamW decays by rate * 0.5.
    np.testing.assert_allclose(table.detach().flatten(), [2, 2 - TIMES * 0.01, 2, 2], rtol=1e-6)
    np.testing.assert_allclose(linear.item(), 3 - 0.01 - 0.01 * 0.5 * 3, rtol=1e-6)
