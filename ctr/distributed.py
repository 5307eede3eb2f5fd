"""Training by several processes, as `accelerate launch` or `torchrun` starts them: one process's curve.

Every process reads the same samples and draws the same batches; of each batch it takes its share, and the gradients of
all shares are added up, weighted by their rows. So a step is that of the whole batch, whatever the number of processes,
but for rounding, and all processes hold the same parameters. Sparse gradients travel as the rows that occur.
"""

import os
from collections.abc import Iterable

import torch
from torch import Tensor, distributed


def join() -> None:
    """Join the processes that a launcher started, once; alone, do nothing.

    Launchers set WORLD_SIZE, RANK, MASTER_ADDR and MASTER_PORT.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not distributed.is_initialized():
        distributed.init_process_group("gloo")


def share(rows: Tensor) -> Tensor:
    """Return this process's rows of a batch: every n-th of n processes, at least one."""
    if not distributed.is_initialized():
        return rows
    rank, count = distributed.get_rank(), distributed.get_world_size()
    return rows[rank::count] if len(rows) >= count else rows


def weight(own: Tensor, rows: Tensor) -> float:
    """Return the factor of this process's mean loss: its share of the batch's rows, all shares summing to 1."""
    if not distributed.is_initialized():
        return 1.0
    return len(own) / len(rows) if len(own) < len(rows) else 1 / distributed.get_world_size()


def own_part(known: Tensor, own: Tensor) -> Tensor:
    """Return the share of a batch's known values that stands for this process's rows.

    Args:
        known: Which values are known, [A, ...] bool.
        own: This process's rows of the batch, [B].

    Returns:
        [] float32.

    A loss over what is known alone is divided by it: with `weight`, the losses of all processes then sum to the mean
    over all that is known of the batch, however it falls to the processes.
    """
    return known.sum() * (len(own) / len(known))


def add_up(parameters: Iterable[Tensor]) -> None:
    """Add up the gradients of all processes."""
    if not distributed.is_initialized():
        return
    dense, sparse = [], []
    for one in parameters:
        if one.grad is not None:
            (sparse if one.grad.is_sparse else dense).append(one)
    flat = torch.cat([one.grad.flatten() for one in dense])
    distributed.all_reduce(flat)
    for one, part in zip(dense, flat.split([one.numel() for one in dense]), strict=True):
        one.grad = part.view_as(one)
    for one in sparse:
        gradient = one.grad.coalesce()
        gathered: list = [None] * distributed.get_world_size()
        distributed.all_gather_object(gathered, (gradient.indices(), gradient.values()))
        indices, values = (torch.cat([of[place] for of in gathered], dim=1 - place) for place in range(2))
        one.grad = torch.sparse_coo_tensor(indices, values, one.shape, check_invariants=False)
