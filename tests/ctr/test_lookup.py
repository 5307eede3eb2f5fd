"""Rows of a table and their sums: the numbers and the gradients of plain indexing, dense and sparse."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ctr.lookup import look_up, pool


def inputs(rows, items, batch, events, seed):
    random = torch.Generator().manual_seed(seed)
    table = torch.randn(items, rows, generator=random, requires_grad=True)
    weight = torch.rand(batch, events, generator=random) * (torch.rand(batch, events, generator=random) < 0.7)
    return (
        table,
        torch.randint(items, (batch,), generator=random),
        torch.randint(items, (batch, events), generator=random),
        weight.requires_grad_(),
        torch.rand(batch, events, generator=random) < 0.5,
    )


def plainly(table, target, history, weight, marked):
    """By indexing and a loop over the events."""
    marked_sum, other_sum = (
        sum(((weight * of)[:, h, None] * table[history[:, h]] for h in range(history.shape[1])), torch.zeros(1))
        for of in (marked.float(), 1 - marked.float())
    )
    return table[target], torch.stack([marked_sum, other_sum], dim=1)


@pytest.mark.parametrize("sparse", [False, True])
@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 6), st.integers(1, 5), st.integers(0, 99))
def test_pooled_sums_and_their_gradients_are_those_of_indexing(sparse, items, batch, events, seed):
    given_ = inputs(3, items, batch, events, seed)
    table, weight = given_[0], given_[3]
    expected = plainly(*given_)
    upstream = [torch.randn_like(one) for one in expected]
    right = torch.autograd.grad(expected, [table, weight], upstream)

    found = pool(*given_, sparse)
    of_table, of_weight = torch.autograd.grad(found, [table, weight], upstream)

    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    assert of_table.is_sparse == sparse
    torch.testing.assert_close(of_table.to_dense(), right[0])
    torch.testing.assert_close(of_weight, right[1])
    with torch.no_grad():  # without gradients by other operations
        for one, other in zip(pool(*given_, sparse), expected, strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("items", [4, 70_000])
def test_equal_rows_of_a_look_up_have_one_gradient_their_sum(sparse, items):
    table = torch.randn(items, 2, requires_grad=True)
    codes = torch.tensor([[items - 1, 0], [items - 1, 2]])

    made = look_up(table, codes, sparse)
    (gradient,) = torch.autograd.grad((made * torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]])).sum(), [table])

    torch.testing.assert_close(made, table[codes])
    expected = torch.zeros(items, 2)
    expected[items - 1], expected[0], expected[2] = 1 + 3, 2, 4
    torch.testing.assert_close(gradient.to_dense(), expected)
    if sparse:
        assert gradient.is_coalesced()
        assert gradient.indices().tolist() == [[0, 2, items - 1]]


def test_a_large_table_gives_a_gradient_of_its_rows_alone():
    table = torch.zeros(10**7, 1, requires_grad=True)
    batch = (torch.tensor([5]), torch.tensor([[5, 10**7 - 1]]), torch.ones(1, 2), torch.tensor([[True, False]]))

    target, sums = pool(table, *batch, True)
    (gradient,) = torch.autograd.grad(target.sum() + sums.sum(), [table])

    assert gradient.indices().tolist() == [[5, 10**7 - 1]]
    assert gradient.values().tolist() == [[2], [1]]


@pytest.mark.parametrize("sparse", [False, True])
def test_a_batch_without_a_row_has_a_gradient_of_zeros(sparse):
    table = torch.randn(3, 2, requires_grad=True)
    nothing = torch.zeros(0, 4, dtype=torch.int64)

    made = look_up(table, nothing, sparse)
    target, sums = pool(table, nothing[:, 0], nothing, torch.zeros(0, 4), torch.zeros(0, 4, dtype=torch.bool), sparse)
    (gradient,) = torch.autograd.grad(made.sum() + target.sum() + sums.sum(), [table])

    assert made.shape == (0, 4, 2)
    assert not gradient.to_dense().any()
