"""Training: AdamW, a rate that falls to 0, early stopping on validation AUC, the same numbers from the same seed."""

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from base.faults import CheckFailed
from base.progress import Progress
from ctr.batch import Batch, Batches
from ctr.config import TrainConfig
from ctr.distributed import join, own_part, share, weight
from ctr.model import ClickModel
from ctr.optimisers import Optimiser
from ctr.rating_head import ratings_of
from ctr.samples import Samples
from sources.events import PARTS

SCORING_BATCH = 4096


@dataclass(frozen=True)
class Trained:
    """The result of one training run."""

    model: ClickModel
    """The model of the best epoch."""
    validation_auc: tuple[float, ...]
    """AUC on the validation rows after each epoch."""
    learning_rates: tuple[float, ...]
    """Learning rate of every step."""
    samples_per_cpu_second: float
    """Training samples over the CPU time of the training steps alone."""

    @property
    def best_epoch(self) -> int:
        """The epoch whose model is kept, counted from 0; -1, the last, where there are no validation rows."""
        return int(np.argmax(self.validation_auc)) if self.validation_auc else -1


def rows_of(samples: Samples, part: str) -> Tensor:
    """Rows of `train`, `validation` or `test`: [n] int64."""
    return torch.from_numpy(np.flatnonzero(samples.part == PARTS.index(part)))


def rate_at(step: int, steps: int, highest: float) -> float:
    """Learning rate of a step: falls linearly from `highest` at step 0 to highest / steps at the last one.

    Example:
        >>> [rate_at(step, 4, 1.0) for step in range(4)]
        [1.0, 0.75, 0.5, 0.25]
    """
    return highest * (steps - step) / steps


def train(
    model: ClickModel, batches: Batches, samples: Samples, config: TrainConfig, seed: int, progress: Progress
) -> Trained:
    """Train a model on the training rows and keep its best epoch.

    Args:
        model: Freshly made.
        batches: Gathers what the model reads.
        samples: Labels and parts.
        config: How to train.
        seed: Of the order in which rows come.
        progress: Called with the number of finished epochs.

    Several processes that a launcher started (`ctr.distributed`) train one model together; each returns it.

    Returns:
        The model of the epoch with the highest validation AUC, the first of equal ones, and how training went; the
        model of the last epoch where there are no validation rows.

    Raises:
        CheckFailed: Parameters became infinite.
    """
    join()
    rows, validation = rows_of(samples, "train"), rows_of(samples, "validation")
    label, order = torch.from_numpy(samples.label), torch.Generator().manual_seed(seed)
    optimiser = Optimiser(model, model.fields.sparse_tables, config.weight_decay)
    rating = torch.from_numpy(ratings_of(samples)) if model.rating is not None else None
    steps = config.epochs * -(-len(rows) // config.batch_size)
    rates, aucs, seconds, done = [], [], 0.0, 0
    best = copy.deepcopy(model.state_dict())
    for epoch in range(config.epochs):
        begun = time.process_time()
        model.train()
        for chosen in _batches(rows, config.batch_size, order):
            rates.append(rate_at(len(rates), steps, config.learning_rate))
            own = share(chosen)  # all of it, unless several processes train
            second = (rating[own], own_part(~rating[chosen].isnan(), own)) if rating is not None else (None, None)
            _step(model, batches.take(own, chosen), label[own], second, optimiser, rates[-1], weight(own, chosen))
        seconds, done = seconds + time.process_time() - begun, done + len(rows)
        if not all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
            words = f"training ran off to infinity in epoch {epoch + 1}"
            raise CheckFailed(f"{words}\n  lower train.learning_rate, which is {config.learning_rate:g}")
        progress("epochs", epoch + 1, config.epochs)
        if len(validation) == 0:  # nothing to choose by: the last epoch is kept
            continue
        found = validation_auc(samples.label[validation.numpy()], score_logits(model, batches, validation))
        aucs.append(found[0] if found else 0.5)  # of one label alone: the first epoch is kept
        since = epoch - int(np.argmax(aucs))
        if since == 0:
            best = copy.deepcopy(model.state_dict())
        if since >= config.patience:
            break
    if aucs:
        model.load_state_dict(best)
    return Trained(model, tuple(aucs), tuple(rates), done / max(seconds, 1e-9))


def _batches(rows: Tensor, size: int, order: torch.Generator) -> Iterator[Tensor]:
    yield from rows[torch.randperm(len(rows), generator=order)].split(size)


def _step(
    model: ClickModel,
    batch: Batch,
    label: Tensor,
    second: tuple[Tensor | None, Tensor | None],
    optimiser: Optimiser,
    rate: float,
    part: float,
) -> None:
    logits, own = model.answer(batch, *second)
    loss = nn.functional.binary_cross_entropy_with_logits(logits, label)
    optimiser.step(part * sum(own, start=loss), rate)


def score_logits(model: ClickModel, batches: Batches, rows: Tensor) -> np.ndarray:
    """Compute the logits of some rows: [n] int64 -> [n] float32."""
    if len(rows) == 0:
        return np.zeros(0, dtype=np.float32)
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(batches.take(chosen)) for chosen in rows.split(SCORING_BATCH)]).numpy()


def score(model: ClickModel, batches: Batches, rows: Tensor) -> np.ndarray:
    """Compute the probabilities of some rows: [n] int64 -> [n] float32."""
    return torch.from_numpy(score_logits(model, batches, rows)).sigmoid().numpy()


def validation_auc(label: np.ndarray, scores: np.ndarray) -> tuple[float, ...]:
    """Compute the AUC of some rows as a tuple of one number; empty if the rows do not have both labels."""
    return (float(roc_auc_score(label, scores)),) if len(np.unique(label)) == 2 else ()
