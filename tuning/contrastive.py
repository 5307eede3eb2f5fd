"""Tune an encoder of notes on what the same people choose, with or without a language model in it.

Paper:     Zhang et al. 2024, "NoteLLM: A Retrievable Large Language Model for Note Recommendation", section 3
           (arXiv 2403.01744).
Idea:      two notes that people go on to from one another get similar vectors; a language model writes the category or
           hashtags of each note in the same forward pass, so that the compressed word captures the note's topic. How
           well it writes them for items that it does not learn is measured before and after.
Formula:   L = (L_cl + alpha L_gen) / (1 + alpha), both in losses.py; alpha = 0.01.
Consumes:  note texts; pairs of training events (note_pairs); categories and tags, if a language model generates.
Produces:  a sentence-transformers folder (Transformer, Pooling, Dense, Normalize), which vLLM's pooling runner also
           reads, and knowflow_tuning.json: what it has seen, until when, and the results.
Cost:      projection: one forward pass per note, then seconds; lora and full: two or three forward passes per distinct
           note of a batch and step.
Relations: sft teaches a model to answer, this one to encode; note_pairs defines what is learned.
Example:   knowflow tune encoder --out encoders/note
"""

import hashlib
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from accelerate import PartialState
from torch import Tensor, nn
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from base.faults import WrongUse
from base.progress import Progress
from engines.model_folder import fingerprint
from prompts.domain import Domain, load_domain
from prompts.library import SHIPPED, Library
from prompts.notes import Guides, Labels, Output, compression
from tuning.config import ContrastiveConfig
from tuning.contrastive_steps import Draw, Losses, NoteTrainer, encode_prompts
from tuning.note_batches import Pairs
from tuning.note_generation import answer, make_questions, written_figures
from tuning.note_measures import recall
from tuning.note_model import POOLINGS, NoteModel, export, load_note_model, wrapping_facts
from tuning.note_pairs import share_of
from tuning.recipe import Job, carry_out
from tuning.workfolder import WorkFolder

ENCODED_AT_ONCE = 64


def tune_encoder(
    base_folder: Path,
    texts: Mapping[str, str],
    pairs: pl.DataFrame,
    config: ContrastiveConfig,
    out: Path,
    progress: Progress,
    *,
    seen_until: datetime | None = None,
    held_out: Collection[str] = (),
    labels: Mapping[str, Labels] | None = None,
    field: str = "category",
    domain: Domain | None = None,
    library: Library = SHIPPED,
    resume: bool = False,
) -> Mapping[str, Any]:
    """Tune an encoder and write it: run `encoder_job`.

    After a kill it resumes from its newest checkpoint and ends with the same weights as without the kill. Under
    torchrun every process calls this with the same arguments; the result is the same as with one process.

    Args:
        base_folder: A sentence-transformers folder, or a language model written by save_pretrained.
        texts: Item -> note (`prompts.notes.note_text`, or any text).
        pairs: source, target, score; those with a held-out item or one without a text are left out.
        config: The options.
        out: Folder of the tuned encoder; new or empty, unless it resumes.
        progress: Called with the progress.
        seen_until: Time of the newest event that the pairs come from; encoded vectors are known only after it.
        held_out: Items that must not be learned; a language model writes about them to be judged.
        labels: Item -> what a language model learns to write; None: nothing is generated.
        field: Name of the category in the prompt.
        domain: Provides the words in the prompts of a language model; None: `generic`.
        library: Where these prompts are looked for.
        resume: Resume the tuning in `out`; start one if there is none.

    Returns:
        The content of knowflow_tuning.json.

    Raises:
        WrongUse: No pair is left, `out` holds something else, or the model cannot be tuned.
    """
    job = encoder_job(
        base_folder,
        texts,
        pairs,
        config,
        progress,
        held_out=held_out,
        labels=labels,
        field=field,
        domain=domain,
        library=library,
    )
    newest = {"pairs": {"newest_event": seen_until.isoformat()}} if seen_until else {}
    return carry_out(job, out, resume=resume, noted=newest)


def encoder_job(
    base_folder: Path,
    texts: Mapping[str, str],
    pairs: pl.DataFrame,
    config: ContrastiveConfig,
    progress: Progress,
    *,
    held_out: Collection[str] = (),
    labels: Mapping[str, Labels] | None = None,
    field: str = "category",
    domain: Domain | None = None,
    library: Library = SHIPPED,
) -> Job:
    """Make the job of tuning an encoder; see `tune_encoder` for the arguments.

    Raises:
        WrongUse: No pair is left.
    """
    disable_progress_bar()
    set_verbosity_error()
    domain = domain or load_domain("generic")
    items = sorted(set(texts) - set(held_out))
    validating = share_of(items, config.validation, f"validation/{config.seed}")
    learnt, validated, left_out = _divide(items, pairs, validating)
    wrapping = None if (base_folder / "modules.json").is_file() else compression(domain, library)
    plan = {
        "kind": "notellm",
        "base": {"name": base_folder.name, "revision": fingerprint(base_folder.resolve())},
        "settings": config.model_dump(),
        "train_items": items,
        "held_out_items": sorted(held_out),
        "data": {"pairs": len(learnt), "left_out": left_out, "digest": _digest(items, texts, learnt, labels)},
        "wrapping": wrapping_facts(wrapping),
    }
    unlearnt = {*validating, *held_out}
    guides = Guides(domain, field, config.hashtag_share, library)
    lesson = _Lesson(items, texts, labels, guides, unlearnt, learnt, validated)

    def learn(folder: WorkFolder) -> Mapping[str, Any]:
        model = load_note_model(base_folder, wrapping, config).to(PartialState().device)
        return _learn(model, lesson, config, folder, progress)

    return Job(base_folder, plan, learn)


@dataclass(frozen=True)
class _Lesson:
    """What is learned, and what the model is measured on."""

    items: Sequence[str]
    """Items whose notes may be learned; pairs are indices into these."""
    texts: Mapping[str, str]
    """Item -> note."""
    labels: Mapping[str, Labels] | None
    """Item -> what a language model learns to write."""
    guides: Guides
    """The prompts for it."""
    unlearnt: Collection[str]
    """Items used for validation or held out."""
    pairs: np.ndarray
    """[P, 2] int64: pairs to learn."""
    validated: np.ndarray
    """[V, 2] int64: pairs whose source is used for validation."""


def _learn(
    model: NoteModel, lesson: _Lesson, config: ContrastiveConfig, folder: WorkFolder, progress: Progress
) -> Mapping[str, Any]:
    """Tune, measure before and after, and export."""
    items, texts, guides, known = lesson.items, lesson.texts, lesson.guides, lesson.labels or {}
    prompts = [model.prompt(texts[item]) for item in items]
    generates = model.head is not None and lesson.labels is not None and config.alpha > 0
    generates = generates and config.method != "projection"
    draw = _draw(items, texts, known, guides, config.seed)
    pooled = encode_prompts(model, prompts, ENCODED_AT_ONCE, progress) if config.method == "projection" else None
    may_be_learnt = [place for place, item in enumerate(items) if item not in lesson.unlearnt]
    if pooled is not None and 0 < config.dimension < min(pooled.shape[1], len(may_be_learnt)):
        model.begin_with_main_directions(pooled[may_be_learnt])
    asked = make_questions(lesson.unlearnt, texts, known, guides, config.written, config.seed) if generates else []

    def measured() -> tuple[Mapping[str, float], Sequence[str]]:
        written = answer(model, asked, texts, guides, config.notes_at_once, progress)
        return _recall(model, prompts, lesson.validated, pooled, progress), written

    before = measured()
    batches = Pairs(lesson.pairs, config.batch_pairs, config.seed)
    steps = config.epochs * batches.steps_an_epoch
    trainer = NoteTrainer(model, prompts, batches, config, steps, draw if generates else None, pooled)
    losses = _train(trainer, folder, steps, config.save_every, progress)
    if not all(bool(weight.isfinite().all()) for weight in model.parameters() if weight.requires_grad):
        raise WrongUse(f"the weights became infinite\n  lower --learning-rate ({config.learning_rate:g})")
    after = measured()
    written = written_figures(asked, known, set(items) - set(lesson.unlearnt), before[1], after[1])
    figures = _figures(steps, losses, model, lesson.validated, before[0], after[0])
    if PartialState().is_main_process:
        export(model, folder.out, folder.work)
    return {"pooling": POOLINGS[model.pooling], "figures": {**figures, "written": written}}


def _figures(
    steps: int,
    losses: Sequence[Losses],
    model: NoteModel,
    validated: np.ndarray,
    before: Mapping[str, float],
    after: Mapping[str, float],
) -> dict[str, Any]:
    """Return the results for knowflow_tuning.json."""
    sources = len(np.unique(validated[:, 0]))
    return {
        "steps": steps,
        "loss": {"first": _rounded(losses[0]), "last": _rounded(losses[-1])},
        "tau": round(model.tau.item(), 4),
        "validation": {"pairs": len(validated), "sources": sources, "before": before, "after": after},
    }


def _divide(
    items: Sequence[str], pairs: pl.DataFrame, validating: Collection[str]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return training and validation pairs as item indices, and how many pairs are left out."""
    place = {item: number for number, item in enumerate(items)}
    asked = {place[item] for item in validating}
    rows = pairs.select("source", "target").unique().sort("source", "target").rows()
    known = [(place[one], place[other]) for one, other in rows if one in place and other in place]
    learnt = [pair for pair in known if not asked.intersection(pair)]
    if not learnt:
        raise WrongUse(
            f"there is no pair to learn from: {len(rows):,} pairs, {len(known):,} of them between training items with "
            "a text\n  hold out fewer items, or tune on more events"
        )
    validated = [pair for pair in known if pair[0] in asked]
    return _numbers(learnt), _numbers(validated), len(rows) - len(known)


def _numbers(pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _digest(
    items: Sequence[str], texts: Mapping[str, str], pairs: np.ndarray, labels: Mapping[str, Labels] | None
) -> str:
    """Hash what is learned: 16 hexadecimal digits."""
    found = hashlib.sha256(np.ascontiguousarray(pairs).tobytes())
    for item in items:
        found.update(f"{item}\0{texts[item]}\0{labels.get(item) if labels else None}\0".encode(errors="surrogatepass"))
    return found.hexdigest()[:16]


def _draw(
    items: Sequence[str], texts: Mapping[str, str], labels: Mapping[str, Labels], guides: Guides, seed: int
) -> Draw:
    """Return a function that draws what notes generate; the draw depends only on the seed, the step and the item."""

    def draw(step: int, notes: np.ndarray) -> list[Output | None]:
        named = [items[int(note)] for note in notes]
        return [
            guides.draw(labels[item], texts[item], random.Random(f"{seed}/{step}/{item}")) if item in labels else None
            for item in named
        ]

    return draw


@torch.no_grad()
def _recall(
    model: NoteModel,
    prompts: Sequence[Sequence[int]],
    pairs: np.ndarray,
    pooled: Tensor | None,
    progress: Progress,
) -> Mapping[str, float]:
    """Return the recall on the validation pairs among all training items."""
    if not len(pairs):
        return {}
    states = encode_prompts(model, prompts, ENCODED_AT_ONCE, progress) if pooled is None else pooled
    vectors = nn.functional.normalize(model.projection(states), dim=1)
    return recall(vectors.float().cpu().numpy(), pairs)


def _train(
    trainer: NoteTrainer, folder: WorkFolder, steps: int, save_every: int, progress: Progress
) -> Sequence[Losses]:
    """Run all remaining steps, with checkpoints."""
    begun = folder.checkpoint()
    losses = trainer.load(begun) if begun else []
    main = PartialState().is_main_process
    for number in range(len(losses), steps):
        losses.append(trainer.step(number))
        if main and (number + 1) % save_every == 0 and number + 1 < steps:
            trainer.save(folder.work / f"checkpoint-{number + 1}", number + 1, losses)
        progress("tuning steps", number + 1, steps)
    return losses


def _rounded(losses: Losses) -> Mapping[str, float | None]:
    return {name: None if value is None else round(value, 4) for name, value in vars(losses).items()}
