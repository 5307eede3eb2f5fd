"""Rows of an embedding table and their weighted sums over a history, with gradients that add up each row once.

A history of H events is pooled without making its [B, H, d] embeddings: forward is a weighted sum of rows, and so is
backward, over the events of each item instead of the events of each sample. Events are sorted by item for that, by a
stable radix sort, so the same batch gives the same sums in the same order.
Gradients are dense, or sparse with one entry per row that occurs, for tables too large to be passed through every step
(`ctr.optimisers`).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ctr.order import stable_order


def look_up(table: Tensor, codes: Tensor, sparse: bool) -> Tensor:
    """Gather rows of a table: [I, d], [...] ints -> [..., d].

    Args:
        table: [I, d].
        codes: Rows, in any shape.
        sparse: Whether the gradient holds only the rows that occur.
    """
    if not (torch.is_grad_enabled() and table.requires_grad):
        return functional.embedding(codes, table)
    return _Rows.apply(table, codes, sparse)


def pool(
    table: Tensor, target: Tensor, history: Tensor, weight: Tensor, marked: Tensor, sparse: bool
) -> tuple[Tensor, Tensor]:
    """Gather the targets' rows, and sum those of each sample's events: the marked events and the others apart.

    Args:
        table: [I, d].
        target: [B] ints, rows of the table.
        history: [B, H] ints, rows of the table.
        weight: [B, H], 0 where there is no event.
        marked: [B, H] bool.
        sparse: Whether the gradient holds only the rows that occur.

    Returns:
        The targets' rows [B, d] and the sums [B, 2, d].
    """
    if not (torch.is_grad_enabled() and table.requires_grad):  # plain operations, which can be exported
        sums = torch.stack(_split(weight, marked), dim=1) @ functional.embedding(history, table)
        return functional.embedding(target, table), sums
    return _Pool.apply(table, target, history, weight, marked, sparse)


def _split(weight: Tensor, marked: Tensor) -> tuple[Tensor, Tensor]:
    of_marked = weight * marked
    return of_marked, weight - of_marked


class _Rows(torch.autograd.Function):
    """`look_up`; backward adds up the gradients of equal rows."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, codes: Tensor, sparse: bool) -> Tensor:
        ctx.save_for_backward(codes)
        ctx.rows, ctx.sparse = len(table), sparse
        return functional.embedding(codes, table)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (codes,) = ctx.saved_tensors
        sources = gradients[0].flatten(0, -2)  # [n, d]
        if not ctx.sparse:
            made = sources.new_zeros(ctx.rows, sources.shape[1]).index_add_(0, codes.flatten().long(), sources)
            return made, None, None
        return _add_up(codes.flatten(), None, None, sources, ctx.rows, sparse=True), None, None


class _Pool(torch.autograd.Function):
    """`pool`; an event is read once forward, and once backward for the table and once for its weight."""

    @staticmethod
    def forward(
        ctx: Any, table: Tensor, target: Tensor, history: Tensor, weight: Tensor, marked: Tensor, sparse: bool
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(table, target, history, weight, marked)
        ctx.sparse = sparse
        split = _split(weight, marked)
        sums = [functional.embedding_bag(history, table, mode="sum", per_sample_weights=of) for of in split]
        return functional.embedding(target, table), torch.stack(sums, dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        table, target, history, weight, marked = ctx.saved_tensors
        of_target, of_sums = gradients
        rows, events = history.shape
        sources = torch.cat([of_sums.flatten(0, 1), of_target])  # [3B, d]: two of each sample's events, one of its item
        codes = history.flatten().long()
        of_event = (torch.arange(0, 2 * rows, 2)[:, None] + (~marked).long()).flatten()
        of_table = _add_up(
            torch.cat([codes, target]),
            torch.cat([of_event, torch.arange(2 * rows, 3 * rows)]),
            torch.cat([weight.flatten(), weight.new_ones(rows)]),
            sources,
            len(table),
            ctx.sparse,
        )
        of_weight = None
        if ctx.needs_input_grad[3]:
            begin = torch.arange(0, rows * events, events)
            of_weight = torch.ops.aten._embedding_bag_per_sample_weights_backward(
                sources, table.detach(), codes, begin, of_event, 0
            ).view(rows, events)
        return of_table, None, None, of_weight, None, None


def _add_up(
    codes: Tensor, place: Tensor | None, share: Tensor | None, sources: Tensor, rows: int, sparse: bool
) -> Tensor:
    """Add up `share * sources[place]` by code.

    Args:
        codes: [n] rows of the table.
        place: [n] rows of the sources; None = each its own.
        share: [n]; None = 1.
        sources: [m, d].
        rows: Rows of the table, I.
        sparse: Whether to return only the rows that occur.

    Returns:
        [I, d], dense or sparse.
    """
    order = stable_order(codes.numpy())
    by_code = codes.numpy()[order]
    new = np.ones(len(by_code), dtype=bool)
    new[1:] = by_code[1:] != by_code[:-1]
    first = np.flatnonzero(new)  # of each code that occurs
    sorted_by = torch.from_numpy(order)
    sums = functional.embedding_bag(
        sorted_by if place is None else place.index_select(0, sorted_by),
        sources,
        torch.from_numpy(first),
        mode="sum",
        per_sample_weights=sources.new_ones(len(order)) if share is None else share.index_select(0, sorted_by),
    )
    occurring = torch.from_numpy(by_code[first].astype(np.int64))
    if sparse:
        size = (rows, sources.shape[1])
        return torch.sparse_coo_tensor(occurring[None], sums, size, is_coalesced=True, check_invariants=False)
    return sources.new_zeros(rows, sources.shape[1]).index_copy_(0, occurring, sums)
