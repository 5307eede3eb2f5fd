"""Pack several examples into one row of a batch without seeing each other, because most examples are short.

A row's positions restart with each example, and transformers lets a token see only its own run of positions, as long as
no cache is used (`use_cache=True`, its default, lets them all see each other: stack-tuning, Packing).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tuning.tokens import Example

NOT_LEARNT = -100
OPEN = 32
"""Rows filled at the same time: more fill rows better and mix lengths less."""
Row = Sequence[Example]


def pack(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Pack examples into rows: each into the first open row with enough space.

    Args:
        lengths: Tokens of each example, at most `room`.
        room: Tokens of a row.

    Returns:
        Indices of the examples of each row.

    Example:
        >>> pack([6, 5, 4, 3], room=10)
        [[0, 2], [1, 3]]
    """
    done: list[list[int]] = []
    opened: list[tuple[list[int], int]] = []  # places, tokens
    for place, length in enumerate(lengths):
        for number, (places, tokens) in enumerate(opened):
            if tokens + length <= room:
                opened[number] = ([*places, place], tokens + length)
                break
        else:
            opened.append(([place], length))
        if len(opened) > OPEN:
            done.append(opened.pop(0)[0])
    return done + [places for places, _ in opened]


def collate(rows: Sequence[Row], pad: int) -> dict[str, Tensor]:
    """Make a batch of rows.

    Logits are computed only where a token is learned, which for yes/no rows is one position in a hundred.

    Args:
        rows: B rows of examples.
        pad: Padding token; the padding is a separate example from which nothing is learned.

    Returns:
        input_ids and position_ids [B, L]; logits_to_keep [K], positions whose next token is learned in some row; labels
        [B, 1 + K]: the next token at these positions, -100 where that row learns nothing. The first column is always
        -100: depending on the model, transformers counts labels with or without the first, and so both counts agree.
    """
    longest = max(sum(map(len, row)) for row in rows)
    ids = np.full((len(rows), longest), pad, dtype=np.int64)  # [B, L]
    positions, following = np.zeros_like(ids), np.full_like(ids, NOT_LEARNT)
    for place, row in enumerate(rows):
        at = 0
        for example in row:
            end = at + len(example)
            ids[place, at:end], positions[place, at:end] = example.ids, np.arange(len(example))
            following[place, at + example.prompt - 1 : end - 1] = example.ids[example.prompt :]
            at = end
        positions[place, at:] = np.arange(longest - at)
    keep = np.flatnonzero((following != NOT_LEARNT).any(axis=0))  # [K]
    labels = np.pad(following[:, keep], ((0, 0), (1, 0)), constant_values=NOT_LEARNT)  # [B, 1 + K]
    found = {"input_ids": ids, "position_ids": positions, "logits_to_keep": keep, "labels": labels}
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in found.items()}
