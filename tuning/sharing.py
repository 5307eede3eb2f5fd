"""Share the beginning of a row's examples: instructions that stand in every prompt pass through the model once.

A row holds the common beginning, then the rest of each example. The rest sees the beginning and itself, and its
positions go on from the beginning, so logits and gradients are those of separate examples. Where an instruction is
longer than its data, such as a query, several times fewer tokens pass through the model.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from base.faults import WrongUse
from tuning.base import MOVED
from tuning.packing import NOT_LEARNT, Row, collate, pack
from tuning.tokens import Example

ALIKE = 0.6
"""Share of the shorter prompt that two examples must begin with together to go into one row."""


def shared_tokens(row: Row) -> int:
    """Return how many tokens the examples of a row share: their common beginning, without the last one of a prompt.

    The last token of each prompt stays its own, because the first learned token is predicted there.
    """
    most = min(min(example.prompt - 1, len(example)) for example in row)
    first = row[0].ids[:most]
    return int(min((_agreeing(first, example.ids[:most]) for example in row[1:]), default=most))


def _agreeing(one: np.ndarray, other: np.ndarray) -> int:
    """Return at how many places two arrays [n] agree before they first differ."""
    differs = np.flatnonzero(one != other)
    return int(differs[0]) if len(differs) else len(one)


def pack_alike(examples: Sequence[Example], room: int) -> list[list[int]]:
    """Pack examples that begin alike into common rows.

    Args:
        examples: The examples, each of at most `room` tokens.
        room: Tokens of a row.

    Returns:
        Indices of the examples of each row.

    Example:
        >>> ids = [np.array([1, 2, 3, 4 + n, 9]) for n in range(4)]
        >>> pack_alike([Example(one, 4) for one in ids], room=9)  # 3 shared, then 2 each
        [[0, 1, 2], [3]]
    """
    found: list[list[int]] = []
    for places in _alike(examples):
        shared = shared_tokens([examples[place] for place in places])
        rows = pack([len(examples[place]) - shared for place in places], room - shared)
        found += [[places[at] for at in row] for row in rows]
    return found


def _alike(examples: Sequence[Example]) -> list[list[int]]:
    """Group examples that begin alike: neighbours in the order of their tokens that share enough of their prompts."""
    order = sorted(range(len(examples)), key=lambda place: examples[place].ids.tolist())
    groups: list[list[int]] = []
    for place in order:
        if groups and _begin_alike(examples[groups[-1][-1]], examples[place]):
            groups[-1].append(place)
        else:
            groups.append([place])
    return [sorted(group) for group in groups]


def _begin_alike(one: Example, other: Example) -> bool:
    most = min(one.prompt, other.prompt)
    return _agreeing(one.ids[:most], other.ids[:most]) >= ALIKE * most


def collate_shared(rows: Sequence[Row], pad: int) -> dict[str, Tensor]:
    """Make a batch of rows, each with its common beginning once; see `packing.collate`.

    Args:
        rows: B rows of examples.
        pad: Padding token; it sees and is seen by nothing else.

    Returns:
        As from `collate`, in the same order of learned tokens, and attention_mask [B, 1, L, L] bool: which token sees
        which.
    """
    shared = [shared_tokens(row) for row in rows]
    longest = max(of + sum(len(example) - of for example in row) for of, row in zip(shared, rows, strict=True))
    ids = np.full((len(rows), longest), pad, dtype=np.int64)  # [B, L]
    positions, following = np.zeros_like(ids), np.full_like(ids, NOT_LEARNT)
    owner = np.full_like(ids, -1)  # 0: the beginning, 1 and on: an example, -1: padding
    for place, (of, row) in enumerate(zip(shared, rows, strict=True)):
        at = of
        ids[place, :at], positions[place, :at], owner[place, :at] = row[0].ids[:at], np.arange(at), 0
        for number, example in enumerate(row, 1):
            end = at + len(example) - of
            ids[place, at:end], positions[place, at:end] = example.ids[of:], np.arange(of, len(example))
            owner[place, at:end] = number
            following[place, at + example.prompt - 1 - of : end - 1] = example.ids[example.prompt :]
            at = end
    earlier = np.tril(np.ones((longest, longest), dtype=bool))
    seen = (owner[:, None, :] == owner[:, :, None]) | ((owner[:, None, :] == 0) & (owner[:, :, None] > 0))
    mask = (seen & earlier)[:, None]  # [B, 1, L, L]
    keep = np.flatnonzero((following != NOT_LEARNT).any(axis=0))  # [K]
    labels = np.pad(following[:, keep], ((0, 0), (1, 0)), constant_values=NOT_LEARNT)  # [B, 1 + K]
    found = {"input_ids": ids, "position_ids": positions, "attention_mask": mask, "logits_to_keep": keep}
    return {name: torch.from_numpy(np.ascontiguousarray(of)) for name, of in {**found, "labels": labels}.items()}


def mean_by_answer(logits: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """Return the mean log-probability of the learned tokens of each example of one row.

    Args:
        logits: [1, K, V], from a batch of one row.
        labels: [1, 1 + K], from `collate_shared`.
        counts: [N] learned tokens of each example, in their order; they sum to K.

    Returns:
        [N].
    """
    logs = torch.log_softmax(logits[0].float(), dim=-1).gather(-1, labels[0, 1:, None])[:, 0]  # [K]
    owner = torch.repeat_interleave(torch.arange(len(counts), device=logs.device), counts)
    return logs.new_zeros(len(counts)).index_add(0, owner, logs) / counts


def check_sharing(model: nn.Module, rows: Sequence[Row], pad: int) -> None:
    """Check that a model gives the same logits with a shared beginning: not every architecture takes such a mask.

    Args:
        model: The model to tune.
        rows: Packed rows; the first one with several examples is tried.
        pad: Padding token.

    Raises:
        WrongUse: They differ.
    """
    row = next((row for row in rows if len(row) > 1), None)
    if row is None:
        return
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    with torch.inference_mode():
        found = [_logits(model, batch, device) for batch in (collate_shared([row], pad), collate([row], pad))]
    model.train(was_training)
    if float((found[0] - found[1]).abs().max()) > MOVED * float(found[1].std()):
        raise WrongUse("this model does not support shared prompts\n  leave out --share-prompts")


def _logits(model: nn.Module, batch: dict[str, Tensor], device: torch.device) -> Tensor:
    return model(**{name: of.to(device) for name, of in batch.items() if name != "labels"}).logits.float()
