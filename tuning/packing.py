"""Packing: several examples in one row of a batch that do not see each other, for most examples are short.

A row's positions begin anew with each example, and transformers lets a token see only its own run of positions, as long
as no cache is used (`use_cache=True`, its default, lets them all see each other: stack-tuning, Packing).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tuning.tokens import Example

NOT_LEARNT = -100
OPEN = 32
"""Rows that are filled at the same time: more fill rows better and mix lengths less."""
Row = Sequence[Example]


def pack(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Put examples into rows: each into the first open row with enough room.

    Args:
        lengths: Tokens of each example, at most `room`.
        room: Tokens of a row.

    Returns:
        Places of the examples of each row.

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

    Logits are asked for only where a token is learnt, which for yes/no rows is one place in a hundred.

    Args:
        rows: B rows of examples.
        pad: Token that fills a row up; what fills it is an example of its own, of which nothing is learnt.

    Returns:
        input_ids and position_ids [B, L]; logits_to_keep [K], places whose next token is learnt in some row; labels
        [B, 1 + K]: the next token at these places, -100 where that row learns nothing. The first column is always
        -100: transformers counts labels without the first, or with it, by the kind of model, and so both counts agree.
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
