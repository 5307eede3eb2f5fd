"""Measure how well a model writes the category and the hashtags of notes that it does not learn.

Paper:     Zhang et al. 2024, "NoteLLM", section 4.5 (arXiv 2403.01744).
Idea:      continue the prompt used in tuning (note, compression word, guidance) with the most likely token each time,
           until the end token.
Produces:  accuracy and illusory share of categories; BLEU, chrF, precision and recall of hashtags; the same for the
           most common words, which ignore the note.
Cost:      two texts per note, before and after the tuning; `written` limits the number of notes.
Relations: note_measures has the measures; notes.Guides writes the prompts, only for what a note does not show.
"""

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from base.progress import Progress
from prompts.notes import Guides, Labels, Output
from tuning.contrastive_steps import in_chunks
from tuning.note_batches import NoteRow, collate_notes, question
from tuning.note_measures import Categories, Hashtags, measure_categories, measure_hashtags
from tuning.note_model import NoteModel

TASKS = "category", "hashtags"


@dataclass(frozen=True)
class Question:
    """One text to ask for."""

    item: str
    """The item."""
    output: Output
    """The true text and its guidance."""
    labels: Labels
    """The true labels of the item that its note hides."""


def make_questions(
    items: Collection[str], texts: Mapping[str, str], labels: Mapping[str, Labels], guides: Guides, most: int, seed: int
) -> list[Question]:
    """Make questions for the category and all hashtags of some items, as far as their notes hide them.

    Args:
        items: Items that are not learned.
        texts: Item -> note; items without one are skipped.
        labels: Item -> true labels.
        guides: Writes the prompts.
        most: Maximum number of items, drawn at random among those with something to ask for.
        seed: Seed of the draw.
    """
    hidden = {item: labels[item].hidden_from(texts[item]) for item in sorted(items) if item in texts and item in labels}
    able = [item for item, true in hidden.items() if true.category or true.hashtags]
    found: list[Question] = []
    for item in sorted(random.Random(f"written/{seed}").sample(able, min(most, len(able)))):
        true = hidden[item]
        if true.category:
            found.append(Question(item, guides.category(true), true))
        if true.hashtags:
            found.append(Question(item, guides.all_hashtags(true), true))
    return found


def answer(
    model: NoteModel,
    questions: Sequence[Question],
    texts: Mapping[str, str],
    guides: Guides,
    at_once: int,
    progress: Progress,
) -> list[str]:
    """Return a model's answers to questions: the text up to its end token or the maximum length of the task.

    Args:
        model: A language model.
        questions: The questions.
        texts: Item -> note.
        guides: Gives the maximum length of an answer.
        at_once: Maximum notes that pass through the model together.
        progress: Called with the number of finished texts.
    """
    starts = [question(model.tokenizer, model.prompt(texts[asked.item]), asked.output) for asked in questions]
    found = [""] * len(questions)
    done = 0
    for task in TASKS:
        of = np.array([place for place, asked in enumerate(questions) if asked.output.task == task], dtype=np.int64)
        for chunk in in_chunks([len(starts[place]) for place in of], at_once):
            rows = [NoteRow(np.array(starts[place], dtype=np.int64), len(starts[place]), 0) for place in of[chunk]]
            batch = collate_notes(rows, model.pad, "left")
            written = model.write(
                {name: values.to(model.tau.device) for name, values in batch.items()}, guides.longest(task)
            )
            for place, ids in zip(of[chunk], written.tolist(), strict=True):
                found[place] = _until_end(ids, model.tokenizer)
            done += len(chunk)
            progress("writing about notes", done, len(questions))
    return found


def _until_end(ids: Sequence[int], tokenizer: Any) -> str:
    end = tokenizer.eos_token_id
    return tokenizer.decode(ids[: ids.index(end)] if end in ids else ids).strip()


def most_common(questions: Sequence[Question], learnt: Collection[Labels]) -> list[str]:
    """Return as answers what is most common among the learned items; ties are broken alphabetically."""
    categories = _ranked(of.category for of in learnt if of.category)
    tags = _ranked(tag for of in learnt for tag in of.hashtags)
    return [
        ", ".join(tags[: len(asked.labels.hashtags)] if asked.output.task == "hashtags" else categories[:1])
        for asked in questions
    ]


def _ranked(words: Iterable[str]) -> list[str]:
    counts = Counter(words)
    return sorted(counts, key=lambda word: (-counts[word], word))


def written_figures(
    questions: Sequence[Question],
    labels: Mapping[str, Labels],
    learnt: Collection[str],
    before: Sequence[str],
    after: Sequence[str],
) -> Mapping[str, Any] | None:
    """Judge the answers before and after the tuning, and the most common ones.

    Args:
        questions: [n].
        labels: Item -> true labels; all their values are known categories.
        learnt: Items that are learned.
        before: [n] answers.
        after: [n] answers.

    Returns:
        `items`, how many were asked about, then the figures of `most_common`, `before` and `after`; None if nothing
        was asked.
    """
    if not questions:
        return None
    known = {tag for true in labels.values() for tag in true.hashtags}
    common = most_common(questions, [true for item, true in labels.items() if item in learnt])
    by_name = {"most_common": common, "before": before, "after": after}
    judged = {name: measure_answers(questions, written, known) for name, written in by_name.items()}
    return {"items": len({asked.item for asked in questions}), **judged}


def measure_answers(questions: Sequence[Question], written: Sequence[str], known: Collection[str]) -> Mapping[str, Any]:
    """Return the figures of each task that was asked: `Categories` and `Hashtags` of note_measures as mappings.

    Args:
        questions: [n].
        written: [n] answers.
        known: All existing categories.
    """
    of: dict[str, list[tuple[str, Labels]]] = {task: [] for task in TASKS}
    for asked, text in zip(questions, written, strict=True):
        of[asked.output.task].append((text, asked.labels))
    found: dict[str, Categories | Hashtags] = {}
    if of["category"]:
        texts, labels = zip(*of["category"], strict=True)
        found["category"] = measure_categories(texts, [true.category or "" for true in labels], known)
    if of["hashtags"]:
        texts, labels = zip(*of["hashtags"], strict=True)
        found["hashtags"] = measure_hashtags(texts, [true.hashtags for true in labels])
    return {task: {name: round(value, 4) for name, value in asdict(figures).items()} for task, figures in found.items()}
