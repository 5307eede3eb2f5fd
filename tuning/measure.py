"""What a model makes of recommendation rows that it does not learn: the loss of the true answer, and the AUC."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from base.progress import Progress
from tuning.loss import answer_log_probability
from tuning.packing import collate
from tuning.tokens import Example


def measure(
    model: nn.Module,
    rows: Sequence[tuple[Example, Example]],
    liked: Sequence[bool],
    pad: int,
    progress: Progress,
    when: str = "before",
) -> Mapping[str, Any]:
    """Ask a model how likely it finds both answers.

    Args:
        model: The model.
        rows: Each row answered by the word for liked, and by the other one.
        liked: Whether the first of them is true.
        pad: Token that fills rows up.
        progress: Told how many rows are done.
        when: Before or after the tuning, for the progress.

    Returns:
        rows; loss, the mean of -log P(true answer); auc of log P(liked) - log P(not liked), None when all rows have one
        answer.
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
