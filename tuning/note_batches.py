"""Notes as tokens: what is encoded, what is generated after it, and the pairs of a step."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prompts.notes import Output
from tuning.packing import NOT_LEARNT

MARK = "[EMB]"
"""Stands in for the compression word; written in tokens that every vocabulary has."""


@dataclass(frozen=True)
class NoteRow:
    """One note as tokens."""

    ids: np.ndarray
    """[n] int64: the note with its wrapping, then, if something is generated, [EMB], the guidance and the output."""
    prompt: int
    """How many of them are encoded; the last of these is the token before [EMB]."""
    learnt: int
    """How many tokens at the end are learned: the output and the end token; 0 = none."""

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.ids)


def note_row(tokenizer: Any, prompt: Sequence[int], output: Output | None) -> NoteRow:
    """Build the tokens of a note; each part is tokenized separately, so that the prompt's tokens never change.

    Args:
        tokenizer: Tokenizer of the model.
        prompt: Tokens of the note with its wrapping.
        output: What is generated after it; None = only encode the note.
    """
    if output is None:
        return NoteRow(np.array(prompt, dtype=np.int64), len(prompt), 0)
    led = question(tokenizer, prompt, output)
    learnt = [*tokenizer.encode(output.text, add_special_tokens=False), tokenizer.eos_token_id]
    return NoteRow(np.array([*led, *learnt], dtype=np.int64), len(prompt), len(learnt))


def question(tokenizer: Any, prompt: Sequence[int], output: Output) -> list[int]:
    """Return the tokens before an output, as in `note_row`: the note with its wrapping, [EMB] and the guidance."""
    led = (tokenizer.encode(part, add_special_tokens=False) for part in (MARK, output.guidance))
    return [*prompt, *itertools.chain.from_iterable(led)]


def collate_notes(rows: Sequence[NoteRow], pad: int, side: str = "right") -> dict[str, Tensor]:
    """Make a batch of notes.

    Args:
        rows: B rows.
        pad: Padding token.
        side: Padding side: `right` or `left`.

    Returns:
        input_ids, attention_mask, position_ids and labels [B, T], labels -100 where nothing is learned; places [B], the
        position of the token before [EMB].
    """
    longest = max(map(len, rows))
    ids = np.full((len(rows), longest), pad, dtype=np.int64)
    mask, labels = np.zeros_like(ids), np.full_like(ids, NOT_LEARNT)
    places = np.zeros(len(rows), dtype=np.int64)
    for number, row in enumerate(rows):
        begin = longest - len(row) if side == "left" else 0
        end = begin + len(row)
        ids[number, begin:end], mask[number, begin:end] = row.ids, 1
        if row.learnt:
            labels[number, end - row.learnt : end] = row.ids[-row.learnt :]
        places[number] = begin + row.prompt - 1
    positions = np.maximum(mask.cumsum(axis=1) - 1, 0)
    found = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, "labels": labels, "places": places}
    return {name: torch.from_numpy(values) for name, values in found.items()}


@dataclass(frozen=True)
class Step:
    """The pairs of one step, each note once."""

    notes: np.ndarray
    """[U] int64: the distinct notes, in ascending order."""
    places: np.ndarray
    """[2B] int64: index in `notes` of each note of the pairs; all first ones, then all second ones."""


class Pairs:
    """Pairs in the order in which they are learned, which depends only on the seed and the step's number.

    Args:
        pairs: [N, 2] int64, note numbers.
        batch: Pairs per step; all pairs if there are fewer.
        seed: Decides the order.

    Raises:
        ValueError: There is no pair.
    """

    def __init__(self, pairs: np.ndarray, batch: int, seed: int) -> None:
        if not len(pairs):
            raise ValueError("there is no pair to learn from")
        self._pairs, self._batch, self._seed = pairs, min(batch, len(pairs)), seed
        self.steps_an_epoch = len(pairs) // self._batch
        """The rest of an epoch is too small for a batch and is dropped; the next epoch shuffles again."""

    def step(self, number: int) -> Step:
        """Return a step, numbered from 0."""
        epoch, place = divmod(number, self.steps_an_epoch)
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._pairs))
        chosen = self._pairs[order[place * self._batch : (place + 1) * self._batch]]
        notes, places = np.unique(chosen.T.ravel(), return_inverse=True)
        return Step(notes, places)

    def known(self, notes: np.ndarray) -> Tensor:
        """Return which notes are a pair in the data, in either direction: [n] -> [n, n] bool."""
        place = np.full(int(self._pairs.max()) + 1, -1)
        place[notes] = np.arange(len(notes))
        ends = place[self._pairs]  # [N, 2]
        one, other = ends[(ends >= 0).all(axis=1)].T
        found = torch.zeros(len(notes), len(notes), dtype=torch.bool)
        found[one, other] = found[other, one] = True
        return found

    def log_share(self, notes: int) -> Tensor:
        """Return the logarithm of how often each of `notes` notes is drawn: [notes]; -inf for one that never is."""
        return torch.from_numpy(np.bincount(self._pairs.ravel(), minlength=notes) / self._pairs.size).log().float()
