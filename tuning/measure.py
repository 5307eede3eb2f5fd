"""Measure a model on held-out recommendation rows: the loss of the true answer, and the AUC."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from base.progress import Progress
from tuning.base import Base
from tuning.conversations import Conversation
from tuning.losses import answer_log_probability
from tuning.packing import collate
from tuning.tokens import Example, as_data, tokenise

Measure = Callable[..., Mapping[str, Any]]
"""Called with a model and the keyword `when`: `before` or `after`; returns how good the model is."""


def measure(
    model: nn.Module,
    rows: Sequence[tuple[Example, Example]],
    liked: Sequence[bool],
    pad: int,
    progress: Progress,
    when: str = "before",
) -> Mapping[str, Any]:
    """Measure how likely a model finds both answers.

    Args:
        model: The model.
        rows: Each row with the answer for liked, and with the other one.
        liked: Whether the first of the two is true.
        pad: Padding token.
        progress: Called with the number of finished rows.
        when: Before or after the tuning, for the progress.

    Returns:
        rows; loss, the mean of -log P(true answer); auc of log P(liked) - log P(not liked), None if all rows have the
        same answer.
    """
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    found: list[list[float]] = []
    with torch.inference_mode():
        for place, pair in enumerate(rows, 1):
            batch = {name: values.to(device) for name, values in collate([[one] for one in pair], pad).items()}
            labels = batch.pop("labels")
            found.append(answer_log_probability(model(**batch).logits, labels).tolist())
            progress(f"held-out rows, {when}", place, len(rows))
    model.train(was_training)
    logs, truth = np.array(found), np.array(liked)  # [n, 2], [n]
    auc = roc_auc_score(truth, logs[:, 0] - logs[:, 1]) if len(set(liked)) == 2 else None
    return {
        "rows": len(rows),
        "loss": round(float(-np.where(truth, logs[:, 0], logs[:, 1]).mean()), 4),
        "auc": None if auc is None else round(float(auc), 4),
    }


def by_answers(
    base: Base, rows: Sequence[Conversation], words: Sequence[str], longest: int, progress: Progress
) -> Measure | None:
    """Return a measure that uses both answers of held-out recommendation rows; None if there are no such rows."""
    pairs, liked = both_answers(base, rows, words, longest)
    return partial(measure, rows=pairs, liked=liked, pad=base.pad, progress=progress) if pairs else None


def both_answers(
    base: Base, rows: Sequence[Conversation], words: Sequence[str], longest: int
) -> tuple[list[tuple[Example, Example]], list[bool]]:
    """Return held-out rows with each of the two answers, and whether the first is true; too long ones are left out."""
    pairs, liked = [], []
    for row in rows:
        one, other = (
            tokenise(base.tokens, (*as_data(row[:-1], base.tokens), {"role": "assistant", "content": word}), base.ends)
            for word in words
        )
        if max(len(one), len(other)) <= min(longest, base.tokens.longest or longest):
            pairs.append((one, other))
            liked.append(row[-1]["content"] == words[0])
    return pairs, liked
