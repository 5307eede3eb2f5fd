"""One step of contrastive tuning: a large batch with bounded memory, with the same result over several processes.

Paper:     Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup" (gradient caching,
           arXiv 2101.06983): encode all notes without gradients, take the loss's gradient at the vectors, then encode
           the notes again, a few at a time, and backpropagate that gradient. The result is the gradient of the batch.
Relations: contrastive_loss is the loss; contrastive.py runs the steps.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, parameters_to_vector

from base.progress import Progress
from prompts.notes import Output
from tuning.config import ContrastiveConfig
from tuning.losses import contrastive_loss, joint_loss
from tuning.note_batches import NoteRow, Pairs, collate_notes, note_row
from tuning.note_model import NoteModel
from tuning.workfolder import STATE, write_json

LONGEST_GRADIENT = 1.0
"""Gradients are clipped to this norm."""
Draw = Callable[[int, np.ndarray], Sequence[Output | None]]
"""Takes the number of a step and its notes [U]; returns what each note generates."""


@dataclass(frozen=True)
class Losses:
    """The losses of one step."""

    contrastive: float
    """L_cl."""
    generative: float | None
    """L_gen; None if nothing was generated."""
    joint: float
    """The loss that the step minimised."""


def in_chunks(lengths: Sequence[int], at_once: int) -> list[np.ndarray]:
    """Group similar lengths, which needs little padding; return indices, at most `at_once` per chunk."""
    order = np.argsort(np.asarray(lengths), kind="stable")
    return [order[begin : begin + at_once] for begin in range(0, len(order), at_once)]


@torch.no_grad()
def encode_prompts(model: NoteModel, prompts: Sequence[Sequence[int]], at_once: int, progress: Progress) -> Tensor:
    """Encode notes without the projection: [N] token lists -> pooled states [N, width] on the model's device."""
    rows = [note_row(model.tokenizer, prompt, None) for prompt in prompts]
    found = torch.zeros(len(rows), model.projection.in_features, device=model.tau.device)
    done = 0
    for chunk in in_chunks([len(row) for row in rows], at_once):
        batch = _batch(model, [rows[place] for place in chunk])
        found[torch.from_numpy(chunk)] = model.pooled(batch)[0].float()
        done += len(chunk)
        progress("encoding notes", done, len(rows))
    return found


def _batch(model: NoteModel, rows: Sequence[NoteRow]) -> Mapping[str, Tensor]:
    return {name: values.to(model.tau.device) for name, values in collate_notes(rows, model.pad).items()}


class NoteTrainer:
    """Runs training steps.

    Args:
        model: The model to tune.
        prompts: [N] tokens of each note.
        pairs: What is learned.
        config: The options.
        steps: Total number of steps.
        draw: Decides what the notes of a step generate; None: nothing.
        pooled: [N, width], the notes' states if everything but the projection is frozen; else None.
    """

    def __init__(
        self,
        model: NoteModel,
        prompts: Sequence[Sequence[int]],
        pairs: Pairs,
        config: ContrastiveConfig,
        steps: int,
        draw: Draw | None = None,
        pooled: Tensor | None = None,
    ) -> None:
        self._model, self._prompts, self._pairs = model, prompts, pairs
        self._config, self._steps, self._draw, self._pooled = config, steps, draw, pooled
        self._log_share = pairs.log_share(len(prompts)) * config.debias if config.debias else None
        self._process = PartialState()
        named = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._weights = {name: weight for name, weight in named.items() if name != "tau"}
        groups: list[dict[str, Any]] = [{"params": list(self._weights.values()), "top": config.learning_rate}]
        if config.tau_rate:
            groups.append({"params": [model.tau], "top": config.tau_rate, "weight_decay": 0.0})
        self._optimizer = torch.optim.AdamW(groups, lr=0.0, weight_decay=config.weight_decay)

    def step(self, number: int) -> Losses:
        """Run a step, numbered from 0."""
        losses = self.gradients(number)
        clip_grad_norm_(self._weights.values(), LONGEST_GRADIENT)
        for group in self._optimizer.param_groups:
            group["lr"] = group["top"] * self._rate(number)
        self._optimizer.step()
        return losses

    def _rate(self, number: int) -> float:
        """Return the share of the peak rate: rising during warm-up, then falling to 0."""
        rise = self._config.warm_up * self._steps
        left = (self._steps - number) / max(1.0, self._steps - rise)
        return min(left, (number + 1) / rise if rise else 1.0, 1.0)

    def gradients(self, number: int) -> Losses:
        """Compute the gradients of a step's loss; with several processes each gets the full gradients.

        With n processes, each encodes every n-th note. The vectors are gathered, so that every note meets all others,
        and each process computes the full loss but backpropagates only through its own notes. The sum is the gradient
        of a single process.
        """
        self._optimizer.zero_grad()
        step, alpha = self._pairs.step(number), 0.0
        outputs = self._draw(number, step.notes) if self._draw else [None] * len(step.notes)
        rows = [
            note_row(self._model.tokenizer, self._prompts[note], output)
            for note, output in zip(step.notes, outputs, strict=True)
        ]
        count = sum(row.learnt for row in rows)
        if count:
            alpha = self._config.alpha
        own = np.arange(self._process.process_index, len(rows), self._process.num_processes)
        chunks = [own[chunk] for chunk in in_chunks([len(rows[place]) for place in own], self._config.notes_at_once)]
        at_once = len(chunks) == 1  # then the first forward pass is kept, and no second one is needed
        vectors = torch.zeros(len(rows), self._model.projection.out_features, device=self._model.tau.device)
        kept: list[tuple[Tensor, Tensor]] = []
        for chunk in chunks:
            with torch.set_grad_enabled(at_once):
                found = self._encode(step.notes[chunk], [rows[place] for place in chunk], whole=at_once)
            vectors[chunk] = found[0].detach()
            kept += [found] if at_once else []
        vectors = cast(Tensor, reduce(vectors, "sum")).requires_grad_()
        contrastive = self._contrastive(vectors, step.notes, step.places)
        (contrastive / (1 + alpha)).backward()
        generated = vectors.new_zeros(())
        for chunk in chunks:
            found = kept[0] if kept else self._encode(step.notes[chunk], [rows[place] for place in chunk], whole=True)
            assert vectors.grad is not None
            passed_on = (found[0] * vectors.grad[chunk]).sum()
            (passed_on + alpha / (1 + alpha) * found[1] / max(1, count)).backward()
            generated += found[1].detach()
        self._sum_gradients()
        generative = cast(Tensor, reduce(generated, "sum")) / count if count else None
        contrastive = contrastive.detach()
        joint = joint_loss(contrastive, generative, alpha)
        return Losses(float(contrastive), None if generative is None else float(generative), float(joint))

    def _encode(self, notes: np.ndarray, rows: Sequence[NoteRow], *, whole: bool) -> tuple[Tensor, Tensor]:
        """Return vectors [n, d] and the summed generation loss; without `whole`, only the prompts are encoded."""
        if self._pooled is not None:
            return self._model.projection(self._pooled[torch.from_numpy(notes)]), self._pooled.new_zeros(())
        shown = rows if whole else [NoteRow(row.ids[: row.prompt], row.prompt, 0) for row in rows]
        return self._model(_batch(self._model, shown))

    def _contrastive(self, vectors: Tensor, notes: np.ndarray, places: np.ndarray) -> Tensor:
        at = torch.from_numpy(places).to(vectors.device)  # [2B]
        known = self._pairs.known(notes).to(vectors.device)[at][:, at] if self._config.hide_known else None
        share = None if self._log_share is None else self._log_share[torch.from_numpy(notes)].to(vectors.device)[at]
        return contrastive_loss(vectors[at], at, self._model.tau, known, share)

    def _sum_gradients(self) -> None:
        weights: list[nn.Parameter] = list(self._weights.values())
        for weight in weights:
            if weight.grad is None:  # a layer that no vector passes through, or a process without a note
                weight.grad = torch.zeros_like(weight)
        if self._process.num_processes == 1:
            return
        whole = cast(Tensor, reduce(parameters_to_vector([cast(Tensor, weight.grad) for weight in weights]), "sum"))
        for weight, part in zip(weights, whole.split([weight.numel() for weight in weights]), strict=True):
            weight.grad = part.view_as(weight)

    def save(self, folder: Path, done: int, losses: Sequence[Losses]) -> None:
        """Write a checkpoint after `done` steps; the file that marks it as complete is written last."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: weight.detach().cpu() for name, weight in self._weights.items()}
        content = {"weights": weights, "tau": self._model.tau.detach().cpu(), "optimizer": self._optimizer.state_dict()}
        torch.save({**content, "losses": [vars(loss) for loss in losses]}, folder / "state.pt")
        write_json(folder / STATE, {"global_step": done})

    @torch.no_grad()
    def load(self, folder: Path) -> list[Losses]:
        """Load a checkpoint; return the losses so far."""
        content = torch.load(folder / "state.pt", weights_only=True, map_location=self._model.tau.device)
        for name, weight in self._weights.items():
            weight.copy_(content["weights"][name])
        self._model.tau.copy_(content["tau"])
        self._optimizer.load_state_dict(content["optimizer"])
        return [Losses(**loss) for loss in content["losses"]]
